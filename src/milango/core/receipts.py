"""Receipts: M-Pesa's codes of transactions.

What M-Pesa itself sends is read more widely (`daraja.fields`): it may change the form, and what it
says is kept. What a person types is held to the form that all receipts have had, because a slip
would give the payment a receipt that does not exist, or another's.
"""

from __future__ import annotations

import re
from typing import Final

from .errors import InvalidRequest

TYPED: Final = re.compile(r"[A-Za-z0-9]{10}")

NO_RECEIPT: Final = re.compile(r"[A-Z0-9]{3}0{7}")
"""What stands for a receipt where there is none: a transaction that failed."""


def typed(text: str) -> str:
    """A receipt as a person types it, in capitals. Raises InvalidRequest."""
    word = text.strip()
    if not TYPED.fullmatch(word):
        message = (
            f"{word[:32]!r} is no receipt. One has ten letters and digits, such as UCE5K7Q2XD, in "
            "the payer's message. Nothing was done."
        )
        raise InvalidRequest(message, field="receipt")
    code = word.upper()
    if NO_RECEIPT.fullmatch(code):
        message = f"{code} is what M-Pesa says of a transaction that failed. Nothing was done."
        raise InvalidRequest(message, field="receipt")
    return code
