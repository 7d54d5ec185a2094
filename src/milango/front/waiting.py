"""Those who wait for a payment's news, and what they are told: streams, and polls that wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol
from uuid import UUID

from django.db import Error as AnyDatabaseError

from milango.conf import conf
from milango.core.errors import Declined
from milango.flows import read

HEARTBEAT: Final = 15.0
"""Seconds between signs of life, so that proxies keep idle streams open."""

RECHECK: Final = 60.0
"""Seconds after which a key or a ticket is looked at again."""

AGAIN: Final = 1.0
"""Seconds before news that could not be read are tried again."""

MOST_OF_ONE: Final = 5
"""Streams of one payment that may be open at once."""

Documents = list[dict[str, Any]]
InThread = Callable[[Callable[[], Any]], Awaitable[Any]]


class Waiter(Protocol):
    """Somebody who waits for one payment."""

    def tell(self, events: Documents) -> None:
        """There is news: all events of the payment. Must not block."""

    def beat(self) -> None:
        """A sign of life is due."""

    def may_stay(self) -> bool:
        """Whether what it came with is still good. Called in a thread."""

    def end(self) -> None:
        """It is not."""

    def part(self) -> None:
        """The server stops: let the caller come back to another one."""


class Waiters:
    """Everybody who waits in this process. One read for all payments that rang at once."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._by_payment: dict[UUID, set[Waiter]] = {}
        self._count = 0
        self._rang: set[UUID] = set()
        self._reading = False
        self._heart = asyncio.create_task(self._beat())
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, payment_id: UUID, waiter: Waiter) -> None:
        """Tell the waiter what happens from now on.

        Raises Declined `too_many` when this payment, or the process, has no place left.
        """
        waiting = self._by_payment.get(payment_id, ())
        if self._count >= conf().streams or len(waiting) >= MOST_OF_ONE:
            message = "Too many are waiting here. Ask for the status with ?wait=25 instead."
            raise Declined("too_many_streams", message, retry_after=5)
        self._by_payment.setdefault(payment_id, set()).add(waiter)
        self._count += 1

    def remove(self, payment_id: UUID, waiter: Waiter) -> None:
        """The waiter has gone. Again does nothing."""
        waiting = self._by_payment.get(payment_id)
        if waiting and waiter in waiting:
            waiting.discard(waiter)
            self._count -= 1
            if not waiting:
                del self._by_payment[payment_id]

    def wake(self, payment_ids: Iterable[UUID] | None) -> None:
        """These payments have news; None: look at all of them."""
        known = self._by_payment
        if payment_ids is None:
            self._rang.update(known)
        elif known:
            self._rang.update(each for each in payment_ids if each in known)
        if self._rang and not self._reading:
            self._reading = True
            self._spawn(self._tell())

    def leave(self) -> None:
        """Let everybody go, so that the server can stop."""
        for waiter in self._everybody():
            waiter.part()

    async def close(self) -> None:
        """Stop the heart."""
        self._heart.cancel()
        for task in self._tasks:
            task.cancel()

    async def _tell(self) -> None:
        """Read for everybody who rang; whoever rings meanwhile is in the next round."""
        try:
            while self._rang:
                ids, self._rang = list(self._rang), set()
                try:
                    events = await self._in_thread(lambda ids=ids: read.timelines(ids))  # type: ignore[misc]
                except AnyDatabaseError:
                    # Nobody rings twice for the same news: it is read once the database is back.
                    self._rang.update(each for each in ids if each in self._by_payment)
                    await asyncio.sleep(AGAIN)
                    continue
                for payment_id, documents in events.items():
                    for waiter in tuple(self._by_payment.get(payment_id, ())):
                        waiter.tell(documents)
        finally:
            self._reading = False

    async def _beat(self) -> None:
        beats = 0
        while True:
            await asyncio.sleep(HEARTBEAT)
            beats += 1
            for waiter in self._everybody():
                waiter.beat()
            if beats % (RECHECK // HEARTBEAT) == 0:
                with suppress(AnyDatabaseError):  # then a minute later; the heart must not stop
                    await self._recheck()

    async def _recheck(self) -> None:
        """Part with those whose key was revoked, or whose ticket has expired."""
        everybody = self._everybody()
        gone = await self._in_thread(lambda: [w for w in everybody if not w.may_stay()])
        for waiter in gone:
            waiter.end()

    def _everybody(self) -> list[Waiter]:
        return [waiter for waiting in self._by_payment.values() for waiter in waiting]

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class OneCall:
    """A waiter that is called once: a poll."""

    def __init__(self) -> None:
        self.called = asyncio.Event()
        self.is_over = False

    def tell(self, events: Documents) -> None:
        self.called.set()

    def beat(self) -> None:
        """A poll needs no sign of life."""

    def may_stay(self) -> bool:
        return True

    def end(self) -> None:
        """It ends by itself."""

    def part(self) -> None:
        self.is_over = True
        self.called.set()
