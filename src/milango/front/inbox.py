"""The inbox: what arrives while a batch commits is the next batch.

An idle writer takes at once whatever is there, and under load the batches grow by themselves. After
a large batch its writer waits a moment for those who were answered: they send their next items at
once, and a batch of all costs hardly more than one of half of them (decision 0025). A few writers
work side by side, each a thread with a connection of its own.
Two items of one lane (one payment, say) are never with two writers at once. Each item is answered
after *its* commit.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Final

import msgspec
from django.db import connection

from milango.core.errors import Declined
from milango.flows import batches
from milango.flows.batches import Verb
from milango.seen import metrics

from .lateness import Lateness

logger = logging.getLogger(__name__)

MOST_WAITING: Final = 4_096
"""Items that may wait. More are refused at once: waiting longer would answer nobody in time."""

LARGEST_BATCH: Final = 128

CROWD: Final = 8
"""A batch this large was made by a crowd, which will be back at once."""

GATHERING: Final = 0.006
"""Seconds that are waited for it at most."""

UNMET: Final = 16
"""Batches after which a crowd is waited for again that did not come back."""

FULL: Final = "Too much has arrived at once. Nothing was stored; send it again."


class Job(msgspec.Struct):
    """One item, and who waits for it."""

    verb: Verb
    item: Any
    lane: Hashable
    answer: asyncio.Future[Any]


class Inbox:
    """Takes items in on the event loop and has them done, in batches, by writers in threads."""

    def __init__(self, *, writers: int, most_waiting: int = MOST_WAITING) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Job] = deque()
        self._most_waiting = most_waiting
        self._busy: set[Hashable] = set()
        self._idle = [
            Writer(number, self._loop, self._done, self._count) for number in range(writers)
        ]
        self._writers = list(self._idle)
        self._turn_is_coming = False
        self._crowd = 0
        """So many have to wait before a turn is taken; the timer takes one in any case."""
        self._timer: asyncio.TimerHandle | None = None
        self._unmet = 0
        """For so many batches no crowd is waited for."""
        self._closing = False
        self._at_rest = asyncio.Event()

    async def submit(
        self, verb: Verb, item: Any, *, trusted: bool = True, lateness: Lateness | None = None
    ) -> Any:
        """Have the item done with others of its kind; returns its outcome, after the commit.

        Raises what became of it, or Declined `database_unavailable` when too much is waiting, or
        TimeoutError by the `lateness` given. Half of the places are kept for trusted items. Who
        stops waiting cancels nothing.
        """
        places = self._most_waiting if trusted else self._most_waiting // 2
        if len(self._waiting) >= places or self._closing:
            raise Declined("database_unavailable", FULL, retry_after=1)
        job = Job(verb, item, verb.lane(item), self._loop.create_future())
        self._waiting.append(job)
        if lateness:
            lateness.watch(job.answer)
        self._ask_for_a_turn()
        return await job.answer

    async def close(self) -> None:
        """Refuse what comes now, and answer what was accepted."""
        self._closing = True
        self._take_a_turn()
        self._rest_if_done()
        await self._at_rest.wait()
        for writer in self._writers:
            writer.stop()
        for writer in self._writers:
            await asyncio.to_thread(writer.join)

    def _ask_for_a_turn(self) -> None:
        """One turn for all that arrives before the loop comes round."""
        if self._idle and not self._turn_is_coming and len(self._waiting) >= self._crowd:
            self._turn_is_coming = True
            self._loop.call_soon(self._take_a_turn)

    def _gather(self, answered: int, others: int) -> None:
        """Wait for those who were answered, but not for long, and not where they stay away."""
        self._unmet -= self._unmet > 0
        crowd = min(answered + others, LARGEST_BATCH)
        if answered < CROWD or self._unmet or self._closing or len(self._waiting) >= crowd:
            self._take_a_turn()
        elif not self._timer:
            self._crowd = crowd
            half_back = others + answered // 2
            self._timer = self._loop.call_later(GATHERING, self._wait_no_longer, half_back)

    def _wait_no_longer(self, half_back: int) -> None:
        if len(self._waiting) < half_back:
            self._unmet = UNMET
        self._take_a_turn()

    def _take_a_turn(self) -> None:
        self._turn_is_coming = False
        self._crowd = 0
        if self._timer:
            self._timer.cancel()
            self._timer = None
        while self._idle and (batch := self._next_batch()):
            self._idle.pop().work_on(batch)

    def _next_batch(self) -> list[Job]:
        """The oldest items of one kind whose lanes are free; the others keep their places."""
        batch: list[Job] = []
        passed: list[Job] = []
        blocked: set[Hashable] = set()
        while self._waiting and len(batch) < LARGEST_BATCH:
            job = self._waiting.popleft()
            other_kind = batch and job.verb is not batch[0].verb
            if other_kind or job.lane in self._busy or job.lane in blocked:
                blocked.add(job.lane)
                passed.append(job)
                continue
            batch.append(job)
            if job.verb.exclusive:
                blocked.add(job.lane)
        self._waiting.extendleft(reversed(passed))
        self._busy.update(job.lane for job in batch)
        return batch

    def _done(self, writer: Writer, batch: list[Job], outcomes: Sequence[Any]) -> None:
        """On the loop: answer everybody, free the lanes, take the next turn."""
        self._busy.difference_update(job.lane for job in batch)
        self._idle.append(writer)
        others = len(self._waiting)
        for job, outcome in zip(batch, outcomes, strict=True):
            if job.answer.done():
                continue
            if isinstance(outcome, Exception):
                job.answer.set_exception(outcome)
                job.answer.exception()  # looked at: whoever stopped waiting leaves no complaint
            else:
                job.answer.set_result(outcome)
        self._gather(len(batch), others)
        self._rest_if_done()

    def _count(self, batch: list[Job], seconds: float) -> None:
        """In the writer's thread, once a batch: on the loop it would cost every item."""
        metrics.batch_done(batch[0].verb.name, len(batch), seconds, len(self._waiting))

    def _rest_if_done(self) -> None:
        if self._closing and not self._waiting and len(self._idle) == len(self._writers):
            self._at_rest.set()


class Writer:
    """A thread with its own database connection, which does one batch after another."""

    def __init__(
        self,
        number: int,
        loop: asyncio.AbstractEventLoop,
        done: Callable[[Writer, list[Job], Sequence[Any]], None],
        count: Callable[[list[Job], float], None],
    ) -> None:
        self._batches: SimpleQueue[list[Job] | None] = SimpleQueue()
        self._loop = loop
        self._done = done
        self._count = count
        self._thread = threading.Thread(
            target=self._run, name=f"milango-writer-{number}", daemon=True
        )
        self._thread.start()

    def work_on(self, batch: list[Job]) -> None:
        """Do this next."""
        self._batches.put(batch)

    def stop(self) -> None:
        """End after what was given."""
        self._batches.put(None)

    def join(self) -> None:
        """Wait for the end."""
        self._thread.join()

    def _run(self) -> None:
        while (batch := self._batches.get()) is not None:
            began = perf_counter()
            outcomes = _outcomes(batch)
            self._count(batch, perf_counter() - began)
            self._loop.call_soon_threadsafe(self._done, self, batch, outcomes)
        connection.close()


def _outcomes(batch: list[Job]) -> Sequence[Any]:
    try:
        return batches.run(batch[0].verb, [job.item for job in batch])
    except BaseException as error:
        # Not even SystemExit ends a writer: all that waits, and all that comes, waits for it.
        broken = RuntimeError(f"{batch[0].verb.name}: the writer met {type(error).__name__}")
        return [broken] * len(batch)
