"""JSON without its ambiguities: what two readers could understand differently is refused (A14)."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

MOST_DIGITS: Final = 20
"""A number with more digits is no amount, date, phone number or code."""


class BadJson(ValueError):
    """Not JSON that can be trusted; `problem` is a word for what is wrong with it."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


def decode(body: bytes) -> Any:
    """The document; numbers with a fraction as Decimal. Raises BadJson, and nothing else."""
    try:
        return json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_decimal,
        )
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("deep_nesting") from None
    except ValueError:
        raise BadJson("not_json") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("duplicate_keys")
    for text in (*found, *found.values()):
        if isinstance(text, str) and any(_is_poison(char) for char in text):
            raise BadJson("bad_characters")
    return found


def _is_poison(char: str) -> bool:
    """NUL and lone surrogates: no database column takes them."""
    return char == "\0" or "\ud800" <= char <= "\udfff"


def _no_constant(name: str) -> NoReturn:
    raise BadJson("bad_number")


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS or digits == "-0":
        raise BadJson("bad_number")
    return int(digits)


def _decimal(digits: str) -> Decimal:
    try:
        number = Decimal(digits[: 2 * MOST_DIGITS + 1])
    except InvalidOperation:
        raise BadJson("bad_number") from None
    if len(digits) > 2 * MOST_DIGITS or abs(number.adjusted()) > MOST_DIGITS:
        raise BadJson("bad_number")
    return number
