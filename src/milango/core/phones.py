"""Kenyan mobile numbers: one spelling inside (`254712345678`), none of them whole in a log."""

from __future__ import annotations

import hmac
import re
from functools import lru_cache
from hashlib import sha256
from typing import Any, Final

import phonenumbers

from .errors import InvalidPhone

LONGEST: Final = 20
WRITTEN: Final = re.compile(r"\+?[0-9(][0-9 ().-]*")
MSISDN: Final = re.compile(r"254[17][0-9]{8}")
"""What M-Pesa prompts: 2547… and 2541…."""

PLAIN: Final = re.compile(r"(?:\+?254|0)([17][0-9]{8})")
"""The spellings of almost everybody; phonenumbers reads the others, at ten times the cost."""

HASH: Final = re.compile(r"[0-9a-fA-F]{64}")
BEGINNING: Final = re.compile(r"^(?:\+?254|0)?(?=[17*])")
HIDDEN: Final = re.compile(r"[ •.xX]")
"""What stands for a digit that is not shown, beside the star."""

MASKED: Final = re.compile(r"([0-9]{0,12})(\**)([0-9]{0,12})")

HINT: Final = "Write it like 0712345678, 0110123456 or 254712345678."


def normalise(raw: object) -> str:
    """`254712345678` from any usual spelling. Raises InvalidPhone, saying what is expected."""
    if isinstance(raw, int) and not isinstance(raw, bool):
        raw = str(raw) if 0 < raw < 10**LONGEST else ""  # Python refuses to print huge integers
    if not isinstance(raw, str):
        raise InvalidPhone(f"The phone number must be text. {HINT}")
    text = raw.strip(" ")
    if len(text) > LONGEST or not WRITTEN.fullmatch(text):
        raise InvalidPhone(f"This is not a phone number. {HINT}")
    return _kenyan_mobile(text)


@lru_cache(maxsize=10_000)
def _kenyan_mobile(text: str) -> str:
    plain = PLAIN.fullmatch(text)
    if plain and _mobile_ranges().fullmatch(plain[1]):
        return f"254{plain[1]}"
    try:
        number = phonenumbers.parse(text, "KE")
    except phonenumbers.NumberParseException:
        raise InvalidPhone(f"This is not a phone number. {HINT}") from None
    msisdn = f"{number.country_code}{number.national_number}"
    mobile = phonenumbers.number_type(number) == phonenumbers.PhoneNumberType.MOBILE
    if not mobile or not MSISDN.fullmatch(msisdn):
        raise InvalidPhone(f"This is not a Kenyan mobile number. {HINT}")
    return msisdn


@lru_cache
def _mobile_ranges() -> re.Pattern[str]:
    """The numbers that are handed out to mobile networks, as phonenumbers knows them."""
    known: Any = phonenumbers.PhoneMetadata.metadata_for_region("KE")
    return re.compile(known.mobile.national_number_pattern)


def may_be(phone: str, written: str) -> bool:
    """Whether a number as M-Pesa writes it, whole, masked or hashed, may stand for this one.

    A number of which nothing is written may be anybody's.
    """
    text = written.strip()
    if HASH.fullmatch(text):
        return hmac.compare_digest(sha256(phone.encode()).hexdigest(), text.lower())
    shown = MASKED.fullmatch(BEGINNING.sub("254", HIDDEN.sub("*", text)))
    if not text or shown is None:
        return True
    is_whole = not shown[2]
    if is_whole:
        return phone == shown[0]
    return phone.startswith(shown[1]) and phone.endswith(shown[3])


def mask(phone: str) -> str:
    """A number as logs and pages may show it: `2547•••••678`."""
    return f"{phone[:4]}•••••{phone[-3:]}" if len(phone) == 12 else "•••"
