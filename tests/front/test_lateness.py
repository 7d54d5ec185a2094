"""What does not come in time is not waited for, and one timer looks at all."""

from __future__ import annotations

import asyncio
import time

import pytest

from milango.front.lateness import LOOKS, Lateness

SECONDS = 0.2


def future() -> asyncio.Future[str]:
    return asyncio.get_running_loop().create_future()


async def test_what_does_not_come_in_time_is_late() -> None:
    lateness, began, never = Lateness(SECONDS), time.monotonic(), future()
    lateness.watch(never)
    with pytest.raises(TimeoutError):
        await never
    assert time.monotonic() - began >= SECONDS


async def test_what_comes_in_time_is_told_whatever_is_late_before_it() -> None:
    lateness, never, soon = Lateness(SECONDS), future(), future()
    for each in (never, soon):
        lateness.watch(each)
    soon.set_result("here")
    with pytest.raises(TimeoutError):
        await never
    assert await soon == "here"


async def test_each_has_the_whole_time() -> None:
    lateness, first = Lateness(SECONDS), future()
    lateness.watch(first)
    await asyncio.sleep(SECONDS / 2)
    second, began = future(), time.monotonic()
    lateness.watch(second)
    with pytest.raises(TimeoutError):
        await second
    assert time.monotonic() - began >= SECONDS
    assert first.done()


async def test_nothing_is_kept_of_what_is_over() -> None:
    lateness, answered = Lateness(SECONDS), future()
    lateness.watch(answered)
    answered.set_result("here")
    await asyncio.sleep(SECONDS / LOOKS * 1.5)
    assert not lateness._watched
    assert lateness._timer is None
