"""Whose prompt goes out next: each merchant in turn, so that one's burst does not starve others."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from milango.core.errors import DarajaBusy
from milango.core.fairness import SOON

MOST_AT_ONCE: Final = 1_000
"""Prompts on their way to Daraja from this process."""

MOST_WAITING: Final = 2_000
"""Requests that wait for a place; more are told at once to come again."""

LATER: Final = "Too many prompts are on their way just now. None was sent; ask again."


class Turns:
    """Places on the way to Daraja. While there are enough, nobody waits."""

    def __init__(self, most_at_once: int = MOST_AT_ONCE, patience: float = SOON) -> None:
        self._free = most_at_once
        self._patience = patience
        self._waiting: dict[UUID, deque[asyncio.Future[None]]] = {}
        self._count = 0

    @asynccontextmanager
    async def take(self, merchant: UUID) -> AsyncIterator[None]:
        """Hold a place. Raises DarajaBusy when there will be none soon: nothing was written."""
        if self._free and not self._waiting:
            self._free -= 1
        else:
            await self._wait(merchant)
        try:
            yield
        finally:
            self._free += 1
            self._next()

    async def _wait(self, merchant: UUID) -> None:
        if self._count >= MOST_WAITING:
            raise DarajaBusy(LATER, retry_after=2)
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(merchant, deque()).append(place)
        self._count += 1
        try:
            async with asyncio.timeout(self._patience):
                await place
        except BaseException as error:
            self._leave(merchant, place)
            if isinstance(error, TimeoutError):
                raise DarajaBusy(LATER, retry_after=2) from None
            raise

    def _leave(self, merchant: UUID, place: asyncio.Future[None]) -> None:
        if place.done() and not place.cancelled():
            # The place was given in the same moment: it goes to somebody else.
            self._free += 1
            self._next()
            return
        waiting = self._waiting.get(merchant)
        if waiting and place in waiting:
            waiting.remove(place)
            self._count -= 1
            if not waiting:
                del self._waiting[merchant]

    def _next(self) -> None:
        """The merchant at the head gets one place, and goes to the end of the line."""
        while self._free and self._waiting:
            merchant = next(iter(self._waiting))
            waiting = self._waiting.pop(merchant)
            place = waiting.popleft()
            self._count -= 1
            if waiting:
                self._waiting[merchant] = waiting
            if not place.done():
                self._free -= 1
                place.set_result(None)
