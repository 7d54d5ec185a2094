"""Reads that are asked for while another is under way are the next read, all of them as one.

What the inbox does for writes. By itself every reader would wait for a thread, a query and the
interpreter; a hundred payers who look at the same moment cost hardly more than one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Set
from contextvars import Context
from typing import Any, Final, Generic, TypeVar

from django.db import InterfaceError, OperationalError, connection

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

AWAY: Final = (OperationalError, InterfaceError)
"""The database is at fault, not one of the keys."""

Asked = tuple[K, asyncio.Future[V | None]]
"""A key, and who waits for what it names."""

MOST: Final = 200
"""Keys of one read: enough to share its cost, few enough to be answered soon."""


class Together(Generic[K, V]):
    """Reads many keys at once. Each is read after it was asked for, never from memory."""

    def __init__(
        self,
        in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
        read: Callable[[Set[K]], Mapping[K, V]],
    ) -> None:
        self._in_thread = in_thread
        self._read = read
        self._waiting: list[Asked[K, V]] = []
        self._reading: asyncio.Task[None] | None = None

    async def ask(self, key: K) -> V | None:
        """What the key names; None where the read has not found it. Raises what the read raised."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[V | None] = loop.create_future()
        self._waiting.append((key, answer))
        if self._reading is None:
            # In nobody's context: what others ask for is no matter of whoever came first.
            self._reading = loop.create_task(self._read_all(), context=Context())
        return await answer

    async def _read_all(self) -> None:
        try:
            while self._waiting:
                asked, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                await self._answer(asked)
        finally:
            self._reading = None

    async def _answer(self, asked: list[Asked[K, V]]) -> None:
        keys = {key for key, _ in asked}
        try:
            found = await self._in_thread(lambda: self._read_of(keys))
        except Exception as error:
            await self._tell_of(error, asked)
            return
        for key, answer in asked:
            if not answer.done():  # whoever asked may have gone
                answer.set_result(found.get(key))

    def _read_of(self, keys: Set[K]) -> Mapping[K, V]:
        """In a thread; once more over a new connection where the old one was lost meanwhile."""
        try:
            return self._read(keys)
        except AWAY:
            was_open = connection.connection is not None
            if not was_open or connection.in_atomic_block or connection.is_usable():
                raise
            connection.close()
            return self._read(keys)

    async def _tell_of(self, error: Exception, asked: list[Asked[K, V]]) -> None:
        if len(asked) > 1 and not isinstance(error, AWAY):
            # Nobody else is to hear of what is wrong with one of them.
            for each in asked:
                await self._answer([each])
            return
        for _, answer in asked:
            if not answer.done():
                answer.set_exception(error)
