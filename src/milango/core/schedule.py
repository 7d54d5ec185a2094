"""When a payment is asked about again. Times are seconds; `now` and chance are arguments."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

UNANSWERED_AFTER: Final = 25
"""Since the prompt went out: a callback that has not come by now is asked for."""

ASK_AFTER: Final = (25, 40, 65, 100, 150)
"""Since the prompt went out: when STK query is asked while the prompt may still be answered."""

HOUR: Final = 3_600
ASK_AFTER_PROMPT: Final = (
    *(5, 70, 140, 300, 600, 1_200, 2_400),
    *(HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, 24 * HOUR, 36 * HOUR, 48 * HOUR, 72 * HOUR),
)
"""Since the prompt's life was over: what is not known by then is asked about for three days. The
first ones are more than a minute apart, so that two of them can make a failure."""

CONFIRM_AFTER: Final = (
    *(0, 3, 8, 15, 30, 60, 120),
    *(300, 600, 1_200, HOUR, 2 * HOUR, 4 * HOUR, 8 * HOUR, 16 * HOUR, 24 * HOUR),
)
"""Since the claim: when STK query is asked to turn it into proof. After a day a person decides."""

JITTER: Final = 0.1
"""By up to this part of itself a gap grows, so that what failed together does not return so."""

LONGEST_GAP: Final = timedelta(hours=28)
"""A due time further away than this comes from a clock that was wrong."""


def check_of_claim(*, checks: int, now: datetime, chance: float) -> datetime | None:
    """When to ask again about a claim after `checks` questions; None: a person decides.

    `chance` lies in 0..1 and spreads the times.
    """
    if checks >= len(CONFIRM_AFTER):
        return None
    gap = CONFIRM_AFTER[checks] - CONFIRM_AFTER[checks - 1]
    return now + timedelta(seconds=gap * (1 + JITTER * chance))


def check_of_silence(
    *, asked_at: datetime, prompt_until: datetime, now: datetime, chance: float
) -> datetime | None:
    """When to ask next about a prompt of which nothing is known; None: the schedule has run out.

    By the time alone, not by the number of questions: after an outage of hours one question is
    asked and not all that were missed.
    """
    times = [asked_at + timedelta(seconds=after) for after in ASK_AFTER]
    times = [at for at in times if at < prompt_until]
    times += [prompt_until + timedelta(seconds=after) for after in ASK_AFTER_PROMPT]
    later = [at for at in times if at > now]
    if not later:
        return None
    return later[0] + (later[0] - now) * JITTER * chance
