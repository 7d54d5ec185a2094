"""Each merchant in turn, and a pace that is learnt from Daraja's answers."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.errors import DarajaBusy
from milango.core.fairness import FREE, SLOWEST, SOON, Shares, is_pushing_back
from milango.front.turns import Turns


async def test_a_burst_of_one_merchant_lets_the_others_through() -> None:
    turns, order = Turns(most_at_once=1, patience=5), []
    big, small = uuid4(), uuid4()

    async def push(merchant: UUID) -> None:
        async with turns.take(merchant):
            order.append(merchant)
            await asyncio.sleep(0)

    burst = [asyncio.create_task(push(big)) for _ in range(20)]
    await asyncio.sleep(0)
    late = [asyncio.create_task(push(small)) for _ in range(2)]
    await asyncio.gather(*burst, *late)
    assert order.index(small) <= 3, "in turn, not behind the burst"
    assert len(order) == 22


async def test_who_gets_no_place_soon_is_told_to_come_again() -> None:
    turns = Turns(most_at_once=1, patience=0.02)
    async with turns.take(uuid4()):
        with pytest.raises(DarajaBusy) as refused:
            async with turns.take(uuid4()):
                raise AssertionError("there is no place")
    assert refused.value.retry_after
    async with turns.take(uuid4()):
        pass


async def test_who_goes_away_gives_the_place_back() -> None:
    turns, merchant = Turns(most_at_once=1, patience=5), uuid4()
    async with turns.take(merchant):
        waiting = asyncio.create_task(_hold(turns, merchant))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0)
    async with asyncio.timeout(1), turns.take(uuid4()):
        pass


async def _hold(turns: Turns, merchant: UUID) -> None:
    async with turns.take(merchant):
        await asyncio.sleep(5)


def test_nobody_is_held_back_before_daraja_pushes_back() -> None:
    shares = Shares()
    assert [shares.reserve("app", 0.0) for _ in range(1_000)] == [0.0] * 1_000


def test_pushing_back_halves_the_pace_and_answers_bring_it_back() -> None:
    shares = Shares()
    for _ in range(40):
        shares.reserve("app", 1.5)
    shares.pushed_back("app", 1.6)
    first = shares.reserve("app", 1.61)
    second = shares.reserve("app", 1.61)
    assert 0 < first < second
    assert second - first == pytest.approx(1 / 20)
    now = 10.0
    for _ in range(200):
        now += max(0.01, shares.reserve("app", now))
        shares.taken("app", now)
    assert [shares.reserve("app", now + 1) for _ in range(50)] == [0.0] * 50


def test_one_apps_trouble_is_not_anothers() -> None:
    shares = Shares()
    shares.pushed_back("one", 0.0)
    assert shares.reserve("one", 0.0) > 0
    assert shares.reserve("other", 0.0) == 0.0


@given(st.lists(st.sampled_from(["ask", "back", "taken", "later"]), max_size=200))
def test_nobody_waits_longer_than_soon_and_the_pace_stays_in_its_bounds(steps: list[str]) -> None:
    shares, now = Shares(), 0.0
    for step in steps:
        if step == "ask":
            before = shares._pace("app", now).next_at
            wait = shares.reserve("app", now)
            if wait > SOON:
                assert shares._pace("app", now).next_at == before, "nothing was reserved"
        elif step == "back":
            shares.pushed_back("app", now)
        elif step == "taken":
            shares.taken("app", now)
        else:
            now += 0.7
        pace = shares._pace("app", now)
        assert pace.rate >= SLOWEST
        assert pace.rate <= FREE or pace.rate == float("inf")


@pytest.mark.parametrize(
    ("code", "pushing"),
    [
        ("500.003.02", True),
        ("500.003.03", True),
        ("429", True),
        ("policies.ratelimit.SpikeArrestViolation", True),
        ("500.001.1001", False),
        ("400.002.02", False),
        ("", False),
    ],
)
def test_which_answers_are_about_the_pace(code: str, pushing: bool) -> None:
    assert is_pushing_back(code) is pushing
