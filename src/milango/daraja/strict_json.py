"""JSON without its ambiguities: what two readers could understand differently is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any, Final, NoReturn

import msgspec

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
        found = _QUICK.decode(body)
        if _is_plain(body, found):
            return found
    except (ValueError, RecursionError):
        pass  # the careful way has the words for it
    return _decode_carefully(body)


def _decode_carefully(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
        # UTF-8 and JSON refuse NUL and lone surrogates; only an escape can bring them in.
        return (_WARY if "\\u" in text else _PLAIN).decode(text)
    except BadJson:
        raise
    except RecursionError:
        raise BadJson("deep_nesting") from None
    except ValueError:
        raise BadJson("not_json") from None


DIGITS_ALIKE: Final = bytes.maketrans(b"-123456789", b"0" * 10)
"""A minus counts: the careful reader counts it too."""
MOST_INSIDE: Final = 200
"""Objects and lists. With more of them, how deep is too deep would be each reader's own matter."""
TOO_MANY_DIGITS: Final = b"0" * (MOST_DIGITS + 1)


def _is_plain(body: bytes, found: Any) -> bool:
    """Whether a reader in C, which does not look for ambiguities, read what the careful one reads.

    A name that is given twice is read once, so it leaves a colon less when the document is written
    again. Escapes, numbers that are too long or are `-0`, and what may be nested deeply are the
    careful one's.
    """
    return (
        b"\\u" not in body
        and b"-0" not in body
        and body.count(b"{") + body.count(b"[") <= MOST_INSIDE
        and TOO_MANY_DIGITS not in body.translate(DIGITS_ALIKE)
        and _encode(found).count(b":") == body.count(b":")
    )


POISON: Final = re.compile("[\0\ud800-\udfff]")
"""NUL and lone surrogates: no database column takes them."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise BadJson("duplicate_keys")
    return found


def _unique_and_clean(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = _unique(pairs)
    for text in (*found, *found.values()):
        if isinstance(text, str) and POISON.search(text):
            raise BadJson("bad_characters")
    return found


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


def _decoder(pairs_hook: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=pairs_hook,
        parse_constant=_no_constant,
        parse_int=_integer,
        parse_float=_decimal,
    )


_QUICK: Final = msgspec.json.Decoder(float_hook=_decimal)
_encode: Final = msgspec.json.Encoder().encode
_PLAIN: Final = _decoder(_unique)
_WARY: Final = _decoder(_unique_and_clean)
