"""Two merchants and what they hold: credentials at a real simulator, and keys of both kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest
from django.test import Client

from milango.models import ApiKey, Merchant, MerchantOrigin, MpesaCredential, Payment
from tests.doors import DOORS
from tests.people import PAYER, make_credential, make_key, make_merchant
from tests.servers import serve
from tests.whole.conftest import Daraja

PUSH = "/api/v1/stk-push"
ORIGIN = "https://duka.example"


HOT: Final = (
    "test_bad_input test_browsers test_c2b test_callback test_peers test_push "
    "test_request_ids test_results test_status"
).split()
"""Files whose tests are run at both doors."""

_door: list[type[Client]] = [Client]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """What is answered at the hot door as well is tried there as well."""
    if metafunc.module.__name__.rpartition(".")[2] in HOT:
        metafunc.parametrize("door", DOORS, indirect=True)


@pytest.fixture(autouse=True)
def door(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The door that this test's requests come through."""
    name = getattr(request, "param", "django")
    if name == "front":
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    _door.append(DOORS[name])
    yield name
    _door.pop()


def open_client(**options: Any) -> Any:
    """A client at the door of this test."""
    return _door[-1](raise_request_exception=False, **options)


class Api:
    """The API as a caller with one key uses it."""

    def __init__(self, key: str = "", origin: str = "") -> None:
        self.client = open_client()
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        if origin:
            self.headers["Origin"] = origin

    def push(self, body: Any, **headers: str) -> Any:
        """Ask for a prompt; `body` is a document, or bytes as they are."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        kind = named.pop("Content-Type", "application/json")
        return self.client.post(PUSH, data, content_type=kind, headers=self.headers | named)

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Change something below /api/v1/; without a body, nothing is said."""
        data = b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            data,
            content_type="application/json",
            headers=self.headers | headers,
        )

    def get(self, path: str, **query: str) -> Any:
        """Read something below /api/v1/."""
        return self.client.get(f"/api/v1/{path}", query, headers=self.headers)

    def status(self, checkout_id: str, **query: str) -> Any:
        return self.get(f"payments/status/{checkout_id}", **query)


@pytest.fixture(scope="session")
def _simulator() -> Iterator[str]:
    # The simulator is another program: nothing but its address is shared with it.
    from milango.simulator.app import create_app

    with serve(create_app()) as url:
        yield url


@pytest.fixture
def daraja(_simulator: str, settings: Any) -> Daraja:
    """A Daraja of one's own, without history; every environment leads to it."""
    everywhere = dict.fromkeys(("simulator", "sandbox", "production"), _simulator)
    settings.MILANGO = settings.MILANGO | {"DARAJA_URLS": everywhere}
    simulator = Daraja(_simulator)
    simulator.call("POST", "reset")
    simulator.settings(duplicate_window_s=0)
    return simulator


@pytest.fixture
def merchant(db: None) -> Merchant:
    merchant = make_merchant("Duka")
    MerchantOrigin.objects.get_or_create(merchant=merchant, origin=ORIGIN)
    return merchant


@pytest.fixture
def other_merchant(db: None) -> Merchant:
    return make_merchant("Hoteli")


@pytest.fixture
def credential(merchant: Merchant) -> MpesaCredential:
    return make_credential(merchant)


@pytest.fixture
def other_credential(other_merchant: Merchant) -> MpesaCredential:
    return make_credential(other_merchant)


@pytest.fixture
def api(merchant: Merchant) -> Api:
    """The merchant's server."""
    return Api(make_key(merchant)[1])


@pytest.fixture
def other_api(other_merchant: Merchant) -> Api:
    """Another merchant's server."""
    return Api(make_key(other_merchant)[1])


@pytest.fixture
def page(merchant: Merchant) -> Api:
    """The merchant's page in a browser; its key may choose the amount."""
    return Api(make_key(merchant, "publishable", open_amount=True)[1], ORIGIN)


@pytest.fixture
def stranger() -> Api:
    """Nobody we know."""
    return Api()


@pytest.fixture
def wish(credential: MpesaCredential) -> dict[str, Any]:
    """A good request for a prompt."""
    return {"phone_number": PAYER, "amount": 50, "shortcode": credential.short_code}


def problem(response: Any, status: int, code: str, field: str = "") -> dict[str, Any]:
    """The answer is that problem, in problem+json; gives its document."""
    assert response.headers["Content-Type"] == "application/problem+json"
    document = json.loads(response.content)
    assert (response.status_code, document["status"], document["code"]) == (status, status, code)
    assert document.get("field", "") == field
    assert document["type"].endswith(f"#{code}")
    assert document["detail"]
    return document


def nothing_happened(daraja: Daraja) -> None:
    """No payment was stored, and Daraja was not asked for anything."""
    assert not Payment.objects.exists()
    assert daraja.call("GET", "requests") == []


def revoke(key: ApiKey) -> None:
    """The key is good for nothing from now on."""
    from milango.flows.callers import revoke_key

    revoke_key(key, actor="test")
