"""Tell the merchants: takes deliveries that are due, sends them side by side, writes what came.

Any number of workers may do this at once. One turn in the database writes the ends of the last
attempts and takes new ones; while it lasts, attempts go on, and what ends meanwhile is written in
the next turn. So batches grow with the load, by themselves.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import takewhile
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from django.db import DatabaseError, InterfaceError, connection, connections, transaction

from milango.conf import conf
from milango.core.errors import MilangoError
from milango.core.webhooks import JITTER, RETRY_AFTER, Meaning, Window, meaning, next_attempt
from milango.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from milango.models.ids import first_uuid7, uuid7_bytes
from milango.outbound import Answer, Outbound

from . import bell, caches, due, endpoints, hours, installations, letters, listening
from .due import Taken
from .letters import Letter
from .rows import ATTEMPTS
from .store import store

logger = logging.getLogger(__name__)

PAUSE: Final = 0.5
"""Seconds between two looks when nobody rings."""

BACK_OFF: Final = 5.0
"""Seconds to leave a database alone that cannot be used."""

MOST: Final = 2_000
"""Attempts that one worker has under way."""

BRISK: Final = 384
"""As many of them are young: more would wait for this process's turn, not for an answer, and open
connections that nobody needs. `make bench ARGS="--only webhooks"` shows what it is worth."""

YOUNG: Final = 0.5
"""Seconds after which an attempt waits for its endpoint, and keeps nobody else from beginning."""

LEAVE_WITHIN: Final = 3.0
"""Seconds that attempts get to end when the worker stops; the others are made again."""

Due, Delivered, GivenUp = (
    WebhookDelivery.State.DUE.value,
    WebhookDelivery.State.DELIVERED.value,
    WebhookDelivery.State.GIVEN_UP.value,
)


class Ended(NamedTuple):
    """An attempt, and what came of it."""

    taken: Taken
    answer: Answer
    at: datetime

    @property
    def meaning(self) -> Meaning:
        """What the answer means for the delivery."""
        return meaning(self.answer.status)


def turn(
    ended: Sequence[Ended], rooms: dict[UUID, int], most: int, session: UUID | None = None
) -> list[Letter]:
    """Write how attempts ended, and take what is due: one transaction, or none of it.

    Raises Declined when the database belongs to another installation.
    """
    installations.require_adopted()
    hours.look()
    if not ended and connection.vendor == "sqlite":
        return letters.write(due.take(rooms, most, session=session))
    with transaction.atomic(durable=True):
        if ended:
            write(ended)
        taken = due.take(rooms, most, session=session)
    return letters.write(taken)


def write(ended: Sequence[Ended]) -> None:
    """The log, the deliveries, and how their endpoints do. Within the caller's transaction."""
    store().insert(ATTEMPTS, [_logged(each) for each in ended])
    of = {kind: [each for each in ended if each.meaning is kind] for kind in Meaning}
    rows = WebhookDelivery.objects.filter(state=Due)
    rows.filter(pk__in=[each.taken.id for each in of[Meaning.DELIVERED]]).update(
        state=Delivered, next_attempt_at=None
    )
    for each in sorted(of[Meaning.RETRY], key=lambda each: each.taken.id):
        chance = random.random()  # noqa: S311 - it spreads load and guards nothing
        again = next_attempt(each.taken.attempts, each.at, chance)
        # Whoever took it after us has counted on, and its end is theirs to write.
        mine = rows.filter(pk=each.taken.id, attempts=each.taken.attempts)
        mine.update(state=Due if again else GivenUp, next_attempt_at=again)
    rows.filter(pk__in=[each.taken.id for each in of[Meaning.GONE]]).update(
        state=GivenUp, next_attempt_at=None
    )
    _note_health(of)


def _logged(each: Ended) -> tuple[Any, ...]:
    answer = each.answer
    return (
        uuid7_bytes(),
        each.taken.id,
        each.taken.merchant_id,
        answer.status,
        answer.ms,
        answer.text,
        answer.error[:200],
        each.at,
    )


def _note_health(of: dict[Meaning, list[Ended]]) -> None:
    """Since when an endpoint fails; what has failed for too long, or is gone, is disabled."""
    well = {each.taken.endpoint_id for each in of[Meaning.DELIVERED]}
    failed = {each.taken.endpoint_id for each in of[Meaning.RETRY]} - well
    rows = WebhookEndpoint.objects.order_by("pk")
    if well:
        rows.filter(pk__in=well, failing_since__isnull=False).update(failing_since=None)
    if failed:
        rows.filter(pk__in=failed, failing_since=None).update(failing_since=hours.now())
        endpoints.disable_failing(failed)
    for endpoint_id in sorted({each.taken.endpoint_id for each in of[Meaning.GONE]}):
        endpoints.disable_gone(endpoint_id)


