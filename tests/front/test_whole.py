"""The hot door and Django's: the same rows from the same callbacks, and nothing lost to a kill."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from milango.flows import batches, receive
from milango.front.inbox import Inbox
from milango.models import (
    AccessGrant,
    Customer,
    Doubt,
    InboundCallback,
    MpesaCredential,
    OpenPrompt,
    Payment,
    PaymentEvent,
    Receipt,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.people import make_credential, make_merchant

from .calls import post
from .conftest import Prompted

pytestmark = pytest.mark.django_db(transaction=True)

SEED = int(os.environ.get("MILANGO_TEST_SEED", "0")) or random.randrange(10**6)
KILLS = int(os.environ.get("MILANGO_TEST_KILLS", "2"))
ROOT = Path(__file__).parents[2]

TABLES = (
    Payment,
    PaymentEvent,
    Receipt,
    Customer,
    AccessGrant,
    WebhookDelivery,
    Doubt,
    InboundCallback,
    OpenPrompt,
)
OWN_TO_A_RUN = {"id", "created_at", "updated_at", "event_id", "callback_token_hash", "checkout_id"}
"""Ids and clocks: different in every run, whatever the path."""


def rows(names: dict[Any, str]) -> dict[str, list[Any]]:
    """All tables, with ids replaced by the names that both runs share."""
    found = {}
    for model in TABLES:
        plain = [
            tuple(
                str(names.get(value, value) if isinstance(value, UUID) else value)
                for name, value in sorted(row.items())
                if name not in OWN_TO_A_RUN and not name.endswith("_at")
            )
            for row in model.objects.values()
        ]
        found[model.__name__] = plain
    return found


class Story:
    """Payments of one run, and random callbacks about them; the same seed tells the same."""

    def __init__(self, seed: int) -> None:
        chance = random.Random(seed)
        merchants = [make_merchant(name) for name in ("Duka", "Hoteli")]
        WebhookEndpoint.objects.create(merchant=merchants[0], url="https://a.example", secret="s")
        credentials = [self._credential(m, str(700_000 + n)) for n, m in enumerate(merchants)]
        self.payments = [
            Prompted(
                credentials[n % 2],
                phone=f"25470000{n % 7:04}",
                service_type=("captive_portal", "payment")[n % 3 == 0],
                order_id=f"order-{n % 11}" if n % 4 == 0 else "",
            )
            for n in range(24)
        ]
        self.callbacks = [self._one(chance) for _ in range(90)]
        self.names: dict[Any, str] = {m.pk: m.name for m in merchants}
        self.names |= {c.pk: c.short_code for c in credentials}
        self.names |= {one.payment.pk: f"payment {n}" for n, one in enumerate(self.payments)}

    @staticmethod
    def _credential(merchant: Any, short_code: str) -> MpesaCredential:
        return make_credential(merchant, short_code=short_code)

    def _one(self, chance: random.Random) -> tuple[str, bytes]:
        number = chance.randrange(len(self.payments))
        one = self.payments[number]
        receipt = f"UCE{chance.randrange(12) if chance.random() < 0.3 else 100 + number:07}"
        kind = chance.choice(["paid", "paid", "paid", "failed", "other amount", "junk"])
        body = {
            "paid": lambda: one.callback(MpesaReceiptNumber=receipt),
            "failed": lambda: one.callback(chance.choice([1032, 1037, 2001])),
            "other amount": lambda: one.callback(Amount=7, MpesaReceiptNumber=receipt),
            "junk": lambda: b"not json %d" % chance.randrange(3),
        }[kind]()
        # Ids differ from run to run, and so do the bodies that name them.
        return one.token, body

    def evidence(self) -> list[Any]:
        """The callbacks, read. All at one instant, so that clocks do not tell the runs apart."""
        now = timezone.now()
        found = [receive.read_stk(t, body, {}, "127.0.0.1", now) for t, body in self.callbacks]
        assert all(found)
        return found

    def snapshot(self) -> dict[str, list[Any]]:
        """What the run left, without what no two runs share."""
        names = self.names | {
            customer.pk: f"customer {customer.phone}" for customer in Customer.objects.all()
        }
        names |= {endpoint.pk: "endpoint" for endpoint in WebhookEndpoint.objects.all()}
        tables = rows(names)
        known = {one.payment.checkout_request_id: n for n, one in enumerate(self.payments)}
        return {
            table: [tuple(_plain(value, known) for value in row) for row in found]
            for table, found in tables.items()
        }


def _plain(value: str, known: dict[Any, int]) -> str:
    """Without the ids that stand inside bodies, and the digests of such bodies."""
    if len(value) == 64 and set(value) <= set("0123456789abcdef"):
        return "a digest"
    for checkout, number in known.items():
        value = value.replace(str(checkout), f"checkout {number}")
    return "a time" if value[:3] == "202" and ":" in value else _without_times(value)


def _without_times(value: str) -> str:
    import re

    value = re.sub(r"20\d\d-\d\d-\d\dT[\d:.+Z-]+", "a time", value)
    value = re.sub(r"pay_[0-9a-f]{32}", "a payment", value)
    value = re.sub(r'("TransactionDate", "Value": )\d+', r"\1a time", value)
    value = re.sub(r"<memory at \w+>", "bytes", value)
    return value


def _empty() -> None:
    for model in (*reversed(TABLES), WebhookEndpoint, MpesaCredential):
        model.objects.all()._raw_delete("default")  # type: ignore[attr-defined]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM milango_settledorder")


def test_batches_leave_the_same_rows_as_one_at_a_time(capsys: Any) -> None:
    print(f"MILANGO_TEST_SEED={SEED}")
    story = Story(SEED)
    for item in story.evidence():
        batches.run(receive.EVIDENCE, [item])
    one_at_a_time = story.snapshot()
    _empty()
    story = Story(SEED)
    asyncio.run(_through_the_inbox(story.evidence()))
    together = story.snapshot()
    for table, found in one_at_a_time.items():
        parted = sorted(set(together[table]) ^ set(found))
        assert not parted, f"{table}, seed {SEED}"
        assert sorted(together[table]) == sorted(found), f"{table}, seed {SEED}"


async def _through_the_inbox(evidence: list[Any]) -> None:
    """One writer, so that the order is the one in which they were sent."""
    inbox = Inbox(writers=1)
    await asyncio.gather(*(inbox.submit(receive.EVIDENCE, item) for item in evidence))
    await inbox.close()


@pytest.mark.postgres
@pytest.mark.slow
def test_killed_under_full_intake_nothing_that_was_answered_is_lost_or_half_done(
    prompted: Any, tmp_path: Path
) -> None:
    """Long form: MILANGO_TEST_KILLS=20."""
    for _ in range(KILLS):
        _kill_under_intake([prompted(service_type="captive_portal") for _ in range(400)])


def _kill_under_intake(payments: list[Prompted]) -> None:
    server, port = _serve()
    answered: list[Prompted] = []
    lock = threading.Lock()

    def send(mine: list[Prompted]) -> None:
        for one in mine:
            try:
                status = post(f"http://127.0.0.1:{port}", one.path, one.callback())
            except (OSError, ValueError, AssertionError):
                return
            except Exception:
                return  # half an answer is none
            if status == 200:
                with lock:
                    answered.append(one)

    threads = [threading.Thread(target=send, args=(payments[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while len(answered) < 60 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(server.pid, signal.SIGKILL)
    server.wait()
    for thread in threads:
        thread.join()
    assert len(answered) >= 60
    _check(payments, answered)


def _check(payments: list[Prompted], answered: list[Prompted]) -> None:
    ids = [one.payment.pk for one in payments]
    paid = set(Payment.objects.filter(pk__in=ids, status="Success").values_list("pk", flat=True))
    assert {one.payment.pk for one in answered} <= paid
    for model in (InboundCallback, AccessGrant, Receipt):
        found = model.objects.filter(payment__in=ids)
        assert set(found.values_list("payment_id", flat=True)) == paid, model.__name__
    events = PaymentEvent.objects.filter(payment__in=ids, type="payment.succeeded")
    assert set(events.values_list("payment_id", flat=True)) == paid


SERVER = """
import sys, django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = sys.argv[1]
django.setup()
from django.core.asgi import get_asgi_application
from milango.front import Front
import uvicorn
uvicorn.run(Front(get_asgi_application()), port=int(sys.argv[2]), lifespan="on", log_level="error")
"""


def _serve() -> tuple[subprocess.Popen[bytes], int]:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    name = str(connection.settings_dict["NAME"])
    server = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVER, name, str(port)],
        cwd=ROOT,
        env=os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONPATH": str(ROOT)},
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                return server, port
        time.sleep(0.05)
    raise AssertionError("the server did not start")
