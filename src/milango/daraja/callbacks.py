"""STK callbacks: bytes in, `Evidence` out. Whatever comes, nothing here raises past its border."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from milango.core.errors import CallbackUnreadable
from milango.core.payments import Evidence, Original, Outcome, Source

from .answers import outcome_of
from .messages import eat_time
from .strict_json import BadJson, decode
from .texts import BLANKS, clean, code_of, identifier

MOST_ITEMS: Final = 64

RECEIPT: Final = re.compile(r"[A-Za-z0-9]{1,32}")
AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?")
PHONE: Final = re.compile(r"[ -~•]{1,64}")
"""Masked numbers hold stars, dots or spaces (Daraja reference 3.4)."""
CENT: Final = Decimal("0.01")


class StkCallback(msgspec.Struct, frozen=True, kw_only=True):
    """One STK callback, checked and cleaned (Daraja reference 3.4). Amounts KES, times UTC."""

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


class Unreadable(CallbackUnreadable):
    """A callback that cannot be read; `problem` is the word for its doubt."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The callback cannot be read: {problem}.")
        self.problem = problem


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
    callback = _stk_callback(body)
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


def _stk_callback(body: bytes) -> dict[str, Any]:
    try:
        found = decode(body)
    except BadJson as error:
        raise Unreadable(error.problem) from None
    for name in ("Body", "stkCallback"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise Unreadable("not_a_callback")
    return found


def _merchant_request_id(raw: object) -> str | None:
    """Nothing is matched by it, so it may be absent; but it may not be something else."""
    found = identifier(raw)
    if found is None and raw not in (None, ""):
        raise Unreadable("bad_merchant_request_id")
    return found


# --- the metadata of a success --------------------------------------------------------------


def _money(metadata: object) -> dict[str, Any]:
    """What was paid. A success without metadata is a claim without a receipt (A14)."""
    values = _values(metadata)
    return {
        "amount": _amount(values.get("Amount")),
        "receipt": _receipt(values.get("MpesaReceiptNumber")),
        "phone": _phone(values.get("PhoneNumber")),
        "paid_at": _moment(values.get("TransactionDate")),
    }


def _values(metadata: object) -> dict[str, Any]:
    """The items by name, in any order; `Value` may be missing (Daraja reference 1.4, 3.4)."""
    if metadata is None:
        return {}
    if not isinstance(metadata, dict):
        raise Unreadable("bad_metadata")
    items = metadata.get("Item") or []
    items = [items] if isinstance(items, dict) else items
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        raise Unreadable("bad_metadata")
    values: dict[str, Any] = {}
    for item in items:
        name = item.get("Name") if isinstance(item, dict) else None
        if not isinstance(name, str):
            raise Unreadable("bad_metadata")
        if name in values:
            raise Unreadable("duplicate_items")
        values[name] = item.get("Value")
    return values


def _word(raw: object) -> str | None:
    """A text or a whole number as text; None for anything else. Nothing at all is ''."""
    if raw is None:
        return ""
    if isinstance(raw, Decimal) and raw == raw.to_integral_value():
        return f"{raw:.0f}"
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        return None
    return str(raw).strip(BLANKS)


def _amount(raw: object) -> Decimal | None:
    """1, 1.0, "1.00": all seen, all the same. Cents beyond two digits are no shillings."""
    if raw is None:
        return None
    word = format(raw, "f") if isinstance(raw, Decimal) else _word(raw)
    amount = Decimal(word) if word and AMOUNT.fullmatch(word) else Decimal(0)
    if not amount or amount != amount.quantize(CENT):
        raise Unreadable("bad_amount")
    return amount.quantize(CENT)


def _receipt(raw: object) -> str | None:
    word = raw.strip(BLANKS) if isinstance(raw, str) else raw
    if word is None or word == "":
        return None
    if not isinstance(word, str) or not RECEIPT.fullmatch(word):
        raise Unreadable("bad_receipt")
    return word.upper()


def _phone(raw: object) -> str | None:
    word = _word(raw)
    if word == "":
        return None
    if word is None or not PHONE.fullmatch(word):
        raise Unreadable("bad_phone")
    return word


def _moment(raw: object) -> datetime | None:
    word = _word(raw)
    if word == "":
        return None
    at = eat_time(word) if word else None
    if at is None:
        raise Unreadable("bad_date")
    return at
