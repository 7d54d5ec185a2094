"""STK callbacks: bytes in, `Evidence` out. Whatever comes, nothing here raises past its border."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

import msgspec

from milango.core.errors import CallbackUnreadable
from milango.core.payments import Evidence, Original, Outcome, Source

from .answers import is_code, outcome_of
from .messages import eat_time
from .texts import clean

MOST_DIGITS: Final = 20
"""A number with more digits is no amount, date, phone number or code."""

MOST_ITEMS: Final = 64


class StkCallback(msgspec.Struct, frozen=True, kw_only=True):
    """One STK callback, checked and cleaned (Daraja reference 3.4). Amounts KES, times UTC."""

    merchant_request_id: str
    checkout_request_id: str
    code: str
    text: str
    outcome: Outcome
    amount: Decimal | None = None
    receipt: str | None = None
    phone: str | None = None
    paid_at: datetime | None = None


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
    said: dict[str, Any]
    try:
        said = msgspec.structs.asdict(read_stk_callback(body))
    except Unreadable as error:
        said = {"outcome": Outcome.UNREADABLE, "problem": error.problem}
    return Evidence(
        payment_id=payment_id,
        source=Source.CALLBACK,
        observed_at=observed_at,
        listed=listed,
        original=original,
        **said,
    )


def read_stk_callback(body: bytes) -> StkCallback:
    """Read a callback. Raises Unreadable (a CallbackUnreadable) that names what is wrong."""
    callback = _stk_callback(_decode(body))
    code = callback.get("ResultCode")
    if not is_code(code):
        raise Unreadable("bad_result_code")
    word = clean(code, 33)
    if not word or len(word) > 32:
        raise Unreadable("bad_result_code")
    checkout_request_id = clean(callback.get("CheckoutRequestID"), 128)
    if not checkout_request_id or not isinstance(callback["CheckoutRequestID"], str):
        raise Unreadable("no_checkout_id")
    return StkCallback(
        merchant_request_id=clean(callback.get("MerchantRequestID"), 128),
        checkout_request_id=checkout_request_id,
        code=word,
        text=clean(callback.get("ResultDesc"), 255),
        outcome=outcome_of(word),
        **_metadata(callback.get("CallbackMetadata")) if word == "0" else {},
    )


# --- JSON, strictly -------------------------------------------------------------------------


def _decode(body: bytes) -> Any:
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_small_integer,
            parse_float=_decimal,
        )
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("deep_nesting") from None
    except (UnicodeDecodeError, ValueError):
        raise Unreadable("not_json") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("duplicate_keys")
    for text in [*found, *found.values()]:
        if isinstance(text, str) and any(_is_poison(char) for char in text):
            raise Unreadable("bad_characters")
    return found


def _is_poison(char: str) -> bool:
    """NUL and lone surrogates: no database column takes them."""
    return char == "\0" or "\ud800" <= char <= "\udfff"


def _no_constant(name: str) -> None:
    raise Unreadable("bad_number")


def _small_integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise Unreadable("bad_number")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    number = Decimal(digits) if len(digits) <= 2 * MOST_DIGITS else None
    if number is None or not number.is_finite() or abs(number.adjusted()) > MOST_DIGITS:
        raise Unreadable("bad_number")
    return number


# --- the shape ------------------------------------------------------------------------------


def _stk_callback(document: Any) -> dict[str, Any]:
    found = document
    for name in ("Body", "stkCallback"):
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise Unreadable("not_a_callback")
    return found


def _metadata(metadata: Any) -> dict[str, Any]:
    """The items by name, in any order; `Value` may be missing (Daraja reference 1.4, 3.4)."""
    if metadata is None:
        return {}
    values = _values(metadata)
    receipt = clean(values.get("MpesaReceiptNumber"), 33).upper()
    if receipt and (len(receipt) > 32 or not (receipt.isascii() and receipt.isalnum())):
        raise Unreadable("bad_receipt")
    return {
        "amount": _amount(values.get("Amount")),
        "receipt": receipt or None,
        "phone": clean(values.get("PhoneNumber"), 64) or None,
        "paid_at": _moment(values.get("TransactionDate")),
    }


def _values(metadata: Any) -> dict[str, Any]:
    items = metadata.get("Item") if isinstance(metadata, dict) else None
    items = [items] if isinstance(items, dict) else items
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        raise Unreadable("bad_metadata")
    values: dict[str, Any] = {}
    for item in items:
        name = item.get("Name") if isinstance(item, dict) else None
        if not isinstance(name, str) or name in values:
            raise Unreadable("bad_metadata")
        values[name] = item.get("Value")
    return values


def _amount(raw: Any) -> Decimal | None:
    if raw is None:
        return None
    try:
        amount = Decimal(str(raw).strip()) if not isinstance(raw, bool) else Decimal("NaN")
    except InvalidOperation:
        raise Unreadable("bad_amount") from None
    if not amount.is_finite() or amount <= 0 or amount.adjusted() > 11:
        raise Unreadable("bad_amount")
    return amount


def _moment(raw: Any) -> datetime | None:
    if raw is None:
        return None
    at = eat_time(str(raw).strip())
    if at is None:
        raise Unreadable("bad_date")
    return at
