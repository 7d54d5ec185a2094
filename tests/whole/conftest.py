"""The whole of Milango on real sockets: its server, and a Daraja to talk to."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.db import connections

from milango.flows import check
from milango.models import MpesaCredential, Payment
from tests.people import PAYER, make_credential, make_key, make_merchant, make_till
from tests.servers import serve


class Daraja:
    """The simulator's control API, as a test uses it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"{self.url}/control/{path}",
            data,
            {"Content-Type": "application/json"},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def text(self, path: str) -> str:
        """What a control route gives that is no JSON."""
        with urllib.request.urlopen(f"{self.url}/control/{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def register(self, credential: MpesaCredential, **more: Any) -> None:
        """Make the credential's app and short code known, as Daraja's portal would."""
        self.call(
            "POST",
            "apps",
            {
                "consumer_key": credential.consumer_key,
                "consumer_secret": credential.consumer_secret,
                "name": credential.merchant.name,
                "shortcodes": [
                    {
                        "shortcode": credential.business_short_code,
                        "kind": credential.kind,
                        "party_b": credential.party_b,
                        "passkey": credential.passkey,
                        "name": credential.merchant.name,
                        **more,
                    }
                ],
            },
        )

    def settings(self, **changes: Any) -> None:
        self.call("PATCH", "settings", changes)

    def story(self, phone: str, story: str) -> None:
        self.call("POST", "stories", {"phone": phone, "story": story})

    def ledger(self) -> list[dict[str, Any]]:
        answer = self.call("GET", "ledger")
        return answer["entries"] if isinstance(answer, dict) else answer

    def idle(self) -> None:
        """Wait until every callback that will come has come."""
        self.call("POST", "idle")


@pytest.fixture(scope="session")
def _daraja_url() -> Iterator[str]:
    # The simulator is another program: nothing but its address is shared with it.
    from milango.simulator.app import create_app

    with serve(create_app()) as url:
        yield url


@pytest.fixture
def daraja(_daraja_url: str) -> Daraja:
    """A simulator without apps, stories or history, in a hurry."""
    simulator = Daraja(_daraja_url)
    simulator.call("POST", "reset")
    simulator.settings(duplicate_window_s=0)
    return simulator


@pytest.fixture
def milango(transactional_db: None, daraja: Daraja, settings: Any) -> Iterator[str]:
    """Milango's own server on a real socket; callbacks reach it there."""
    with serve(get_asgi_application()) as url:
        settings.MILANGO = settings.MILANGO | {
            "PUBLIC_URL": url,
            "DARAJA_URLS": {"simulator": daraja.url, "production": daraja.url},
        }
        yield url
    connections.close_all()


@pytest.fixture
def paybill(milango: str, daraja: Daraja) -> MpesaCredential:
    """A merchant's paybill, registered at the simulator."""
    credential = make_credential(make_merchant("Duka"))
    daraja.register(credential)
    return credential


@pytest.fixture
def till(milango: str, daraja: Daraja) -> MpesaCredential:
    """Another merchant's till, whose store number differs from it."""
    credential = make_till(make_merchant("Hoteli"))
    daraja.register(credential)
    return credential


Answer = tuple[int, dict[str, Any]]


@pytest.fixture
def call(milango: str) -> Callable[..., Answer]:
    """Speak to Milango's API over HTTP."""

    def speak(
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str = "",
        headers: dict[str, str] | None = None,
    ) -> Answer:
        data = None if body is None else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        if key:
            given["Authorization"] = f"Bearer {key}"
        request = urllib.request.Request(milango + path, data, given, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    return speak


@pytest.fixture(autouse=True)
def _books_are_right(transactional_db: None) -> Iterator[None]:
    """Whatever was told, lost, doubled or killed: in the end the books are right."""
    yield
    assert check.check().broken == {}


def push(call: Any, credential: MpesaCredential, **fields: Any) -> Payment:
    """Ask for a payment through the API, with a key of the credential's merchant."""
    _, key = make_key(credential.merchant)
    body = {"phone_number": PAYER, "amount": 50, "shortcode": credential.short_code, **fields}
    status, answer = call("POST", "/api/v1/stk-push", body, key=key)
    assert status == 202, answer
    return Payment.objects.get(checkout_id=answer["checkout_id"])
