"""The values inside Daraja's messages: amounts, receipts, numbers, dates. Each is read strictly.

What is absent is None; what is there and cannot be read raises Unreadable, with the word for it.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from milango.core.errors import CallbackUnreadable

from .messages import eat_time
from .strict_json import BadJson, decode
from .texts import BLANKS

MOST_ITEMS: Final = 64

RECEIPT: Final = re.compile(r"[A-Za-z0-9]{1,32}")
AMOUNT: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,20})?")
PHONE: Final = re.compile(r"[ -~•]{1,64}")
"""Masked numbers hold stars, dots or spaces, hashed ones 64 digits."""
CENT: Final = Decimal("0.01")


class Unreadable(CallbackUnreadable):
    """A callback that cannot be read; `problem` is the word for its doubt."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"The callback cannot be read: {problem}.")
        self.problem = problem


def document(body: bytes, *path: str) -> dict[str, Any]:
    """The object at the end of the path. Raises Unreadable for bytes that hold none."""
    try:
        found = decode(body)
    except BadJson as error:
        raise Unreadable(error.problem) from None
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    if not isinstance(found, dict):
        raise Unreadable("not_a_callback")
    return found


def pairs(container: object, inside: str, name: str, problem: str) -> list[tuple[str, Any]]:
    """Names and values of a list in a container, in any order.

    The list may be one object, and a `Value` may be missing.
    """
    if container is None:
        return []
    if not isinstance(container, dict):
        raise Unreadable(problem)
    items = container.get(inside) or []
    items = [items] if isinstance(items, dict) else items
    if not isinstance(items, list) or len(items) > MOST_ITEMS:
        raise Unreadable(problem)
    found = []
    for item in items:
        word = item.get(name) if isinstance(item, dict) else None
        if not isinstance(word, str):
            raise Unreadable(problem)
        found.append((word, item.get("Value")))
    return found


def word_of(raw: object) -> str | None:
    """A text or a whole number as text; None for anything else. Nothing at all is ''."""
    if raw is None:
        return ""
    if isinstance(raw, Decimal) and raw == raw.to_integral_value():
        return f"{raw:.0f}"
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        return None
    return str(raw).strip(BLANKS)


def amount_of(raw: object) -> Decimal | None:
    """1, 1.0, "1.00": all seen, all the same. Cents beyond two digits are no shillings."""
    if raw is None:
        return None
    word = format(raw, "f") if isinstance(raw, Decimal) else word_of(raw)
    amount = Decimal(word) if word and AMOUNT.fullmatch(word) else Decimal(0)
    if not amount or amount != amount.quantize(CENT):
        raise Unreadable("bad_amount")
    return amount.quantize(CENT)


def unsigned(raw: object) -> object:
    """An amount without its minus sign: where the words tell which way it went."""
    if isinstance(raw, Decimal | int) and not isinstance(raw, bool):
        return abs(raw)
    return raw.strip(BLANKS).removeprefix("-") if isinstance(raw, str) else raw


def receipt_of(raw: object) -> str | None:
    """A receipt number, in capitals."""
    word = raw.strip(BLANKS) if isinstance(raw, str) else raw
    if word is None or word == "":
        return None
    if not isinstance(word, str) or not RECEIPT.fullmatch(word):
        raise Unreadable("bad_receipt")
    return word.upper()


def phone_of(raw: object) -> str | None:
    """The payer's number as written: whole, masked or hashed."""
    word = word_of(raw)
    if word == "":
        return None
    if word is None or not PHONE.fullmatch(word):
        raise Unreadable("bad_phone")
    return word


def moment_of(raw: object) -> datetime | None:
    """Daraja's 14 digits (EAT) as UTC."""
    word = word_of(raw)
    if word == "":
        return None
    at = eat_time(word) if word else None
    if at is None:
        raise Unreadable("bad_date")
    return at
