"""A twin of Daraja, and clients that ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from milango.daraja import DynamicMpesaClient
from milango.daraja.sessions import bridge
from milango.daraja.tokens import MemoryTokenStore
from tests.daraja.payloads import SANDBOX_PASSKEY
from tests.daraja.twin import Twin, running

Clients = Callable[..., DynamicMpesaClient]


@pytest.fixture
def twin() -> Iterator[Twin]:
    with running() as twin:
        yield twin
        bridge.stop()


@pytest.fixture
def client_of(twin: Twin) -> Clients:
    """Make a client of the sandbox's paybill, with tokens that no other test sees."""
    store = MemoryTokenStore()

    def make(**fields: Any) -> DynamicMpesaClient:
        given: dict[str, Any] = {
            "consumer_key": "key-of-174379",
            "consumer_secret": "secret-of-174379",
            "passkey": SANDBOX_PASSKEY,
            "short_code": "174379",
            "base_url": twin.base_url,
            "token_store": store,
            "timeout": 5,
        }
        return DynamicMpesaClient(**given | fields)

    return make


@pytest.fixture
def client(client_of: Clients) -> DynamicMpesaClient:
    return client_of()
