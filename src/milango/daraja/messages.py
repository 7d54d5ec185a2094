"""Every request and answer of STK push and query; the wire's spelling stays behind this border."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Final

import msgspec

from milango.core.payments import Outcome

EAT: Final = timezone(timedelta(hours=3), "EAT")
"""East Africa Time: UTC+3, without summer time. Daraja's times carry no zone."""

OAUTH_PATH: Final = "/oauth/v1/generate?grant_type=client_credentials"
PUSH_PATH: Final = "/mpesa/stkpush/v1/processrequest"
QUERY_PATH: Final = "/mpesa/stkpushquery/v1/query"

PAYBILL: Final = "paybill"
TILL: Final = "till"
TRANSACTION_TYPES: Final = {PAYBILL: "CustomerPayBillOnline", TILL: "CustomerBuyGoodsOnline"}


class Private(msgspec.Struct, frozen=True, kw_only=True):
    """Holds secrets or personal data: its repr, which logs and tracebacks show, is its name."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    @property
    def secret(self) -> str:
        """What an answer must not echo into our logs; '' for a request without a secret."""
        return ""


class Push(Private, frozen=True, kw_only=True, rename="pascal"):
    """An STK push as Daraja wants it."""

    business_short_code: str
    password: str
    timestamp: str
    transaction_type: str
    amount: str
    party_a: str
    party_b: str
    phone_number: str
    call_back_url: str = msgspec.field(name="CallBackURL")
    account_reference: str
    transaction_desc: str

    @property
    def secret(self) -> str:
        """The password, which the passkey is in."""
        return self.password


class Query(Private, frozen=True, kw_only=True, rename="pascal"):
    """An STK query."""

    business_short_code: str
    password: str
    timestamp: str
    checkout_request_id: str = msgspec.field(name="CheckoutRequestID")

    @property
    def secret(self) -> str:
        """The password, which the passkey is in."""
        return self.password


class PushAccepted(Private, frozen=True, kw_only=True):
    """Daraja queued the prompt. This says nothing about the payment."""

    checkout_request_id: str
    """Contains the payer's phone number: personal data."""
    merchant_request_id: str
    text: str = ""


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What STK query says. It never carries a receipt, amount or phone number."""

    outcome: Outcome
    """PAID, FAILED, or UNKNOWN for everything that is not final."""
    code: str = ""
    text: str = ""
    checkout_request_id: str = ""

    def __repr__(self) -> str:
        return f"<QueryAnswer {self.outcome} {self.code!r}>"


def password(short_code: str, passkey: str, at: datetime) -> tuple[str, str]:
    """The password and the timestamp inside it, made together in EAT.

    `at` is an aware time. Raises ValueError for a naive one.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a password needs a time zone")
    timestamp = at.astimezone(EAT).strftime("%Y%m%d%H%M%S")
    return base64.b64encode(f"{short_code}{passkey}{timestamp}".encode()).decode(), timestamp


def push(
    *,
    kind: str,
    short_code: str,
    business_short_code: str,
    proof: tuple[str, str],
    amount: Decimal,
    phone_number: str,
    callback_url: str,
    account_reference: str,
    description: str,
) -> Push:
    """The request for a prompt; `proof` is what `password` made.

    A paybill signs and receives under one number. A till receives under its own number and signs
    under another, its store's.
    """
    return Push(
        business_short_code=business_short_code,
        password=proof[0],
        timestamp=proof[1],
        transaction_type=TRANSACTION_TYPES[kind],
        amount=str(int(amount)),
        party_a=phone_number,
        party_b=short_code,
        phone_number=phone_number,
        call_back_url=callback_url,
        account_reference=account_reference,
        transaction_desc=description,
    )


def query(business_short_code: str, checkout_request_id: str, proof: tuple[str, str]) -> Query:
    """The question how a push ended, signed by the number that asked for it."""
    return Query(
        business_short_code=business_short_code,
        password=proof[0],
        timestamp=proof[1],
        checkout_request_id=checkout_request_id,
    )


def eat_time(digits: str) -> datetime | None:
    """Daraja's 14 digits (EAT) as UTC; None when they are no time."""
    if len(digits) != 14 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return datetime.fromisoformat(f"{digits[:8]}T{digits[8:]}+03:00").astimezone(UTC)
    except (ValueError, OverflowError):
        return None
