"""The clock: once in each period, whatever the number of workers, by the database's time."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections
from django.db.models import F

from milango.flows import sweep
from milango.models import ClockRound
from milango.tasks import clock, jobs
from milango.tasks.clock import CLOCK, enqueued

NAMES = sorted(each.name for each in CLOCK)


def times() -> list[int]:
    return list(ClockRound.objects.order_by("name").values_list("times", flat=True))


@pytest.fixture
def due(transactional_db) -> None:
    clock.tick()
    assert sorted(ClockRound.objects.values_list("name", flat=True)) == NAMES


def test_everything_is_begun_once_and_then_rests_until_its_hour(due) -> None:
    assert clock.tick() == len(CLOCK)
    assert clock.tick() == 0
    ClockRound.objects.update(due_at=F("due_at") - timedelta(days=1))
    assert clock.tick() == len(CLOCK)
    assert times() == [2] * len(CLOCK)


def test_eight_workers_at_once_begin_each_task_once(due) -> None:
    together = threading.Barrier(8)

    def tick(number: int) -> int:
        together.wait()
        try:
            return clock.tick()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(tick, range(8))) == len(CLOCK)
    assert times() == [1] * len(CLOCK)


def test_an_hour_that_a_wrong_clock_has_set_does_not_hold_the_task_back(due) -> None:
    ClockRound.objects.update(due_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert clock.tick() == len(CLOCK)


def test_a_daily_task_has_its_hour_of_the_night() -> None:
    nightly = enqueued(jobs.sweep, timedelta(days=1), after=timedelta(hours=22, minutes=30))
    evening = datetime(2026, 11, 26, 22, 29, tzinfo=UTC)
    assert nightly.following(evening) == datetime(2026, 11, 26, 22, 30, tzinfo=UTC)
    assert nightly.following(evening + timedelta(minutes=1)) == datetime(
        2026, 11, 27, 22, 30, tzinfo=UTC
    )


@pytest.mark.django_db(transaction=True)
def test_without_an_engine_a_task_runs_at_once(monkeypatch) -> None:
    swept = []
    monkeypatch.setattr(sweep, "sweep", lambda: swept.append(1))
    jobs.enqueue(jobs.sweep)
    assert swept == [1]
