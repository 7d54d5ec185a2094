"""The rules of telling: a schedule of about three days, and what an answer means."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from milango.core.errors import InvalidRequest
from milango.core.webhooks import (
    EVENTS,
    RETRY_AFTER,
    WIDEST,
    Meaning,
    Told,
    Window,
    event_types,
    meaning,
    next_attempt,
    payload,
    readable,
    sample,
)

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)


def test_the_schedule_lasts_about_three_days_and_grows() -> None:
    assert timedelta(days=2.8) < timedelta(seconds=sum(RETRY_AFTER)) < timedelta(days=3.2)
    assert list(RETRY_AFTER) == sorted(RETRY_AFTER)


def test_each_wait_is_the_lists_and_a_little_more_by_chance() -> None:
    for attempts, seconds in enumerate(RETRY_AFTER, start=1):
        assert next_attempt(attempts, NOW, 0.0) == NOW + timedelta(seconds=seconds)
        assert next_attempt(attempts, NOW, 0.5) == NOW + timedelta(seconds=seconds * 1.1)
    assert next_attempt(len(RETRY_AFTER) + 1, NOW, 0.0) is None


@pytest.mark.parametrize(
    ("status", "means"),
    [
        (200, Meaning.DELIVERED),
        (204, Meaning.DELIVERED),
        (299, Meaning.DELIVERED),
        (410, Meaning.GONE),
        *[(status, Meaning.RETRY) for status in (None, 100, 301, 307, 400, 401, 404, 429, 500)],
    ],
)
def test_what_an_answer_means(status: int | None, means: Meaning) -> None:
    assert meaning(status) is means


def test_an_unknown_event_is_refused_and_a_repeated_one_counts_once() -> None:
    assert event_types(["ping", "payment.failed", "ping"]) == ["ping", "payment.failed"]
    with pytest.raises(InvalidRequest, match=r"payment\.succeeded"):
        event_types(["payment.success"])


def test_the_payloads_first_shape_stays_as_it_is() -> None:
    told = Told(id="evt_1", type="ping", at="Z", livemode=False, sequence=3, data={"a": 1})
    assert json.loads(payload(told, 1)) == {
        "id": "evt_1",
        "object": "event",
        "version": 1,
        "type": "ping",
        "timestamp": "Z",
        "livemode": False,
        "sequence": 3,
        "data": {"a": 1},
    }


def test_every_test_event_says_that_it_is_one() -> None:
    for name in EVENTS:
        assert sample(name)["test"] is True
        assert sample(name).get("payment", {"livemode": False})["livemode"] is False


def test_a_log_keeps_no_control_and_no_hidden_characters() -> None:
    assert readable(b"a\0b\x1b[2Jc\r\nd\te") == "a b [2Jc \nd\te"
    assert readable("pay \u202egnp.exe\u200b".encode()) == "pay gnp.exe"
    assert len(readable(b"x" * 10_000)) == 4_096


def test_a_window_widens_with_success_and_closes_to_one_at_a_failure() -> None:
    window = Window()
    for _ in range(10):
        window.busy += 1
        window.ended(well=True)
    assert (window.room, window.most) == (WIDEST, WIDEST)
    window.busy = 3
    window.ended(well=False)
    assert window.room == 0
    window.ended(well=False)
    window.ended(well=False)
    assert window.room == 1
