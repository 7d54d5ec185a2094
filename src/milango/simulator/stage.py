"""Plays stories: one task for each accepted push, until its last callback has been posted.

Results, confirmations and whatever else goes on by itself has its task here too.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from milango.simulator import c2b
from milango.simulator.ledger import Attempt, Push
from milango.simulator.stories import Callback, End, Person, Step, Story, Wait

if TYPE_CHECKING:
    from milango.simulator.world import World

RIGHT_PIN = "1234"


class Stage:
    """`busy` counts the stories that go on by themselves, that is, wait for no person."""

    def __init__(self, world: World, chance: random.Random) -> None:
        self._world = world
        self._chance = chance
        self._tasks: set[asyncio.Task[None]] = set()
        self._asked: set[str] = set()
        self._changed = asyncio.Event()

    @property
    def busy(self) -> int:
        return len(self._tasks) - len(self._asked)

    @property
    def waiting_for_people(self) -> int:
        return len(self._asked)

    def begin(self, push: Push, story: Story) -> tuple[Attempt, asyncio.Task[None]]:
        """Open the attempt and start its story."""
        settings = self._world.settings
        life = settings.prompt_life_s * settings.time_scale
        attempt = self._world.ledger.open(push, story, life)
        return attempt, self.go(self._play(attempt))

    def go(self, errand: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let something go on by itself; `quiet` waits for its end and `stop` ends it."""
        task = asyncio.create_task(errand)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def answer(self, attempt: Attempt, result: str) -> bool:
        """A person answers; False when nobody is being asked (any more)."""
        asked = attempt.answer
        if asked is None or asked.done():
            return False
        asked.set_result(result)
        self._asked.discard(attempt.checkout_request_id)
        return True

    async def quiet(self, seconds: float) -> bool:
        """Wait, at most so many seconds, until nothing goes on by itself. Was it reached?"""
        try:
            async with asyncio.timeout(seconds):
                while self.busy:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def stop(self) -> None:
        """End every story where it stands."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _play(self, attempt: Attempt) -> None:
        for step in attempt.story.steps:
            await self._step(attempt, step)

    async def _step(self, attempt: Attempt, step: Step) -> None:
        world = self._world
        match step:
            case Wait(least, most):
                shortest, longest = world.settings.answer_delay
                low, high = shortest if least is None else least, longest if most is None else most
                await world.sleep(low if low >= high else self._chance.uniform(low, high))
            case Person():
                await self._end(attempt, await self._person(attempt))
            case End(result):
                await self._end(attempt, result)
            case Callback(says, copies):
                await world.poster.post(attempt, says, copies, world.settings)

    async def _end(self, attempt: Attempt, result: str) -> None:
        if result == "paid":
            await c2b.end_paid(self._world, attempt)
        else:
            self._world.ledger.end(attempt, result)

    async def _person(self, attempt: Attempt) -> str:
        attempt.answer = asyncio.get_running_loop().create_future()
        self._asked.add(attempt.checkout_request_id)
        self._changed.set()
        try:
            left = attempt.prompt_until - time.monotonic()
            return await asyncio.wait_for(attempt.answer, timeout=max(left, 0))
        except TimeoutError:
            return "no_response"
        finally:
            self._asked.discard(attempt.checkout_request_id)


def result_of_pin(pin: str) -> str:
    """What comes of typing `pin`."""
    return "paid" if pin == RIGHT_PIN else "wrong_pin"
