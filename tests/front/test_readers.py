"""What a lost connection costs those who read, and those who wait."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection

from milango.front import Front, waiting
from milango.front.app import READERS
from tests.people import make_key

from .calls import ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.postgres
def test_readers_whose_connections_were_cut_take_new_ones_and_nobody_hears_of_it(
    door: str, prompted: Any
) -> None:
    payment = prompted().payment
    path, key = f"/api/v1/payments/status/{payment.checkout_id}", make_key(payment.merchant)[1]

    def look(number: int) -> int:
        return ask(door, "GET", path, Authorization=f"Bearer {key}")[0]

    with ThreadPoolExecutor(READERS) as pool:
        assert set(pool.map(look, range(40))) == {200}
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert set(pool.map(look, range(40))) == {200}


async def test_news_that_could_not_be_read_are_told_once_the_database_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = iter([OperationalError("away"), {"the payment": [{"status": "Success"}]}])

    async def in_thread(work: Any) -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(waiting, "AGAIN", 0.01)
    waiters = waiting.Waiters(in_thread)
    call = waiting.OneCall()
    waiters.add("the payment", call)  # type: ignore[arg-type]
    waiters.wake(["the payment"])  # type: ignore[list-item]
    await call.called.wait()
    await waiters.close()


async def test_a_read_that_hangs_does_not_hold_up_the_end() -> None:
    async def nowhere(scope: Any, receive: Any, send: Any) -> None:
        raise AssertionError("nobody asks")

    front, may_end = Front(nowhere), threading.Event()
    await front.open()
    hanging = asyncio.create_task(front.in_thread(may_end.wait))
    await asyncio.sleep(0.05)
    threading.Timer(10, may_end.set).start()
    began = time.monotonic()
    await front.close()
    assert time.monotonic() - began < 5
    may_end.set()
    await hanging
