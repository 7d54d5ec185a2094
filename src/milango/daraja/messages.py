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


class Push(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An STK push as Daraja wants it (Daraja reference 3.1, 3.2)."""

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


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """An STK query (Daraja reference 4)."""

    business_short_code: str
    password: str
    timestamp: str
    checkout_request_id: str = msgspec.field(name="CheckoutRequestID")


class PushAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Daraja queued the prompt. This says nothing about the payment."""

    checkout_request_id: str
    merchant_request_id: str
    text: str = ""


class QueryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What STK query says. It never carries a receipt, amount or phone number."""

    outcome: Outcome
    """PAID, FAILED, or UNKNOWN for everything that is not final."""
    code: str = ""
    text: str = ""
    checkout_request_id: str = ""


def password(short_code: str, passkey: str, at: datetime) -> tuple[str, str]:
    """The password and the timestamp inside it, made together in EAT (Daraja reference 3.1).

    `at` is an aware time. Raises ValueError for a naive one.
    """
    if at.tzinfo is None:
        raise ValueError("the time of a password needs a time zone")
    timestamp = at.astimezone(EAT).strftime("%Y%m%d%H%M%S")
    return base64.b64encode(f"{short_code}{passkey}{timestamp}".encode()).decode(), timestamp


def eat_time(digits: str) -> datetime | None:
    """Daraja's 14 digits (EAT) as UTC; None when they are no time."""
    if len(digits) != 14 or not (digits.isascii() and digits.isdigit()):
        return None
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=EAT).astimezone(UTC)
    except ValueError:
        return None


def whole_shillings(amount: Decimal | int) -> str:
    """The amount as Daraja takes it: KES without cents. Raises ValueError where cents are asked."""
    if amount != int(amount):
        raise ValueError("an STK push asks for whole shillings")
    return str(int(amount))
