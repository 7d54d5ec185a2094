"""The time that all machines share: the database's, once this process has heard it.

It is carried on by a clock that nobody sets. So a machine whose own clock is a day ahead neither
keeps a phone busy for a day, nor takes the callback of a prompt for an older payment's. Where the
database has no clock of its own (SQLite), it is this machine's.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)

STEADY: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that nobody sets. The first one goes on while the machine sleeps."""

_heard: int | None = None
"""Nanoseconds from the beginning of the steady clock to that of 1970; None: not heard yet."""


def now() -> datetime:
    """The time, in UTC."""
    return EPOCH + timedelta(microseconds=nanoseconds() // 1_000)


def nanoseconds() -> int:
    """The time, since 1970."""
    return time.time_ns() if _heard is None else time.clock_gettime_ns(STEADY) + _heard


def hear(at: datetime | None) -> timedelta:
    """The database says that it is `at` now. None: it has no clock; believe this machine again.

    Returns how far this machine's clock is ahead.
    """
    global _heard
    own = time.time_ns()
    _heard = (at - EPOCH) // MICROSECOND * 1_000 - time.clock_gettime_ns(STEADY) if at else None
    return timedelta(microseconds=(own - nanoseconds()) // 1_000)
