"""Hears which payments have news: from PostgreSQL, or from this process where it is alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from uuid import UUID

from django.db import connection

from milango.flows import bell, caches, listening

Wake = Callable[[Iterable[UUID] | None], None]
"""Takes payments with news; None: any payment may have news."""


class Bell:
    """One listener for the process, whatever the number of those who wait."""

    def __init__(self, wake: Wake) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        self._unsubscribe: Callable[[], None] | None = None
        self._listening: asyncio.Task[None] | None = None
        if connection.vendor == "postgresql":
            self._listening = asyncio.create_task(self._listen())
        else:
            self._unsubscribe = bell.subscribe(self._heard)

    async def close(self) -> None:
        """Stop listening."""
        if self._unsubscribe:
            self._unsubscribe()
        if self._listening:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    def _heard(self, payment_ids: Sequence[UUID]) -> None:
        self._loop.call_soon_threadsafe(self._wake, payment_ids)

    async def _listen(self) -> None:
        from milango.flows.store_postgres import CHANNEL

        await listening.listen((CHANNEL, caches.CHANNEL), self._call, self._missed)

    def _missed(self) -> None:
        """What happened while nobody listened was called out to nobody."""
        caches.forget_everything()
        self._wake(None)

    def _call(self, channel: str, payload: str) -> None:
        if channel == caches.CHANNEL:
            caches.forget_everything()
        else:
            self._wake(UUID(hex=each) for each in payload.split(","))
