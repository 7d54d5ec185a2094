"""How fast each Daraja app may be asked, learnt from Daraja's own answers. Pure.

Safaricom publishes no figure. So nothing is held back until Daraja pushes
back (spike arrest, quota, busy, 429); then the pace is halved, and grows again with each answer.
"""

from __future__ import annotations

import math
from typing import Final

import msgspec

SOON: Final = 2.0
"""Seconds that a payer's request may wait for its turn; beyond, it is told to come again."""

SLOWEST: Final = 5.0
"""Requests a second, below which no pushing back drives the pace: who asks so seldom and hears
"busy" has met a bad moment of Daraja's, not a limit of its own."""

FREE: Final = 200.0
"""Requests a second at which the pace is forgotten: Daraja has stopped minding."""

GROWTH: Final = 0.1
"""By this much of itself the pace grows with each request that Daraja took."""

MOST_APPS: Final = 10_000

MOST_ROOM: Final = 10_000
"""What a pace without a limit is said to have room for."""

PUSHED_BACK: Final = ("500.003.02", "500.003.03", "429", "policies.ratelimit.")
"""Error codes by which Daraja says: too fast."""


def is_pushing_back(daraja_code: str) -> bool:
    """Whether an error code is about our pace, and not about this one request."""
    return daraja_code.startswith(PUSHED_BACK)


class Pace(msgspec.Struct):
    """One app's pace: when its next request may go out, and how many lately did."""

    rate: float = math.inf
    """Requests a second."""
    next_at: float = 0.0
    second: int = 0
    slowed_at: float = -math.inf
    sent: int = 0
    """Requests of this second and of the one before it, the latter fading."""


class Shares:
    """The paces of all apps. `now` is in seconds, from any clock that does not go back."""

    def __init__(self) -> None:
        self._paces: dict[str, Pace] = {}

    def reserve(self, app: str, now: float, *, patience: float = SOON) -> float:
        """Seconds until this request may go out. More than `patience`: it has no place, and
        nothing was reserved."""
        pace = self._pace(app, now)
        start = max(now, pace.next_at)
        if start - now > patience:
            return start - now
        pace.sent += 1
        if pace.rate < math.inf:
            pace.next_at = start + 1 / pace.rate
        return start - now

    def room(self, app: str, now: float, seconds: float) -> int:
        """How many requests may go out within so many seconds."""
        pace = self._pace(app, now)
        if pace.rate == math.inf:
            return MOST_ROOM
        return max(0, math.ceil((seconds - max(0.0, pace.next_at - now)) * pace.rate))

    def taken(self, app: str, now: float) -> None:
        """Daraja took a request."""
        pace = self._pace(app, now)
        if pace.rate < math.inf:
            pace.rate *= 1 + GROWTH
            if pace.rate > FREE:
                pace.rate, pace.next_at = math.inf, 0.0

    def pushed_back(self, app: str, now: float) -> None:
        """Daraja said that it was too fast: half of what was sent lately, and a pause.

        What it says within the same second is about the same burst, and counts once.
        """
        pace = self._pace(app, now)
        if now - pace.slowed_at < 1:
            return
        pace.slowed_at = now
        lately = min(pace.rate, float(max(pace.sent, 1)))
        pace.rate = max(SLOWEST, lately / 2)
        pace.next_at = max(pace.next_at, now + 1 / pace.rate)

    def _pace(self, app: str, now: float) -> Pace:
        pace = self._paces.get(app)
        if pace is None:
            self._make_room(now)
            pace = self._paces[app] = Pace(second=int(now))
        if pace.second != int(now):
            pace.sent = pace.sent // 2 if int(now) - pace.second == 1 else 0
            pace.second = int(now)
        return pace

    def _make_room(self, now: float) -> None:
        if len(self._paces) >= MOST_APPS:
            held_back = {app: p for app, p in self._paces.items() if p.next_at > now}
            self._paces = held_back if len(held_back) < MOST_APPS else {}
