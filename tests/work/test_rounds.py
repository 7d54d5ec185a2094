"""Rounds: one that hangs or breaks holds up nobody else."""

from __future__ import annotations

import threading
import time
from functools import partial

import pytest

from milango.flows import bell
from milango.tasks import rounds
from milango.tasks.rounds import Round

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stop(monkeypatch) -> threading.Event:
    monkeypatch.setattr(rounds, "GRACE", 0.3)
    return threading.Event()


def work(stop: threading.Event, seconds: float) -> None:
    threading.Timer(seconds, stop.set).start()
    rounds.run(stop)


def test_a_round_that_hangs_or_breaks_holds_up_nobody_else(stop, monkeypatch, caplog) -> None:
    turns: list[int] = []
    freed = threading.Event()
    table = [
        Round("hangs", lambda: freed.wait(30), every=0.1),
        Round("breaks", lambda: 1 / 0, every=0.1),
        Round("works", lambda: turns.append(1), every=0.1),
    ]
    monkeypatch.setattr(rounds, "ROUNDS", table)
    monkeypatch.setattr(rounds, "TOO_LONG", 0.2)
    monkeypatch.setattr(rounds, "LOOK", 0.1)
    began = time.monotonic()
    work(stop, 1.0)
    assert time.monotonic() - began < 3
    freed.set()
    assert len(turns) >= 4
    assert "(breaks): ZeroDivisionError" in caplog.text
    assert caplog.text.count("(hangs): a turn has not ended") == 1


def test_a_round_with_more_to_do_does_not_wait_for_its_time(stop, monkeypatch) -> None:
    left = [3, 2, 1, 0]
    monkeypatch.setattr(rounds, "ROUNDS", [Round("more", lambda: left and left.pop(0), every=60)])
    work(stop, 1.5)
    assert left == []


def test_news_wakes_the_round_that_wants_them(stop, monkeypatch) -> None:
    turns: dict[str, int] = {"wants": 0, "does not": 0}

    def count(name: str) -> None:
        turns[name] += 1

    table = [Round(name, partial(count, name), every=60, on_news=name == "wants") for name in turns]
    monkeypatch.setattr(rounds, "ROUNDS", table)
    threading.Timer(0.8, ring).start()
    work(stop, 2.0)
    assert turns["wants"] >= 2
    assert turns["does not"] == 1


def ring() -> None:
    from django.db import connection

    if connection.vendor == "sqlite":
        bell.ring([])
        return
    from milango.flows.store_postgres import CHANNEL

    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])
    connection.close()
