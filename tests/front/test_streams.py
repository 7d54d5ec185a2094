"""Streams and polls that wait: nobody misses what happens, nobody sees what is not theirs."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.db import OperationalError, connection
from django.utils import timezone

from milango.front import app, streams
from milango.front.streams import MOST_LEFT
from milango.front.together import Together
from milango.models import Merchant, Payment, PaymentEvent
from tests.api.test_status import ticket_for
from tests.people import make_credential, make_key, make_merchant

from .calls import Stream, answered, ask, post
from .conftest import Prompted

pytestmark = pytest.mark.django_db(transaction=True)

Make = Callable[..., Prompted]


def path_of(one: Prompted, **query: str) -> str:
    words = {"ticket": ticket_for(one.payment)} | query
    tail = "&".join(f"{name}={value}" for name, value in words.items())
    return f"/api/v1/payments/{one.payment.public_id}/events?{tail}"


def status_of(one: Prompted, wait: int) -> str:
    ticket = ticket_for(one.payment)
    return f"/api/v1/payments/status/{one.payment.checkout_id}?ticket={ticket}&wait={wait}"


def later(seconds: float, work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Timer(seconds, work)
    thread.start()
    return thread


def test_a_stream_tells_what_happens_and_ends_when_it_is_paid(door: str, prompted: Make) -> None:
    one = prompted()
    stream = Stream(door, path_of(one))
    assert stream.status == 200
    stream.until("retry: 2000")
    assert post(door, one.path, one.callback()) == 200
    told = stream.until("event: end")
    assert "event: payment.succeeded" in told
    data = next(json.loads(line[6:]) for line in told if line.startswith("data: {"))
    assert (data["type"], data["seq"]) == ("payment.succeeded", 1)
    stream.close()


def test_a_timeline_longer_than_a_slow_reader_may_leave_is_told_whole(
    door: str, prompted: Make
) -> None:
    one, now = prompted(), timezone.now()
    merchant = one.payment.merchant
    doubts = [{"doubt": f"{n:03}{'x' * MOST_LEFT}"[:400]} for n in range(100)]
    PaymentEvent.objects.bulk_create(
        PaymentEvent(
            payment=one.payment, merchant=merchant, seq=n, type="payment.flagged", at=now, data=data
        )
        for n, data in enumerate(doubts, start=1)
    )
    Payment.objects.filter(pk=one.payment.pk).update(event_count=len(doubts))
    stream = Stream(door, path_of(one))
    assert stream.until("id: 100")[-1] == "id: 100"
    assert post(door, one.path, one.callback()) == 200
    assert "id: 101" in stream.until("event: end")
    stream.close()


async def test_who_does_not_read_is_parted_with() -> None:
    async def never_read(message: dict[str, Any]) -> None:
        await asyncio.Event().wait()

    def event(seq: int) -> dict[str, Any]:
        return {"seq": seq, "type": "payment.flagged", "data": "x" * MOST_LEFT}

    async def follow() -> None:
        stream = streams.Stream(never_read, 0, None)  # type: ignore[arg-type]
        stream.begin()
        await asyncio.sleep(0)  # what was first is on its way, and nobody takes it
        stream.tell([event(1)])
        told.append(1)
        stream.tell([event(1), event(2)])
        await asyncio.Event().wait()

    told: list[int] = []
    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(follow())
    assert told == [1]


def test_a_stream_resumes_after_the_last_event_that_was_seen(door: str, prompted: Make) -> None:
    one = prompted()
    assert post(door, one.path, one.callback(1032)) == 200
    whole = Stream(door, path_of(one))
    assert "id: 1" in whole.until("event: payment.failed")
    whole.close()
    resumed = Stream(door, path_of(one), Last_Event_ID="1")
    resumed.until("retry: 2000")
    assert post(door, one.path, one.callback()) == 200
    told = resumed.until("event: end")
    assert "event: payment.failed" not in told
    assert "event: payment.succeeded" in told
    resumed.close()
    assert answered(door, path_of(one, last_event_id="9")) == 204, "browsers stop at 204"


def test_a_foreign_payment_is_not_streamed(door: str, prompted: Make, merchant: Merchant) -> None:
    foreign = prompted(credential=make_credential(make_merchant("Hoteli")))
    mine = prompted()
    _, key = make_key(merchant)
    path = f"/api/v1/payments/{foreign.payment.public_id}/events"
    assert answered(door, path, Authorization=f"Bearer {key}") == 404
    crossed = f"{path}?ticket={ticket_for(mine.payment)}"
    assert answered(door, crossed) == 404
    assert answered(door, path) == 401
    _, page = make_key(merchant, "publishable")
    own = f"/api/v1/payments/{mine.payment.public_id}/events"
    assert answered(door, own, Authorization=f"Bearer {page}") == 403


def test_five_streams_of_one_payment_and_no_more(door: str, prompted: Make) -> None:
    one = prompted()
    streams = [Stream(door, path_of(one)) for _ in range(5)]
    for stream in streams:
        stream.until("retry: 2000")
    assert answered(door, path_of(one)) == 503
    assert ask(door, "GET", status_of(one, 0))[0] == 200, "polling still works"
    streams[0].close()
    deadline = time.monotonic() + 5
    while answered(door, path_of(one)) == 503:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for stream in streams[1:]:
        stream.close()


@pytest.fixture
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for it before the door: a heart that beats already sleeps until its next beat."""
    from milango.front import waiting

    monkeypatch.setattr(waiting, "HEARTBEAT", 0.1)
    monkeypatch.setattr(waiting, "RECHECK", 0.2)


