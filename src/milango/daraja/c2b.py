"""C2B: bytes of a validation or confirmation in, `Confirmation` out; and the replies.

Nothing raises past its border. A confirmation *is* the paid event: it has no result code, and one
comes for every payment to the short code, those of STK push included.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

import msgspec

from milango.core.reversals import is_reversal

from .fields import (
    Unreadable,
    amount_of,
    document,
    moment_of,
    phone_of,
    receipt_of,
    unsigned,
    word_of,
)
from .texts import clean

SHORT_CODE: Final = re.compile(r"[0-9]{5,7}")
MSISDN: Final = re.compile(r"254[17][0-9]{8}")
HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
TAIL: Final = re.compile(r"254[17][0-9]*[ *•.xX]+([0-9]{2,4})")
BALANCE: Final = re.compile(r"-?[0-9]{1,12}(\.[0-9]{1,2})?")

REFUSED_WORDS: Final = ("mpesa", "m-pesa", "safaricom", "exec", "exe", "cmd", "sql", "query")


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """One C2B payment, or one that M-Pesa asks about. Amounts KES, times UTC."""

    trans_id: str
    """The receipt number. For an STK payment it is the one of its callback."""
    amount: Decimal
    business_short_code: str
    """A paybill; of a till, its own number or its store's."""
    bill_ref: str = ""
    """The account number as the payer typed it; empty for tills."""
    transaction_type: str = ""
    """`Pay Bill`, `Customer Merchant Payment`, `Buy Goods`, or another."""
    is_reversal: bool = False
    """It went back: no document names such a message, and it must not be taken for money."""
    paid_at: datetime | None = None
    msisdn: str = ""
    """The payer's number as written: whole, masked or hashed."""
    payer_name: str = ""
    """What M-Pesa tells of the name, cleaned for people to read: personal data."""
    third_party_id: str = ""
    """What the reply to its validation gave."""
    org_account_balance: Decimal | None = None
    """The short code's balance after the payment; None while it is only asked about."""

    def __repr__(self) -> str:
        # Number, name and reference are personal data.
        return f"<Confirmation {self.business_short_code} {self.trans_id}>"

    @property
    def phone(self) -> str | None:
        """The payer's number when it is a whole one: 12 digits."""
        return self.msisdn if MSISDN.fullmatch(self.msisdn) else None

    @property
    def phone_hash(self) -> str | None:
        """SHA-256 of the payer's number in small hexadecimal digits, as version 1 sends it."""
        return self.msisdn.lower() if HASH.fullmatch(self.msisdn) else None

    @property
    def phone_tail(self) -> str | None:
        """The last digits that a whole or a masked number shows."""
        masked = TAIL.fullmatch(self.msisdn)
        return masked[1] if masked else self.phone[-3:] if self.phone else None


class Unread(msgspec.Struct, frozen=True):
    """Bytes that are no confirmation; `problem` is the word for what is wrong with them."""

    problem: str


def read_c2b(body: bytes) -> Confirmation | Unread:
    """What came to the confirmation or the validation URL; both have one shape. Never raises."""
    try:
        return _confirmation(document(body))
    except Unreadable as error:
        problem = error.problem
    except Exception:
        # A fault of ours must not lose the bytes: Safaricom sends them once.
        problem = "unreadable"
    return Unread(problem)


def _confirmation(values: dict[str, Any]) -> Confirmation:
    words = clean(values.get("TransactionType"), 64)
    back, given = is_reversal(words), values.get("TransAmount")
    receipt = receipt_of(values.get("TransID"))
    amount = amount_of(unsigned(given) if back else given)
    short_code = word_of(values.get("BusinessShortCode")) or ""
    if receipt is None:
        raise Unreadable("no_receipt" if "TransID" in values else "not_a_callback")
    if amount is None:
        raise Unreadable("no_amount")
    if not SHORT_CODE.fullmatch(short_code):
        raise Unreadable("bad_short_code")
    return Confirmation(
        trans_id=receipt,
        amount=amount,
        business_short_code=short_code,
        bill_ref=clean(values.get("BillRefNumber"), 64),
        transaction_type=words,
        is_reversal=back,
        paid_at=moment_of(values.get("TransTime")),
        msisdn=phone_of(values.get("MSISDN")) or "",
        payer_name=_name(values),
        third_party_id=clean(values.get("ThirdPartyTransID"), 128),
        org_account_balance=_balance(values.get("OrgAccountBalance")),
    )


def _name(values: dict[str, Any]) -> str:
    parts = (clean(values.get(key), 64) for key in ("FirstName", "MiddleName", "LastName"))
    return " ".join(part for part in parts if part)


def _balance(raw: object) -> Decimal | None:
    """It may be negative, and it decides nothing: what cannot be read is None."""
    word = format(raw, "f") if isinstance(raw, Decimal) else word_of(raw)
    return Decimal(word) if word and BALANCE.fullmatch(word) else None


# --- replies and addresses ------------------------------------------------------------------


class Rejection(StrEnum):
    """Why a payment is refused at validation. It picks the text that M-Pesa sends the payer."""

    MSISDN = "C2B00011"
    ACCOUNT = "C2B00012"
    AMOUNT = "C2B00013"
    KYC = "C2B00014"
    SHORT_CODE = "C2B00015"
    OTHER = "C2B00016"


def confirmed() -> dict[str, object]:
    """The reply to a confirmation: it was received."""
    return {"ResultCode": 0, "ResultDesc": "Success"}


def accepted(third_party_id: str = "") -> dict[str, object]:
    """The reply to a validation that lets the payment go on; the id comes back with it."""
    reply: dict[str, object] = {"ResultCode": "0", "ResultDesc": "Accepted"}
    return reply | {"ThirdPartyTransID": third_party_id} if third_party_id else reply


def rejected(rejection: Rejection) -> dict[str, object]:
    """The reply to a validation that refuses the payment. No confirmation follows."""
    return {"ResultCode": rejection.value, "ResultDesc": "Rejected"}


def refused_word(url: str) -> str:
    """The word for which Safaricom would refuse a C2B address, or ''."""
    lower = url.lower()
    return next((word for word in REFUSED_WORDS if word in lower), "")
