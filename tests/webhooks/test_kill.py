"""Workers that are killed, and workers side by side."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from milango.flows import deliver, endpoints
from milango.flows.due import LEASE
from milango.models import WebhookAttempt, WebhookDelivery
from milango.outbound import Answer
from tests.webhooks.conftest import make_due, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def another_process() -> Iterator[subprocess.Popen[str]]:
    told = {"database": str(connection.settings_dict["NAME"]), "milango": settings.MILANGO}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.webhooks.telling"], stdin=subprocess.PIPE, text=True
    )
    assert process.stdin
    process.stdin.write(json.dumps(told) + "\n")
    process.stdin.flush()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def test_killed_while_the_endpoint_thinks_it_is_delivered_again_with_the_same_id(
    merchant, endpoint, shop
) -> None:
    shop.drip = 2.0
    endpoints.trigger(merchant, "ping")
    with another_process() as process:
        shop.wait(1, seconds=30)
        process.kill()
        process.wait()
    shop.drip = 0
    row = WebhookDelivery.objects.get()
    assert (row.state, row.attempts) == ("due", 1)
    assert row.next_attempt_at
    assert timezone.now() < row.next_attempt_at <= timezone.now() + LEASE
    assert not WebhookAttempt.objects.exists()
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    with another_process():
        wait_for(lambda: WebhookDelivery.objects.get().state == "delivered", 30)
    assert WebhookDelivery.objects.get().attempts == 2
    assert shop.got[0][0]["webhook-id"] == shop.got[1][0]["webhook-id"]


def test_three_workers_side_by_side_tell_each_event_once(merchant, endpoint, shop) -> None:
    make_due(merchant, [endpoint], 500)
    stop = threading.Event()
    with another_process(), another_process():
        thread = threading.Thread(target=deliver.run, args=(stop,))
        thread.start()
        wait_for(lambda: not WebhookDelivery.objects.filter(state="due").exists(), 60)
        stop.set()
        thread.join(10)
    told = Counter(headers["webhook-id"] for headers, _, _ in shop.got)
    assert len(told) == 500
    assert set(told.values()) == {1}
    assert WebhookAttempt.objects.filter(status=200).count() == 500


def test_a_late_answer_of_a_lost_lease_does_not_undo_what_came_after(
    merchant, endpoint, shop
) -> None:
    endpoints.trigger(merchant, "ping")
    (first,) = deliver.turn([], {}, 10)
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() - timedelta(seconds=1))
    (second,) = deliver.turn([], {}, 10)
    ok = Answer(200, "", "", 5)
    silence = Answer(None, "", "No whole answer within 10 seconds.", 10_000)
    deliver.turn([deliver.Ended(second.taken, ok, timezone.now())], {}, 0)
    deliver.turn([deliver.Ended(first.taken, silence, timezone.now())], {}, 0)
    assert WebhookDelivery.objects.get().state == "delivered"
    assert WebhookAttempt.objects.count() == 2


def test_the_sweep_forgets_old_answers_and_due_times_of_a_wrong_clock(
    merchant, endpoint, shop
) -> None:
    endpoints.trigger(merchant, "ping")
    (letter,) = deliver.turn([], {}, 10)
    ended = deliver.Ended(letter.taken, Answer(500, "no", "", 5), timezone.now())
    deliver.turn([ended], {}, 0)
    WebhookDelivery.objects.update(next_attempt_at=timezone.now() + timedelta(days=400))
    assert deliver.sweep()["answers"] == 0
    assert WebhookDelivery.objects.filter(next_attempt_at__lte=timezone.now()).exists()
    assert deliver.sweep(timezone.now() + timedelta(days=91))["answers"] == 1
