"""Merchants' servers that take webhooks as fast as they come, and when they were told.

    python -m bench.told PORT NUMBER FILE PID

FILE is a pickled list of callbacks, from `bench.seed waiting`, and PID the worker's.

A worker is running, and idle. First payments are settled one at a time, by their callbacks, and the
time runs from the commit to the webhook's first byte. Then so many deliveries become due in one
commit, and the time runs from there to the last of them. One line of JSON says what was found.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import uvloop

from .load import percentile
from .processes import cpu_us, family

ENDPOINTS: Final = 50
"""Merchants that want to be told, with one endpoint each."""

FIRSTS: Final = 100
"""Payments that are settled one at a time."""

TYPE: Final = "payment.receipt_found"
"""What the many deliveries say: nothing else here makes such an event."""

PATIENCE: Final = 120.0
"""Seconds until what has not come is not waited for."""

ANSWER: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Shops:
    """Everything that came: by endpoint and event, when it came first, and how often."""

    def __init__(self) -> None:
        self.at: dict[tuple[bytes, bytes], float] = {}
        self.came = 0
        self.last = 0.0
        self._wanted = 0
        self._enough = asyncio.Event()

    def took(self, head: bytes) -> None:
        """One whole request."""
        self.came += 1
        self.last = time.perf_counter()
        path = head.split(b" ", 2)[1]
        self.at.setdefault((path, _header(head, b"webhook-id")), self.last)
        if len(self.at) >= self._wanted:
            self._enough.set()

    async def has(self, number: int) -> None:
        """Until so many different ones have come. Raises TimeoutError."""
        self._wanted = number
        self._enough.clear()
        if len(self.at) < number:
            async with asyncio.timeout(PATIENCE):
                await self._enough.wait()


class Shop(asyncio.Protocol):
    """One connection of the worker's."""

    def __init__(self, shops: Shops) -> None:
        self._shops = shops
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        while True:
            head, blank, rest = self._waiting.partition(b"\r\n\r\n")
            if not blank:
                return
            length = int(_header(head, b"content-length"))
            if len(rest) < length:
                return
            self._waiting = rest[length:]
            self._shops.took(head)
            self._transport.write(ANSWER)


def _header(head: bytes, name: bytes) -> bytes:
    at = head.lower().index(b"\r\n" + name + b":") + len(name) + 3
    return head[at:].split(b"\r\n", 1)[0].strip()


def subscribe(port: int) -> int:
    """One endpoint for each of the first merchants, and for nobody else. Gives how many."""
    from milango.flows import endpoints
    from milango.models import Merchant, WebhookEndpoint

    WebhookEndpoint.objects.all().delete()
    merchants = Merchant.objects.order_by("name")[:ENDPOINTS]
    for n, merchant in enumerate(merchants):
        endpoints.add(merchant, f"http://127.0.0.1:{port}/{n}", actor="bench")
    return len(merchants)


def settle(request: bytes) -> float:
    """Take a callback in; gives the time of the commit."""
    from milango.flows.receive import receive_stk

    head, _, body = request.partition(b"\r\n\r\n")
    token = head.split(b" ", 2)[1].rpartition(b"/")[2].decode()
    receive_stk(token, body, {}, "127.0.0.1")
    return time.perf_counter()


def make_due(number: int) -> float:
    """So many deliveries, each of another payment; the time of the commit."""
    from django.db import transaction
    from django.utils import timezone

    from milango.flows import endpoints
    from milango.models import (
        OpenPrompt,
        Payment,
        PaymentEvent,
        WebhookDelivery,
        WebhookEndpoint,
    )

    now = timezone.now()
    to = {each.merchant_id: each for each in WebhookEndpoint.objects.all()}
    payments = list(Payment.objects.filter(merchant_id__in=to, status="Pending")[:number])
    # As if they were settled: otherwise the same worker asks Daraja about thousands of them.
    OpenPrompt.objects.all().delete()
    Payment.objects.filter(status="Pending").update(status="Success", next_check_at=None)
    events = [
        PaymentEvent(
            payment_id=each.pk,
            merchant_id=each.merchant_id,
            seq=each.event_count + 1,
            type=TYPE,
            at=now,
        )
        for each in payments
    ]
    with transaction.atomic():
        PaymentEvent.objects.bulk_create(events, batch_size=2_000)
        WebhookDelivery.objects.bulk_create(
            [
                WebhookDelivery(
                    endpoint=to[each.merchant_id],
                    merchant_id=each.merchant_id,
                    payment_id=each.payment_id,
                    event_id=each.id,
                    event_type=each.type,
                    next_attempt_at=now,
                )
                for each in events
            ],
            batch_size=2_000,
        )
        endpoints.wake()
    return time.perf_counter()


async def measure(
    port: int, number: int, callbacks: Sequence[bytes], worker: int
) -> dict[str, Any]:
    """Both, one after the other."""
    shops = Shops()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Shop(shops), "127.0.0.1", port, backlog=2_048)
    await _in_thread(subscribe, port)
    waits = []
    for n, callback in enumerate(callbacks[: FIRSTS + 1]):
        # Longer than the worker's own pause at times, so that nobody is told by chance.
        await asyncio.sleep(random.uniform(0.05, 0.7))  # noqa: S311 - it guards nothing
        committed = await _in_thread(settle, callback)
        await shops.has(n + 1)
        if n:  # the first one wakes everything up: names, connections, plans
            waits.append(shops.last - committed)
    before = len(shops.at)
    committed = await _in_thread(make_due, number)
    used = cpu_us(family(worker))
    await shops.has(before + number)
    seconds = shops.last - committed
    await asyncio.sleep(1)  # what came last is written down
    used = cpu_us(family(worker)) - used
    server.close()
    return {
        "per_s": number / seconds,
        "first_p50_ms": percentile(waits, 0.5),
        "first_p99_ms": percentile(waits, 0.99),
        "worker_us": used / number,
        "doubled": shops.came - len(shops.at),
    }


async def _in_thread(verb: Any, *words: Any) -> Any:
    """Django's work, in a thread of its own with a connection of its own."""
    return await asyncio.get_running_loop().run_in_executor(None, verb, *words)


def main(words: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
    import django

    django.setup()
    port, number, file, worker = words
    callbacks = pickle.loads(Path(file).read_bytes())  # noqa: S301 - written by us a moment ago
    print(json.dumps(uvloop.run(measure(int(port), int(number), callbacks, int(worker)))))


if __name__ == "__main__":
    main(sys.argv[1:])
