"""Generators of standings and of evidence for one payment, as hypothesis strategies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from hypothesis import strategies as st

from milango.core.payments import (
    Asked,
    Claim,
    Evidence,
    Level,
    Outcome,
    Source,
    Standing,
)

PAYMENT = UUID("0199f000-0000-7000-8000-000000000001")
ASKED_AT = datetime(2026, 3, 14, 7, 15, 30, tzinfo=UTC)
CHECKOUT = "ws_CO_14032026101531204708374149"


def asked(**changes: object) -> Asked:
    """150 KES asked of 254708374149 in production, its prompt named by Daraja."""
    facts = {
        "amount": Decimal(150),
        "phone": "254708374149",
        "asked_at": ASKED_AT,
        "prompt_until": ASKED_AT + timedelta(seconds=180),
        "checkout_request_id": CHECKOUT,
        "live": True,
    }
    return Asked(**facts | changes)  # type: ignore[arg-type]


def said(source: Source, outcome: Outcome, **changes: object) -> Evidence:
    """One piece of evidence about the payment, a minute after the request."""
    facts = {
        "payment_id": PAYMENT,
        "source": source,
        "outcome": outcome,
        "observed_at": ASKED_AT + timedelta(seconds=60),
    }
    return Evidence(**facts | changes)  # type: ignore[arg-type]


def accepted() -> Evidence:
    """Daraja's push answer."""
    return said(Source.PUSH, Outcome.ACCEPTED, checkout_request_id=CHECKOUT)


def paid_callback(**changes: object) -> Evidence:
    """A success callback that agrees with the request, from a listed peer."""
    facts = {
        "checkout_request_id": CHECKOUT,
        "amount": Decimal(150),
        "receipt": "UCE5K7Q2XD",
        "phone": "254708374149",
        "paid_at": ASKED_AT + timedelta(seconds=17),
        "code": "0",
        "listed": True,
    }
    return said(Source.CALLBACK, Outcome.PAID, **facts | changes)


def failing_callback(**changes: object) -> Evidence:
    """The payer pressed cancel, says a listed peer."""
    facts = {"checkout_request_id": CHECKOUT, "code": "1032", "listed": True}
    return said(Source.CALLBACK, Outcome.FAILED, **facts | changes)


def query(outcome: Outcome, after: int = 60, code: str = "") -> Evidence:
    """STK query's answer, so many seconds after the request."""
    at = ASKED_AT + timedelta(seconds=after)
    return said(Source.QUERY, outcome, observed_at=at, checkout_request_id=CHECKOUT, code=code)


moments = st.integers(0, 600).map(lambda seconds: ASKED_AT + timedelta(seconds=seconds))
maybe_moments = st.none() | moments
receipts = st.sampled_from(["UCE5K7Q2XD", "UCE3P9W8ZA", "UCE8R1LM0T"])
authorities = st.integers(0, 4)
codes = st.sampled_from(["1", "1032", "1037", "2001", "SFC_IC0003"])

standings = st.builds(
    Standing,
    level=st.sampled_from(Level),
    voided=st.booleans(),
    answered=st.booleans(),
    failure=st.tuples(authorities, codes, st.just("")),
    receipts=st.frozensets(st.tuples(authorities, receipts), max_size=3),
    paid_at=st.tuples(authorities, moments.map(datetime.isoformat)),
    payer=st.tuples(authorities, st.sampled_from(["254708374149", "254110000123"])),
    claims=st.frozensets(
        st.builds(Claim, receipt=receipts, listed=st.booleans(), whole=st.booleans()), max_size=3
    ),
    doubts=st.frozensets(st.sampled_from(["other_amount", "receipt_taken"])),
    first_no=maybe_moments,
    last_no=maybe_moments,
)

evidence = st.one_of(
    st.just(accepted()),
    st.builds(
        paid_callback,
        listed=st.booleans(),
        receipt=receipts | st.none(),
        amount=st.sampled_from([Decimal(150), Decimal(150), Decimal(1)]),
        phone=st.sampled_from(["254708374149", "2547*****149", "254110000123"]),
    ),
    st.builds(failing_callback, listed=st.booleans(), code=codes),
    st.builds(
        query,
        st.sampled_from([Outcome.PAID, Outcome.FAILED, Outcome.FAILED, Outcome.UNKNOWN]),
        st.integers(0, 600),
        codes,
    ),
    st.builds(said, st.just(Source.TRANSACTION_STATUS), st.sampled_from(Outcome)),
    st.builds(said, st.just(Source.OPERATOR), st.sampled_from(Outcome), approved=st.booleans()),
    st.builds(
        said,
        st.just(Source.STATEMENT),
        st.sampled_from(Outcome),
        sound=st.booleans(),
        receipt=receipts,
        amount=st.sampled_from([Decimal(150), Decimal(1)]),
    ),
    st.builds(said, st.just(Source.CALLBACK), st.just(Outcome.UNKNOWN), listed=st.booleans()),
)
