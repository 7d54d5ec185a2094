"""The words of a request: references, order ids, service types, metadata, short codes."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final

from .errors import InvalidRequest

ON_THE_WIRE: Final = re.compile(r"[A-Za-z0-9 ._/-]+")
"""Other characters were blamed for unexplained failures."""

SHORT_CODE: Final = re.compile(r"[0-9]{5,7}")
SERVICE_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,31}")
ORDER_ID: Final = re.compile(r"[!-~]{1,64}")

METADATA_KEYS: Final = 20
METADATA_KEY_LENGTH: Final = 40
METADATA_TEXT_LENGTH: Final = 500
METADATA_BYTES: Final = 4_096


def account_reference(raw: object) -> str:
    """At most 12 characters: the payer sees them in the prompt and in the SMS."""
    return _wire_text(raw, "account_reference", 12)


def description(raw: object) -> str:
    """At most 13 characters."""
    return _wire_text(raw, "description", 13)


def _wire_text(raw: object, field: str, length: int) -> str:
    text = raw.strip(" ") if isinstance(raw, str) else ""
    if not text:
        raise _wrong(field, "must be text, and not empty")
    if len(text) > length:
        raise _wrong(field, f"may have {length} characters at most")
    if not ON_THE_WIRE.fullmatch(text):
        raise _wrong(field, "may have letters, digits, spaces and . _ / - only")
    return text


# --- account numbers with check digits ------------------------------------------------------

FOLD: Final = str.maketrans("OIL", "011", " ._/-")
"""What is written alike is read alike, and what only separates is nothing."""

PREFIX: Final = re.compile(r"(?:[A-HJKMNP-Z]{2}[0-9A-HJKMNP-Z]*)?")
CHECKED: Final = re.compile(r"(?:[0-9]+|[A-HJKMNP-Z]{2}[0-9A-HJKMNP-Z]*)[0-9]{2}")
REFERENCE_LENGTH: Final = 12
CHECK_PRIME: Final = 97


def checked_reference(number: int, prefix: str = "") -> str:
    """An account reference for customer or order `number`, ended by two check digits.

    One wrong character, or two that changed places, never make another reference that
    `read_checked` would take; of all other slips 1 in 97 passes. Digits alone are the easiest to
    type on a phone. A prefix has two letters or more at its beginning, and no I, L or O, which
    are read as 1, 1 and 0. Raises InvalidRequest for a prefix that does not fit, and for more
    than 12 characters in all.
    """
    if not PREFIX.fullmatch(prefix):
        raise _wrong("prefix", "begins with two capital letters, and has no I, L or O")
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise _wrong("number", "must be a whole number, and not negative")
    if number >= 10**REFERENCE_LENGTH or len(f"{prefix}{number}") > REFERENCE_LENGTH - 2:
        raise _wrong("account_reference", f"may have {REFERENCE_LENGTH} characters at most")
    body = f"{prefix}{number}"
    return f"{body}{CHECK_PRIME + 1 - _remainder(body + '00'):02d}"


def read_checked(raw: object) -> str:
    """The reference that a payer typed, as `checked_reference` wrote it.

    Small letters, spaces, hyphens, and O for 0 or I for 1 are taken. Raises InvalidRequest with
    the code `unknown_reference` for everything that is not such a reference: ask again, and
    credit nobody.
    """
    text = raw.upper().translate(FOLD) if isinstance(raw, str) and len(raw) <= 64 else ""
    fits = len(text) <= REFERENCE_LENGTH and CHECKED.fullmatch(text)
    if not fits or not "02" <= text[-2:] <= "98" or _remainder(text) != 1:
        raise InvalidRequest(
            "account_reference has a slip: its check digits do not fit.",
            field="account_reference",
            code="unknown_reference",
        )
    return text


def _remainder(text: str) -> int:
    """The text as a number in base 10 whose digits go to 35, modulo 97 (as ISO 7064 does).

    The prime is larger than twice any digit and divides neither 10 nor 9, so neither a changed
    digit nor an exchange of neighbours keeps the remainder. It begins with a 1, so that a 0 put
    in front does not either.
    """
    value = 1
    for char in text:
        value = (value * 10 + int(char, 36)) % CHECK_PRIME
    return value


def short_code(raw: object) -> str:
    """A paybill, till or store number: 5 to 7 digits, kept as text."""
    small = isinstance(raw, int) and not isinstance(raw, bool) and 0 < raw < 10**7
    text = str(raw) if small else raw
    if not isinstance(text, str) or not SHORT_CODE.fullmatch(text.strip(" ")):
        raise _wrong("shortcode", "must be 5 to 7 digits")
    return text.strip(" ")


def service_type(raw: object) -> str:
    """What the money is for: `payment`, `captive_portal`, or a word of your own."""
    if not isinstance(raw, str) or not SERVICE_TYPE.fullmatch(raw):
        raise _wrong("service_type", "must be a word of a-z, 0-9 and _ with 32 characters at most")
    return raw


def order_id(raw: object) -> str:
    """Your own name for what is paid: one order is paid once."""
    if not isinstance(raw, str) or not ORDER_ID.fullmatch(raw):
        raise _wrong("order_id", "must be 1 to 64 printable ASCII characters without spaces")
    return raw


def metadata(raw: object) -> dict[str, Any]:
    """Your own notes: at most 20 names with text, numbers or true/false, 4 kB in all."""
    if not isinstance(raw, dict) or len(raw) > METADATA_KEYS:
        raise _wrong("metadata", f"must be an object with {METADATA_KEYS} names at most")
    kept = {_name(name): _value(value) for name, value in raw.items()}
    if len(json.dumps(kept, ensure_ascii=False).encode()) > METADATA_BYTES:
        raise _wrong("metadata", f"may have {METADATA_BYTES} bytes at most")
    return kept


def _name(name: object) -> str:
    if not isinstance(name, str) or not name or not _is_storable(name):
        raise _wrong("metadata", "has a name that is empty, no text, or has NUL")
    if len(name) > METADATA_KEY_LENGTH:
        raise _wrong("metadata", f"has a name over {METADATA_KEY_LENGTH} long")
    return name


def _value(value: Any) -> Any:
    if isinstance(value, str):
        if len(value) > METADATA_TEXT_LENGTH or not _is_storable(value):
            raise _wrong("metadata", f"has a text over {METADATA_TEXT_LENGTH} long, or with NUL")
        return value
    if isinstance(value, Decimal) and value.is_finite() and -300 < value.adjusted() < 300:
        return float(value)
    if value is None or isinstance(value, bool) or _is_small(value):
        return value
    raise _wrong("metadata", "may hold text, numbers, true, false and null only")


def _is_small(value: Any) -> bool:
    return isinstance(value, int) and abs(value) < 2**53


def _is_storable(text: str) -> bool:
    """NUL and lone surrogates: no database takes them."""
    return not any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text)


def _wrong(field: str, what: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {what}.", field=field)
