"""What arrives while a batch commits is the next batch; everybody is answered after the commit."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from django.db import DatabaseError, OperationalError

from milango.core.errors import Declined
from milango.flows import batches
from milango.flows.batches import Verb
from milango.front.inbox import CROWD, Inbox

pytestmark = pytest.mark.django_db(transaction=True)


class Work:
    """A verb that remembers its batches, and waits until it is let go."""

    def __init__(self, **options: Any) -> None:
        self.batches: list[list[Any]] = []
        self.go = threading.Event()
        self.at_once: set[int] = set()
        self.together = 0
        self.verb = Verb("work", self.do, lambda item: item[0], self.alone, **options)

    def do(self, items: Any) -> list[Any]:
        self.batches.append(list(items))
        self.at_once.add(threading.get_ident())
        self.go.wait(5)
        return [f"done {item[1]}" for item in items]

    def alone(self, item: Any, error: Exception) -> Any:
        return f"poisoned {item[1]}"


async def begun(work: Work, number: int) -> None:
    """Wait until so many batches are under way."""
    deadline = time.monotonic() + 5
    while len(work.batches) < number:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.005)


async def test_what_arrives_while_one_works_is_the_next_batch() -> None:
    work, inbox = Work(), Inbox(writers=1)
    first = asyncio.create_task(inbox.submit(work.verb, ("a", 1)))
    await begun(work, 1)
    others = [asyncio.create_task(inbox.submit(work.verb, (n, n))) for n in range(2, 6)]
    await asyncio.sleep(0.05)
    assert not first.done()
    work.go.set()
    assert await asyncio.gather(first, *others) == [f"done {n}" for n in range(1, 6)]
    assert work.batches == [[("a", 1)], [(n, n) for n in range(2, 6)]]
    await inbox.close()


@pytest.mark.postgres  # SQLite has one writer
async def test_one_lane_is_never_with_two_writers() -> None:
    work, inbox = Work(), Inbox(writers=2)
    tasks = [asyncio.create_task(inbox.submit(work.verb, ("same", 1)))]
    await begun(work, 1)
    tasks.append(asyncio.create_task(inbox.submit(work.verb, ("same", 2))))
    tasks.append(asyncio.create_task(inbox.submit(work.verb, ("other", 3))))
    await begun(work, 2)
    await asyncio.sleep(0.05)
    assert work.batches == [[("same", 1)], [("other", 3)]], "the other lane passes by"
    work.go.set()
    await asyncio.gather(*tasks)
    assert work.batches[2] == [("same", 2)]
    await inbox.close()


async def test_an_exclusive_lane_shares_no_batch() -> None:
    work, inbox = Work(exclusive=True), Inbox(writers=1)
    work.go.set()
    await asyncio.gather(*(inbox.submit(work.verb, ("key", n)) for n in range(3)))
    assert work.batches == [[("key", n)] for n in range(3)]
    await inbox.close()


async def test_a_full_inbox_refuses_at_once_and_keeps_half_for_trusted_peers() -> None:
    work, inbox = Work(), Inbox(writers=1, most_waiting=4)
    tasks = [asyncio.create_task(inbox.submit(work.verb, ("busy", 0)))]
    await begun(work, 1)
    for n in range(1, 3):
        stranger = inbox.submit(work.verb, (n, n), trusted=False)
        tasks.append(asyncio.create_task(stranger))
    await asyncio.sleep(0)
    with pytest.raises(Declined) as refused:
        await inbox.submit(work.verb, (3, 3), trusted=False)
    assert (refused.value.code, refused.value.retry_after) == ("database_unavailable", 1)
    tasks += [asyncio.create_task(inbox.submit(work.verb, (n, n))) for n in (4, 5)]
    await asyncio.sleep(0)
    with pytest.raises(Declined):
        await inbox.submit(work.verb, (6, 6))
    work.go.set()
    assert len(await asyncio.gather(*tasks)) == 5
    await inbox.close()


async def test_a_crowd_that_was_answered_is_back_in_the_next_batch() -> None:
    work, inbox = Work(), Inbox(writers=1)

    async def call(n: int) -> None:
        for turn in range(4):
            await inbox.submit(work.verb, (n, turn))

    callers = [asyncio.create_task(call(n)) for n in range(CROWD)]
    await begun(work, 1)
    callers += [asyncio.create_task(call(n)) for n in range(CROWD, 2 * CROWD)]
    await asyncio.sleep(0.05)
    work.go.set()
    await asyncio.gather(*callers)
    sizes = [len(batch) for batch in work.batches]
    assert sizes[:4] == [CROWD, *[2 * CROWD] * 3], "not one half after the other"
    await inbox.close()


async def test_nobody_waits_long_for_a_crowd_that_stays_away() -> None:
    work, inbox = Work(), Inbox(writers=1)
    crowd = [asyncio.create_task(inbox.submit(work.verb, (n, n))) for n in range(CROWD)]
    await begun(work, 1)
    late = asyncio.create_task(inbox.submit(work.verb, ("late", 0)))
    work.go.set()
    async with asyncio.timeout(2):
        await asyncio.gather(*crowd, late)
        await inbox.submit(work.verb, ("later", 0))
    assert work.batches[1:] == [[("late", 0)], [("later", 0)]]
    await inbox.close()


async def test_a_crowd_that_stayed_away_is_not_waited_for_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("milango.front.inbox.GATHERING", 1.0)
    work, inbox = Work(), Inbox(writers=1)
    work.go.set()

    async def crowd() -> float:
        """Seconds until somebody who comes after a crowd is answered."""
        await asyncio.gather(*(inbox.submit(work.verb, (n, n)) for n in range(CROWD)))
        began = time.monotonic()
        await inbox.submit(work.verb, ("next", 0))
        return time.monotonic() - began

    assert await crowd() > 0.9
    assert await crowd() < 0.5, "nobody came back the last time"
    await inbox.close()


async def test_the_end_does_not_wait_for_the_crowd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("milango.front.inbox.GATHERING", 60)
    work, inbox = Work(), Inbox(writers=1)
    work.go.set()
    await asyncio.gather(*(inbox.submit(work.verb, (n, n)) for n in range(CROWD)))
    late = asyncio.create_task(inbox.submit(work.verb, ("late", 0)))
    await asyncio.sleep(0.05)
    assert not late.done()
    async with asyncio.timeout(5):
        await inbox.close()
        assert await late == "done 0"


async def test_who_stops_waiting_cancels_nothing() -> None:
    work, inbox = Work(), Inbox(writers=1)
    gone = asyncio.create_task(inbox.submit(work.verb, ("a", 1)))
    await begun(work, 1)
    gone.cancel()
    late = asyncio.create_task(inbox.submit(work.verb, ("b", 2)))
    await asyncio.sleep(0)
    work.go.set()
    assert await late == "done 2"
    assert work.batches[0] == [("a", 1)]
    await inbox.close()


async def test_the_end_answers_what_was_accepted_and_refuses_what_comes_then() -> None:
    work, inbox = Work(), Inbox(writers=1)
    tasks = [asyncio.create_task(inbox.submit(work.verb, (n, n))) for n in range(5)]
    await begun(work, 1)
    closing = asyncio.create_task(inbox.close())
    await asyncio.sleep(0)
    with pytest.raises(Declined):
        await inbox.submit(work.verb, ("late", 9))
    work.go.set()
    await closing
    assert [task.result() for task in tasks] == [f"done {n}" for n in range(5)]


def test_an_item_that_breaks_hurts_only_itself() -> None:
    work = Work()

    def do(items: Any) -> list[Any]:
        if any(item[1] == 13 for item in items):
            raise DatabaseError("no such luck")
        return [f"done {item[1]}" for item in items]

    verb = work.verb._replace(do=do)
    outcomes = batches.run(verb, [(n, n) for n in range(10, 20)])
    expected = ["poisoned 13" if n == 13 else f"done {n}" for n in range(10, 20)]
    assert outcomes == expected


def test_a_database_that_is_away_is_told_to_everybody_and_tried_once() -> None:
    work, tried = Work(), []

    def do(items: Any) -> list[Any]:
        tried.append(len(items))
        raise OperationalError("server closed the connection")

    outcomes = batches.run(work.verb._replace(do=do), [(n, n) for n in range(4)])
    assert [outcome.code for outcome in outcomes] == ["database_unavailable"] * 4
    assert tried == [4], "no split"


def test_a_deadlock_is_worth_one_more_try() -> None:
    work, tried = Work(), []

    def do(items: Any) -> list[Any]:
        tried.append(len(items))
        if len(tried) == 1:
            cause = Exception()
            cause.sqlstate = "40P01"  # type: ignore[attr-defined]
            raise OperationalError("deadlock detected") from cause
        return ["done"] * len(items)

    assert batches.run(work.verb._replace(do=do), [(1, 1), (2, 2)]) == ["done", "done"]
    assert tried == [2, 2]


def test_what_is_declined_for_one_is_not_declined_for_all() -> None:
    work = Work()

    def do(items: Any) -> list[Any]:
        if any(item[1] == 2 for item in items):
            raise Declined("too_many", "Not you.")
        return ["done"] * len(items)

    outcomes = batches.run(work.verb._replace(do=do), [(n, n) for n in range(4)])
    assert [getattr(each, "code", each) for each in outcomes] == [
        "done",
        "done",
        "too_many",
        "done",
    ]


async def test_batches_are_counted_and_the_hot_doors_answers_too() -> None:
    from milango.front.app import ROUTES
    from milango.front.tally import Tally
    from milango.seen import metrics

    found = metrics.REGISTRY.get_sample_value
    labels = {"verb": "work"}
    items = found("milango_inbox_batch_size_sum", labels) or 0
    work, inbox = Work(), Inbox(writers=1)
    work.go.set()
    await asyncio.gather(*(inbox.submit(work.verb, (n, n)) for n in range(5)))
    await inbox.close()
    assert (found("milango_inbox_batch_size_sum", labels) or 0) - items == 5
    tally = Tally()
    named = {"method": "POST", "route": "/callbacks/stk/*", "status": "418"}
    for _ in range(3):
        tally.add(ROUTES[0], 418)
    tally.hand_on()
    assert found("milango_requests_total", named) == 3


async def test_nothing_ends_a_writer() -> None:
    work, inbox = Work(), Inbox(writers=1)
    work.go.set()

    def leave(items: Any) -> list[Any]:
        raise SystemExit

    with pytest.raises(RuntimeError):
        await inbox.submit(work.verb._replace(do=leave), ("a", 1))
    assert await inbox.submit(work.verb, ("b", 2)) == "done 2"
    await inbox.close()
