"""What goes wrong, when, and to whom: drawn from the seed before it happens."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import clock
from .databases import Database
from .processes import Program

DAY: Final = 86_400.0
FULL_FOR: Final = 3.0
"""Seconds that the disk stays full."""

JUMPS: Final = (DAY, -DAY, 3_600.0, -3_600.0)
"""Seconds by which the clock of one worker is wrong."""

WRONG_FOR: Final = 5.0
"""Seconds that it stays wrong."""


@dataclass
class House:
    """All that can be hurt."""

    database: Database
    web: Program
    workers: list[Program]
    line: Program | None
    clock: Path


@dataclass
class Weather:
    """Does one thing after another, `gap` seconds apart on average. `kills` counts SIGKILLs."""

    house: House
    seed: int
    gap: float
    say: Callable[[str], None] = lambda text: None
    done: Counter[str] = field(default_factory=Counter)
    kills: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._jumping: asyncio.Task[None] | None = None

    async def rage(self) -> None:
        """Until cancelled."""
        here = possible(self.house.database)
        names, weights = list(here), [fault.weight for fault in here.values()]
        while True:
            wait = self._chance.uniform(0.5, 1.5) * self.gap
            name = self._chance.choices(names, weights)[0]
            draw = random.Random(self._chance.getrandbits(64))
            began = time.monotonic()
            if await self._happen(name, draw):
                self.say(name)
            await asyncio.sleep(max(0.0, wait - (time.monotonic() - began)))

    async def _happen(self, name: str, draw: random.Random) -> bool:
        fault = FAULTS[name]
        happened = await fault.act(self, draw)
        if happened:
            self.done[name] += 1
            self.kills += fault.kills
        return happened

    async def fill_the_disk(self) -> None:
        """Once: nothing can be written for a while."""
        disk = self.house.database.disk
        if disk.missing:
            return
        self.say("the disk is full")
        self.done["disk full"] += 1
        await asyncio.to_thread(disk.fill)
        await asyncio.sleep(FULL_FOR)
        await asyncio.to_thread(disk.empty)
        await self.house.database.recover()

    async def clear(self) -> None:
        """The storm is over: clocks are right and the database runs."""
        if self._jumping:
            self._jumping.cancel()
        clock.jump(self.house.clock, 0)
        if not self.house.database.disk.missing:
            await asyncio.to_thread(self.house.database.disk.empty)
        await self.house.database.recover()

    # --- one function for each fault; each says whether it happened ---------------------------

    async def web_process(self, draw: random.Random) -> bool:
        return self.house.web.kill_a_child(draw.randrange(1_000))

    async def server(self, draw: random.Random) -> bool:
        return self.house.web.kill()

    async def worker(self, draw: random.Random) -> bool:
        return draw.choice(self.house.workers).kill()

    async def postgres(self, draw: random.Random) -> bool:
        return await self.house.database.kill()

    async def backend(self, draw: random.Random) -> bool:
        return await self.house.database.kill_a_backend(draw)

    async def terminated(self, draw: random.Random) -> bool:
        return await self.house.database.cut(draw.choice((0.3, 1.0)))

    async def line_cut(self, draw: random.Random) -> bool:
        return self._to_the_line(signal.SIGUSR1)

    async def answers_lost(self, draw: random.Random) -> bool:
        return self._to_the_line(signal.SIGUSR2)

    def _to_the_line(self, number: int) -> bool:
        if self.house.line:
            self.house.line.signal(number)
        return self.house.line is not None

    async def clock_wrong(self, draw: random.Random) -> bool:
        if self._jumping and not self._jumping.done():
            return False
        self._jumping = asyncio.create_task(self._jump(draw.choice(JUMPS)))
        return True

    async def _jump(self, seconds: float) -> None:
        clock.jump(self.house.clock, seconds)
        try:
            await asyncio.sleep(WRONG_FOR)
        finally:
            clock.jump(self.house.clock, 0)


@dataclass(frozen=True)
class Fault:
    """A row of the table: how often among the others, what it does, how many kills that is."""

    weight: float
    act: Callable[[Weather, random.Random], Awaitable[bool]]
    kills: int = 0
    of_a_server: bool = False
    """Needs a database that is a program of its own."""


FAULTS: Final[dict[str, Fault]] = {
    "web process killed": Fault(30, Weather.web_process, kills=1),
    "whole server killed": Fault(8, Weather.server, kills=1),
    "worker killed": Fault(22, Weather.worker, kills=1),
    "PostgreSQL killed": Fault(8, Weather.postgres, kills=1, of_a_server=True),
    "PostgreSQL backend killed": Fault(8, Weather.backend, kills=1, of_a_server=True),
    "backends terminated": Fault(8, Weather.terminated, of_a_server=True),
    "line to the database cut": Fault(8, Weather.line_cut, of_a_server=True),
    "answers of the database lost": Fault(8, Weather.answers_lost, of_a_server=True),
    "a worker's clock wrong": Fault(4, Weather.clock_wrong),
}


def possible(database: Database) -> dict[str, Fault]:
    """What can go wrong with this database."""
    return {
        name: fault for name, fault in FAULTS.items() if database.socket or not fault.of_a_server
    }
