"""When a payment is asked about again. Times are seconds; `now` is an argument."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

CONFIRM_AFTER: Final = (0, 3, 8, 15, 30, 60, 120)
"""Since the claim: when STK query is asked to turn it into proof (threats A1)."""

REFUSED_AFTER: Final = (5, 70, 140, 300)
"""Since the prompt's life was over: when a failure that nobody vouches for is asked about (A10)."""

LONGEST_GAP: Final = timedelta(minutes=10)
"""A due time further away than this comes from a clock that was wrong (B20)."""


def first_check(*, claimed: bool, now: datetime, prompt_until: datetime) -> datetime:
    """When to ask first: at once after a claim, otherwise when the prompt's life is over."""
    return now if claimed else max(now, prompt_until) + timedelta(seconds=REFUSED_AFTER[0])


def following_check(*, claimed: bool, checks: int, now: datetime) -> datetime | None:
    """When to ask again after `checks` questions; None when the schedule has run out."""
    since = CONFIRM_AFTER if claimed else REFUSED_AFTER
    if checks >= len(since):
        return None
    return now + timedelta(seconds=since[checks] - since[checks - 1])
