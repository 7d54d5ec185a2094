"""What a worker does over and over: each round in a thread of its own, until told to stop.

A round that fails is tried again after a pause, one that hangs holds up itself alone, and a worker
that is killed leaves rows behind that are still due: the others find them.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from django.db import (
    DatabaseError,
    InterfaceError,
    close_old_connections,
    connection,
    connections,
)

from milango.core.errors import Declined
from milango.flows import (
    bell,
    deliver,
    heartbeats,
    hours,
    installations,
    listening,
    pulls,
    reconcile,
)
from milango.flows.problems import log_unexpected

from . import clock, jobs
from .compat import task_backends

logger = logging.getLogger(__name__)

BACK_OFF: Final = 5.0
"""Seconds to leave a database alone that cannot be used, or a round that broke."""

HURRY: Final = 0.2
"""Seconds between two turns of a round that has more to do, or that is woken often."""

GRACE: Final = 4.0
"""Seconds that rounds get to come to their end when the worker is told to stop."""

TOO_LONG: Final = 600.0
"""Seconds after which a turn that has not ended is complained of."""

OURS: Final = "milango-round-"
"""How the names of our threads begin."""

LOOK: Final = 5.0
"""Seconds between two looks at who hangs."""


class Round(NamedTuple):
    """Work that is done every so many seconds, by every worker."""

    name: str
    do: Callable[[], object]
    """One turn, with rows that no other worker has. A true result: there is more to do."""
    every: float
    on_news: bool = False
    """Also at once when a payment has news: its truth may have become worth asking for."""


class Loop(NamedTuple):
    """Work that keeps its own time. `run` comes back soon after the event is set."""

    name: str
    run: Callable[[threading.Event], None]


_beaten: Final = {"at": float("-inf")}


def _ask() -> int:
    """The sign of life comes from the round that resolves payments: others may not speak for it."""
    if time.monotonic() - _beaten["at"] > heartbeats.EVERY:
        heartbeats.beat()
        _beaten["at"] = time.monotonic()
    return reconcile.ask_due()


ROUNDS: Final[list[Round]] = [
    Round("ask", _ask, every=1.0, on_news=True),
    Round("pull", lambda: pulls.pull_due(), every=5.0),
    Round("clock", lambda: clock.tick(), every=1.0),
]


def _loops(ring: Callable[[], None]) -> list[Loop]:
    loops = [Loop("news", lambda stop: _hear(ring, stop)), Loop("webhooks", deliver.run)]
    # An engine of ours brings its worker; a host's own engine is run by the host.
    if work := getattr(task_backends[jobs.BACKEND], "work", None):
        loops.append(Loop("tasks", work))
    return loops


def run(stop: threading.Event) -> None:
    """Work until `stop` is set, and a few seconds more at most. A database that goes away is
    waited for."""
    turns = [_Turns(each, stop) for each in ROUNDS]

    def ring() -> None:
        for each in turns:
            each.ring()

    works: list[tuple[str, Callable[[], None]]] = [(t.round.name, t.run) for t in turns]
    works += [(each.name, _kept(each, stop)) for each in _loops(ring)]
    threads = [
        threading.Thread(target=work, name=f"{OURS}{name}", daemon=True) for name, work in works
    ]
    for thread in threads:
        thread.start()
    while not stop.wait(LOOK):
        for each in turns:
            each.complain()
    ends = time.monotonic() + GRACE
    for each in turns:
        each.wake.set()
    for thread in threads:
        thread.join(max(0.0, ends - time.monotonic()))


def start() -> tuple[threading.Thread, threading.Event]:
    """Work in threads of this process: the embedded form. Set the event to end it."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), name="milango-worker", daemon=True)
    thread.start()
    return thread, stop


def leave() -> None:
    """End the process now if a round has not come to its end.

    Python would wait for threads that an executor began, even from a daemon. What they were doing
    stays due.
    """
    if any(each.name.startswith(OURS) for each in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


class _Turns:
    """The turns of one round, in its thread."""

    def __init__(self, round: Round, stop: threading.Event) -> None:
        self.round = round
        self.wake = threading.Event()
        self._stop = stop
        self._told = _Told(round.name)
        self._began: float | None = None

    def ring(self) -> None:
        """There is news."""
        if self.round.on_news:
            self.wake.set()

    def run(self) -> None:
        while not self._stop.is_set():
            self.wake.clear()
            try:
                pause = self._turn()
            except Exception as error:
                # One row that breaks us must not end the work for all the others.
                self._told.say(error)
                self._stop.wait(BACK_OFF)
                continue
            finally:
                self._began = None
            self._told.well()
            # Rings come by the hundred: together they are one turn.
            self._stop.wait(min(pause, HURRY))
            self.wake.wait(max(0.0, pause - HURRY))
        connections.close_all()

    def _turn(self) -> float:
        """Do what is due; returns the seconds until the next turn, if nobody rings."""
        self._began = time.monotonic()
        close_old_connections()
        installations.require_adopted()
        hours.look()
        return HURRY if self.round.do() else self.round.every

    def complain(self) -> None:
        """Say that a turn hangs. It cannot be ended from here, and nothing else waits for it."""
        began = self._began
        if began is not None and time.monotonic() - began > TOO_LONG:
            self._told.say(Declined("hangs", f"a turn has not ended for {TOO_LONG:.0f} s"))


class _Told:
    """Says what keeps a round from its work: once, and not at every turn."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._said = ""

    def say(self, error: Exception) -> None:
        """A database of another installation has a remedy to tell; others have a name."""
        sentence = str(error) if isinstance(error, Declined) else type(error).__name__
        if sentence != self._said:
            logger.error("background work waits (%s): %s", self._name, sentence)
            if not isinstance(error, Declined | DatabaseError | InterfaceError):
                log_unexpected(error)
        self._said = sentence

    def well(self) -> None:
        self._said = ""


def _kept(loop: Loop, stop: threading.Event) -> Callable[[], None]:
    """The loop, begun again whenever it breaks."""
    told = _Told(loop.name)

    def keep() -> None:
        while not stop.is_set():
            try:
                installations.require_adopted()
                loop.run(stop)
            except Exception as error:
                told.say(error)
            connections.close_all()
            stop.wait(BACK_OFF)

    return keep


def _hear(ring: Callable[[], None], stop: threading.Event) -> None:
    """Ring when a payment has news: from PostgreSQL, or from this process where it is alone."""
    if connection.vendor == "postgresql":
        asyncio.run(_listen(ring, stop))
        return
    unsubscribe = bell.subscribe(lambda ids: ring())
    stop.wait()
    unsubscribe()


async def _listen(ring: Callable[[], None], stop: threading.Event) -> None:
    from milango.flows.store_postgres import CHANNEL

    listener = asyncio.create_task(
        listening.listen([CHANNEL], lambda channel, payload: ring(), ring)
    )
    await asyncio.to_thread(stop.wait)
    listener.cancel()
