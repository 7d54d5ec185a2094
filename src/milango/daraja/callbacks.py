"""STK callbacks: bytes in, `Evidence` out. Whatever comes, nothing here raises past its border."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec

from milango.core.payments import Evidence, Original, Outcome, Source

from .answers import outcome_of
from .fields import (
    Unreadable,
    amount_of,
    document,
    moment_of,
    pairs,
    phone_of,
    receipt_of,
)
from .texts import clean, code_of, identifier


class StkCallback(msgspec.Struct, frozen=True, kw_only=True):
    """One STK callback, checked and cleaned. Amounts KES, times UTC."""

    merchant_request_id: str | None
    checkout_request_id: str
    code: str
    text: str
    outcome: Outcome
    """PAID for 0 alone, FAILED for a known final code, UNKNOWN for every other."""
    amount: Decimal | None = None
    receipt: str | None = None
    phone: str | None = None
    """As written: 12 digits when whole, otherwise masked."""
    paid_at: datetime | None = None

    def __repr__(self) -> str:
        # The ids and the phone number are personal data.
        return f"<StkCallback {self.outcome} {self.code!r}>"


def evidence_from(
    body: bytes,
    *,
    payment_id: UUID,
    listed: bool,
    observed_at: datetime,
    original: Original | None = None,
) -> Evidence:
    """What the callback says about the payment whose token it came with. Never raises."""
    return Evidence(
        payment_id=payment_id,
        source=Source.CALLBACK,
        observed_at=observed_at,
        listed=listed,
        original=original,
        **_said(body),
    )


def _said(body: bytes) -> dict[str, Any]:
    try:
        return msgspec.structs.asdict(read_stk_callback(body))
    except Unreadable as error:
        problem = error.problem
    except Exception:
        # A fault of ours must not lose the bytes: Safaricom sends them once.
        problem = "unreadable"
    return {"outcome": Outcome.UNREADABLE, "problem": problem}


def read_stk_callback(body: bytes) -> StkCallback:
    """Read a callback. Raises Unreadable (a CallbackUnreadable) that names what is wrong."""
    callback = document(body, "Body", "stkCallback")
    code = code_of(callback.get("ResultCode"))
    checkout_request_id = identifier(callback.get("CheckoutRequestID"))
    if code is None:
        raise Unreadable("bad_result_code")
    if checkout_request_id is None:
        raise Unreadable("bad_checkout_id")
    outcome = outcome_of(code)
    metadata = callback.get("CallbackMetadata")
    return StkCallback(
        merchant_request_id=_merchant_request_id(callback.get("MerchantRequestID")),
        checkout_request_id=checkout_request_id,
        code=code,
        text=clean(callback.get("ResultDesc"), 255),
        outcome=outcome,
        **_money(metadata) if outcome is Outcome.PAID else {},
    )


def _merchant_request_id(raw: object) -> str | None:
    """Nothing is matched by it, so it may be absent; but it may not be something else."""
    found = identifier(raw)
    if found is None and raw not in (None, ""):
        raise Unreadable("bad_merchant_request_id")
    return found


# --- the metadata of a success --------------------------------------------------------------


def _money(metadata: object) -> dict[str, Any]:
    """What was paid. A success without metadata is a claim without a receipt."""
    values = _values(metadata)
    return {
        "amount": amount_of(values.get("Amount")),
        "receipt": receipt_of(values.get("MpesaReceiptNumber")),
        "phone": phone_of(values.get("PhoneNumber")),
        "paid_at": moment_of(values.get("TransactionDate")),
    }


def _values(metadata: object) -> dict[str, Any]:
    found = pairs(metadata, "Item", "Name", "bad_metadata")
    values = dict(found)
    if len(values) != len(found):
        raise Unreadable("duplicate_items")
    return values
