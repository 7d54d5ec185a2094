"""Receivers of webhooks on real sockets, and a worker that tells them."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone

from milango.flows import bell, deliver, endpoints
from milango.models import Merchant, MpesaCredential, WebhookDelivery, WebhookEndpoint
from milango.models.ids import uuid7
from tests.people import make_credential, make_merchant
from tests.servers import serve


class Receiver:
    """A merchant's server: keeps what it gets, and answers as it is told."""

    def __init__(self) -> None:
        self.url = ""
        self.status = 200
        self.body = b"ok"
        self.headers: list[tuple[bytes, bytes]] = []
        self.drip = 0.0
        """Seconds between two bytes of the answer."""
        self.got: list[tuple[dict[str, str], bytes, float]] = []
        self.most_at_once = 0
        self._at_once = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            await self._take(receive, send, scope["headers"])
        finally:
            self._at_once -= 1

    async def _take(self, receive: Any, send: Any, given: list[tuple[bytes, bytes]]) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in given}
        self.got.append((headers, body, time.monotonic()))
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        if self.drip:
            for byte in self.body:
                await send({"type": "http.response.body", "body": bytes([byte]), "more_body": True})
                await asyncio.sleep(self.drip)
        rest = b"" if self.drip else self.body
        await send({"type": "http.response.body", "body": rest})

    @property
    def documents(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body, _ in self.got]

    def wait(self, number: int = 1, seconds: float = 10) -> None:
        wait_for(lambda: len(self.got) >= number, seconds)


def wait_for(fact: Callable[[], Any], seconds: float = 10) -> None:
    """Until it is so; fails when it does not become so."""
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def make_due(
    merchant: Merchant, told: list[WebhookEndpoint], number: int, *, seconds_ago: int = 0
) -> None:
    """So many deliveries to each of these endpoints."""
    due_at = timezone.now() - timedelta(seconds=seconds_ago)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=to,
            merchant=merchant,
            event_id=uuid7(),
            event_type="ping",
            next_attempt_at=due_at,
        )
        for to in told
        for _ in range(number)
    )


@contextmanager
def receiving(path: str = "/hook") -> Iterator[Receiver]:
    receiver = Receiver()
    with serve(receiver, lifespan="off") as url:
        receiver.url = url + path
        yield receiver


@pytest.fixture
def shop() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def other_shop() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture
def merchant(transactional_db: None, settings: Any) -> Merchant:
    settings.MILANGO = settings.MILANGO | {"WEBHOOKS_TO_ANYWHERE": True}
    return make_merchant("Duka")


@pytest.fixture
def credential(merchant: Merchant) -> MpesaCredential:
    return make_credential(merchant, environment="production")


@pytest.fixture
def endpoint(merchant: Merchant, shop: Receiver) -> WebhookEndpoint:
    return endpoints.add(merchant, shop.url, actor="test")


@pytest.fixture
def worker(merchant: Merchant) -> Iterator[None]:
    """Delivers in a thread, as the embedded form does."""
    stop = threading.Event()
    thread = threading.Thread(target=deliver.run, args=(stop,))
    thread.start()
    yield
    stop.set()
    bell.ring(())  # it may be in a long pause
    thread.join(10)
    assert not thread.is_alive()
    connections.close_all()
