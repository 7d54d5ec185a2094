"""Hears which payments have news: from PostgreSQL, or from this process where it is alone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final
from uuid import UUID

from django.db import connection

from milango.flows import bell, caches

logger = logging.getLogger(__name__)

AGAIN: Final = (0.1, 0.5, 1, 2, 5)
"""Seconds before the connection is tried again; the last one for ever."""

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
        """Listen for as long as the process lives; a lost connection is made anew."""
        failures = 0
        while True:
            try:
                async with await _connect() as listener:
                    failures = 0
                    await self._hear(listener)
            except Exception as error:
                if not failures:
                    logger.warning("nobody is woken just now: %s", type(error).__name__)
            await asyncio.sleep(AGAIN[min(failures, len(AGAIN) - 1)])
            failures += 1

    async def _hear(self, listener: Any) -> None:
        from milango.flows.store_postgres import CHANNEL

        await listener.execute(f"LISTEN {CHANNEL}")
        await listener.execute(f"LISTEN {caches.CHANNEL}")
        # What happened while nobody listened was called out to nobody.
        caches.forget_everything()
        self._wake(None)
        async for call in listener.notifies():
            if call.channel == caches.CHANNEL:
                caches.forget_everything()
            else:
                self._wake(UUID(hex=each) for each in call.payload.split(","))


async def _connect() -> Any:
    """A connection of its own, outside any pool: listening is a session's matter."""
    from psycopg import AsyncConnection

    wanted = connection.get_connection_params()
    named = {name: wanted[name] for name in CONNECTION if wanted.get(name)}
    return await AsyncConnection.connect(**named, autocommit=True)


CONNECTION: Final = (
    "dbname user password host port service sslmode sslrootcert sslcert sslkey connect_timeout"
).split()
