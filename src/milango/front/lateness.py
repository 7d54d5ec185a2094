"""Ends the waiting for what does not come in time: one timer for all that wait for an answer."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

LOOKS: Final = 4
"""In the time that is waited. A timer for each future would cost a tenth of what a callback does,
and so does whatever has to find out the task that waits."""


class Lateness:
    """So many seconds for each of many futures; then they raise TimeoutError, up to a quarter late.

    Lives on its loop. What is answered in time is forgotten at the next look.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._watched: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, future: asyncio.Future[Any]) -> None:
        """Wait for this one too, from now on."""
        loop = future.get_loop()
        self._watched.append((loop.time(), future))
        if self._timer is None:
            self._timer = loop.call_later(self._seconds / LOOKS, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        moment = loop.time() - self._seconds
        watched = self._watched
        while watched and (watched[0][1].done() or watched[0][0] <= moment):
            _, future = watched.popleft()
            if not future.done():
                future.set_exception(TimeoutError())
                future.exception()  # looked at: whoever stopped waiting leaves no complaint
        self._timer = None
        if watched:
            self._timer = loop.call_later(self._seconds / LOOKS, self._look, loop)