def test_a_ticket_that_expires_closes_its_stream(
    quick_heart: None, door: str, prompted: Make
) -> None:
    one = prompted()
    ticket = ticket_for(one.payment, timedelta(seconds=2))
    stream = Stream(door, f"/api/v1/payments/{one.payment.public_id}/events?ticket={ticket}")
    assert stream.status == 200
    began = timezone.now()
    stream.socket.settimeout(40)
    stream.until("event: end")
    assert timezone.now() - began < timedelta(seconds=15)
    stream.close()


def test_a_poll_that_waits_is_answered_when_it_happens(door: str, prompted: Make) -> None:
    one = prompted()
    thread = later(0.5, lambda: post(door, one.path, one.callback()))
    began = time.monotonic()
    status, document = ask(door, "GET", status_of(one, 20))
    assert (status, document["status"]) == (200, "Success")
    assert time.monotonic() - began < 10
    thread.join()
    began = time.monotonic()
    assert ask(door, "GET", status_of(one, 20))[1]["status"] == "Success"
    assert time.monotonic() - began < 5, "what is final is answered at once"


def test_an_unknown_id_waits_like_a_pending_one(door: str, prompted: Make) -> None:
    one = prompted()
    _, key = make_key(one.payment.merchant)
    took = []
    for name in (one.payment.checkout_id, "co_" + "0" * 32):
        path = f"/api/v1/payments/status/{name}?wait=1"
        began = time.monotonic()
        assert ask(door, "GET", path, Authorization=f"Bearer {key}")[1]["status"] == "Pending"
        took.append(time.monotonic() - began)
    assert all(1 <= each < 5 for each in took)


@pytest.mark.postgres
def test_a_listener_that_is_cut_off_listens_again_and_looks_at_everything(
    door: str, prompted: Make
) -> None:
    one = prompted()
    stream = Stream(door, path_of(one))
    stream.until("retry: 2000")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'LISTEN%%' AND datname = current_database()"
        )
        assert cursor.fetchall() == [(True,)]
    assert post(door, one.path, one.callback()) == 200
    stream.until("event: end")
    stream.close()


@pytest.mark.postgres
def test_a_payment_that_another_process_settles_wakes_the_stream(door: str, prompted: Make) -> None:
    from milango.flows.settle import settle_many
    from tests.flows.conftest import paid

    one = prompted()
    stream = Stream(door, path_of(one))
    stream.until("retry: 2000")
    # Not through the door: as another process would, which shares nothing but the database.
    settle_many([paid(one.payment, checkout_request_id=one.payment.checkout_request_id)])
    stream.until("event: end")
    stream.close()


def slow_to_list(monkeypatch: pytest.MonkeyPatch, work: Callable[[], Any]) -> None:
    """While it is looked up whether a page is listed, something happens."""
    looked: list[str] = []

    def look(origin: str) -> bool:
        looked.append(origin)
        if len(looked) == 1:
            raise SynchronousOnlyOperation  # as a name that is not remembered does
        if len(looked) == 2:
            work()
            time.sleep(0.3)
        return False

    monkeypatch.setattr(app, "_is_listed", look)


def test_news_that_come_before_a_stream_has_begun_are_told_in_it(
    door: str, prompted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = prompted()
    slow_to_list(monkeypatch, lambda: post(door, one.path, one.callback()))
    stream = Stream(door, path_of(one), Origin="https://shop.example")
    assert stream.status == 200
    told = stream.until("event: end")
    assert told.count("event: payment.succeeded") == 1
    stream.close()


def test_a_stream_whose_timeline_cannot_be_read_is_refused_whole(
    door: str, prompted: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = prompted()

    with monkeypatch.context() as patched:
        patched.setattr(Together, "ask", no_timeline(Together.ask))
        assert answered(door, path_of(one)) == 503
    assert answered(door, path_of(one)) == 200


def no_timeline(ask: Callable[..., Any]) -> Callable[..., Any]:
    """The payment is found; its timeline is not: the database went away between the two."""

    async def instead(reads: Together[Any, Any], key: Any) -> Any:
        if isinstance(key, UUID):
            raise OperationalError("the database is away")
        return await ask(reads, key)

    return instead