class Deliverer:
    """One worker's attempts under way, on one event loop."""

    def __init__(
        self,
        outbound: Outbound,
        *,
        session: UUID | None = None,
        told: Callable[[Letter, Answer], None] | None = None,
    ) -> None:
        self._outbound = outbound
        self._session = session
        self._told = told
        self._windows: dict[UUID, Window] = {}
        # When each began, the youngest last.
        self._under_way: dict[asyncio.Task[None], float] = {}
        self._ended: list[Ended] = []
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        # One thread, and so one connection.
        self._database = ThreadPoolExecutor(1, thread_name_prefix="milango-deliveries")
        self._said = ""

    def ring(self, *ignored: object) -> None:
        """There may be something due. From any thread."""
        with suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._news.set)

    async def run(self, stop: threading.Event) -> None:
        """Deliver until `stop` is set; a database that goes away is waited for."""
        unsubscribe = bell.subscribe(self.ring)
        listening_ = asyncio.create_task(self._listen())
        try:
            while not stop.is_set():
                await self._wait(await self._once())
        finally:
            unsubscribe()
            listening_.cancel()
            await self._leave()

    async def _once(self) -> float:
        """One turn; returns the seconds until the next one, if nobody rings."""
        self._news.clear()
        ended, self._ended = self._ended, []
        rooms = {key: window.room for key, window in self._windows.items()}
        try:
            found = await self._in_thread(turn, ended, rooms, self._room(), self._session)
        except Exception as error:
            # What cannot be written now is written later; nothing is forgotten.
            self._ended = ended + self._ended
            self._say_once(error)
            await self._in_thread(connections.close_all)
            return BACK_OFF
        self._said = ""
        for letter in found:
            self._begin(letter)
        self._forget_idle()
        return PAUSE

    def _room(self) -> int:
        """How many more attempts may begin."""
        since = self._loop.time() - YOUNG
        young = takewhile(lambda began: began > since, reversed(self._under_way.values()))
        return min(MOST - len(self._under_way), BRISK - sum(1 for _ in young))

    def _say_once(self, error: Exception) -> None:
        sentence = str(error) if isinstance(error, MilangoError) else type(error).__name__
        if sentence != self._said:
            unknown = not isinstance(error, MilangoError | DatabaseError | InterfaceError)
            logger.error("webhooks wait: %s", sentence, exc_info=error if unknown else None)
        self._said = sentence

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if seconds == BACK_OFF:
                    await asyncio.sleep(seconds)
                await self._news.wait()

    def _begin(self, letter: Letter) -> None:
        self._windows.setdefault(letter.taken.endpoint_id, Window()).busy += 1
        task = asyncio.create_task(self._attempt(letter))
        self._under_way[task] = self._loop.time()
        task.add_done_callback(self._under_way.pop)

    async def _attempt(self, letter: Letter) -> None:
        if letter.problem or letter.to is None:
            answer = Answer(None, "", letter.problem, 0)
        else:
            headers = letter.headers(hours.now())
            answer = await self._outbound.post(letter.to.url, letter.body, headers)
        ended = Ended(letter.taken, answer, hours.now())
        well = ended.meaning is Meaning.DELIVERED
        self._windows[letter.taken.endpoint_id].ended(well=well)
        self._ended.append(ended)
        self._news.set()
        if self._told:
            self._told(letter, answer)

    def _forget_idle(self) -> None:
        """A window is worth remembering while it is narrow or busy."""
        if len(self._windows) > MOST:
            kept = {key: each for key, each in self._windows.items() if each.busy or each.most < 16}
            self._windows = kept if len(kept) <= 10 * MOST else {}

    async def _listen(self) -> None:
        if connection.vendor != "postgresql":
            return
        from .store_postgres import CHANNEL

        await listening.listen((CHANNEL, endpoints.CHANNEL, caches.CHANNEL), self._call, self.ring)

    def _call(self, channel: str, payload: str) -> None:
        if channel == caches.CHANNEL:
            caches.forget_everything()
        else:
            self._news.set()

    async def _in_thread(self, verb: Callable[..., Any], *words: Any) -> Any:
        return await self._loop.run_in_executor(self._database, verb, *words)

    async def _leave(self) -> None:
        """Let attempts end for a moment, write what came, and leave the rest to their leases."""
        if self._under_way:
            await asyncio.wait(list(self._under_way), timeout=LEAVE_WITHIN)
        for task in self._under_way:
            task.cancel()
        with suppress(Exception):
            if self._ended:
                await self._in_thread(turn, self._ended, {}, 0)
        await self._in_thread(connections.close_all)
        self._database.shutdown()


def run(
    stop: threading.Event,
    *,
    session: UUID | None = None,
    told: Callable[[Letter, Answer], None] | None = None,
) -> None:
    """Deliver in this thread, on a loop of its own, until `stop` is set.

    `session`: only what this endpoint of `milango listen` is to be told.
    """
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_run(stop, session, told))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # it is not made for every system
        return None
    return uvloop.new_event_loop


async def _run(
    stop: threading.Event,
    session: UUID | None,
    told: Callable[[Letter, Answer], None] | None,
) -> None:
    loop = asyncio.get_running_loop()
    # Names are looked up in threads: a few slow ones must not keep all the others waiting.
    loop.set_default_executor(ThreadPoolExecutor(64, thread_name_prefix="milango-names"))
    ours = conf()
    outbound = Outbound(
        anywhere=ours.webhooks_to_anywhere or session is not None,
        own_host=urlsplit(ours.public_url).hostname or "",
    )
    try:
        await Deliverer(outbound, session=session, told=told).run(stop)
    finally:
        await outbound.close()


def sweep(now: datetime | None = None) -> dict[str, int]:
    """Put away what time has decided: old answers, and sessions that nobody listens to any more."""
    now = now or hours.now()
    old = now - timedelta(days=conf().raw_days)
    longest = now + timedelta(seconds=max(RETRY_AFTER) * (1 + JITTER) + 60)
    late = WebhookDelivery.objects.filter(state=Due, next_attempt_at__gt=longest)
    return {
        "answers": WebhookAttempt.objects.filter(id__lt=first_uuid7(old)).delete()[0],
        "sessions": endpoints.close_sessions(before=now),
        # Such a time comes from a clock that was wrong.
        "due_too_late": late.update(next_attempt_at=now),
    }
