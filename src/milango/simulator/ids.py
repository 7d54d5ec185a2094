"""Daraja's ids and M-Pesa's receipts in their real formats, EAT clock."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

EAT = timezone(timedelta(hours=3), "EAT")
"""Africa/Nairobi: three hours ahead of UTC, no summer time."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ALPHANUMERIC = LETTERS + "0123456789"
_TOKEN = _ALPHANUMERIC + LETTERS.lower()
_DAYS = "123456789" + LETTERS


def now() -> datetime:
    return datetime.now(EAT)


class Ids:
    """Makes ids that have never been given before by this simulator; repeatable by seed."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)
        self._given: set[str] = set()
        self._counter = self._random.randrange(10_000, 99_999)

    def _fresh(self, make: Callable[[], str]) -> str:
        while (made := make()) in self._given:
            pass
        self._given.add(made)
        return made

    def _text(self, alphabet: str, length: int) -> str:
        return "".join(self._random.choices(alphabet, k=length))

    def token(self) -> str:
        return self._fresh(lambda: self._text(_TOKEN, 28))

    def request_id(self) -> str:
        """A UUIDv4 without its first group, with a counter glued on."""
        self._counter += 1
        bits = self._random.getrandbits
        return (
            f"{bits(16):04x}-4{bits(12):03x}-{8 + bits(2):x}{bits(12):03x}-"
            f"{bits(48):012x}{self._counter}"
        )

    def checkout_request_id(self, at: datetime, phone: str) -> str:
        """`ws_CO_`, the second in EAT, 1-3 more digits, the subscriber: personal data."""
        second = at.astimezone(EAT).strftime("%d%m%Y%H%M%S")
        return self._fresh(
            lambda: f"ws_CO_{second}{self._random.randrange(1, 1000)}{phone[-9:]}",
        )

    def conversation_id(self, at: datetime) -> str:
        """`AG_`, the day in EAT, 20 hexadecimal digits."""
        day = at.astimezone(EAT).strftime("%Y%m%d")
        return f"AG_{day}_{self._random.getrandbits(80):020x}"

    def uuid(self) -> str:
        bits = self._random.getrandbits
        return (
            f"{bits(32):08x}-{bits(16):04x}-4{bits(12):03x}-{8 + bits(2):x}{bits(12):03x}-"
            f"{bits(48):012x}"
        )

    def receipt(self, at: datetime) -> str:
        """Ten characters; the first three tell year, month and day in EAT."""
        return self._fresh(lambda: _day_prefix(at) + self._text(_ALPHANUMERIC, 7))


def _day_prefix(at: datetime) -> str:
    day = at.astimezone(EAT)
    year = LETTERS[(LETTERS.index("S") + day.year - 2024) % 26]
    return year + LETTERS[day.month - 1] + _DAYS[day.day - 1]


def no_receipt(at: datetime) -> str:
    """What stands where a receipt would, when there is none."""
    return _day_prefix(at) + "0000000"


def wire_time(at: datetime) -> str:
    """YYYYMMDDHHmmss in EAT."""
    return at.astimezone(EAT).strftime("%Y%m%d%H%M%S")
