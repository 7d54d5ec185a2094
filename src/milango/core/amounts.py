"""Amounts that may be asked for: whole Kenyan shillings (KES)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from .errors import InvalidAmount

STK_MINIMUM: Final = Decimal(1)
STK_MAXIMUM: Final = Decimal(250_000)
"""KES in one STK push."""

WRITTEN: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,2})?")
HINT: Final = "Give whole shillings from 1 to 250000, such as 50."


def parse_amount(raw: object) -> Decimal:
    """The amount of an STK push: a JSON number, or text like `"50"` or `"50.00"`.

    Raises InvalidAmount for true, 1.5, 0, -1, 250001, "fifty", NaN and the like.
    """
    if isinstance(raw, bool) or not isinstance(raw, int | float | Decimal | str):
        raise InvalidAmount(f"The amount must be a number. {HINT}")
    amount = _from_text(raw) if isinstance(raw, str) else _from_number(raw)
    if amount != amount.to_integral_value():
        raise InvalidAmount(f"M-Pesa prompts ask for whole shillings. {HINT}")
    if not STK_MINIMUM <= amount <= STK_MAXIMUM:
        raise InvalidAmount(f"The amount is out of range. {HINT}")
    return amount.quantize(Decimal(1))


def _from_text(raw: str) -> Decimal:
    if not WRITTEN.fullmatch(raw.strip()):
        raise InvalidAmount(f"This is not an amount. {HINT}")
    return Decimal(raw.strip())


def _from_number(raw: int | float | Decimal) -> Decimal:
    amount = Decimal(str(raw)) if isinstance(raw, float) else Decimal(raw)
    if not amount.is_finite() or amount.adjusted() > 12:
        raise InvalidAmount(f"The amount is out of range. {HINT}")
    return amount
