"""Counts answers in a plain dict, and hands the sums on once a second: counting one costs next to
nothing, and only while there is traffic."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from milango.seen import metrics

if TYPE_CHECKING:
    from .app import Route

EVERY: Final = 1.0
"""Seconds."""


class Tally:
    """Answers of the hot door. Lives on its loop."""

    def __init__(self) -> None:
        self._counts: dict[tuple[Route, int], int] = {}

    def add(self, route: Route, status: int) -> None:
        """Count one answer."""
        key = route, status
        found = self._counts.get(key)
        if found is None:
            if not self._counts:
                asyncio.get_running_loop().call_later(EVERY, self.hand_on)
            found = 0
        self._counts[key] = found + 1

    def hand_on(self) -> None:
        """Add the sums to what is told, and begin anew."""
        counts, self._counts = self._counts, {}
        for (route, status), times in counts.items():
            metrics.count_request(route.method, route.template, status, times)
