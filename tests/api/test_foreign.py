"""Merchants never meet: every route, with another merchant's key and objects (money rule 9)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from milango.api.routes import API
from milango.core.answers import document_answer
from milango.flows import endpoints
from milango.flows.present import UNKNOWN_STATUS
from milango.models import (
    Merchant,
    MpesaCredential,
    Payment,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.flows.conftest import make_payment
from tests.people import OTHER_PAYER, make_key
from tests.whole.conftest import Daraja

from .conftest import Api, problem

pytestmark = pytest.mark.django_db

NOBODYS = {
    "id": f"pay_{'0' * 32}",
    "checkout": f"co_{'0' * 32}",
    "shortcode": "999999",
    "endpoint": f"whe_{'0' * 32}",
    "delivery": f"whd_{'0' * 32}",
}
SINCE = (timezone.now() - timedelta(days=1)).isoformat()

Ask = Callable[[Api, dict[str, str]], Any]

ROUTES: dict[str, tuple[Ask, str]] = {
    "stk-push": (
        lambda api, names: api.push(
            {"phone_number": OTHER_PAYER, "amount": 50, "shortcode": names["shortcode"]}
        ),
        "unknown_shortcode",
    ),
    "payment-status": (lambda api, names: api.status(names["checkout"]), "unknown"),
    "payments": (lambda api, names: api.get("payments", starting_after=names["id"]), "empty"),
    "payment": (lambda api, names: api.get(f"payments/{names['id']}"), "not_found"),
    "payment-events": (lambda api, names: api.get(f"payments/{names['id']}/events"), "not_found"),
    "webhook-endpoints": (
        lambda api, names: api.get("webhook-endpoints", starting_after=names["endpoint"]),
        "empty",
    ),
    "webhook-endpoint": (
        lambda api, names: api.send("PATCH", _at(names), {"active": False}),
        "not_found",
    ),
    "webhook-endpoint-rotate": (
        lambda api, names: api.send("POST", f"{_at(names)}/rotate"),
        "not_found",
    ),
    "webhook-endpoint-test": (
        lambda api, names: api.send("POST", f"{_at(names)}/test"),
        "not_found",
    ),
    "webhook-endpoint-replay": (
        lambda api, names: api.send("POST", f"{_at(names)}/replay", {"since": SINCE}),
        "not_found",
    ),
    "webhook-endpoint-deliveries": (
        lambda api, names: api.get(f"{_at(names)}/deliveries"),
        "not_found",
    ),
    "webhook-delivery": (
        lambda api, names: api.get(f"webhook-deliveries/{names['delivery']}"),
        "not_found",
    ),
    "webhook-delivery-replay": (
        lambda api, names: api.send("POST", f"webhook-deliveries/{names['delivery']}/replay"),
        "not_found",
    ),
}
MORE: dict[str, Ask] = {
    "reading an endpoint": lambda api, names: api.get(_at(names)),
    "removing it": lambda api, names: api.send("DELETE", _at(names)),
}
"""Other methods of the same addresses."""


def _at(names: dict[str, str]) -> str:
    return f"webhook-endpoints/{names['endpoint']}"


def test_every_route_is_tried():
    assert set(ROUTES) == {route.name for route in API}


def _theirs(credential: MpesaCredential) -> dict[str, str]:
    """The names of a merchant's own things."""
    payment = make_payment(credential)
    endpoint = endpoints.add(credential.merchant, "https://shop.example/hook", actor="test")
    return {
        "id": payment.public_id,
        "checkout": payment.checkout_id,
        "shortcode": credential.short_code,
        "endpoint": endpoint.public_id,
        "delivery": endpoints.trigger_at(endpoint, "ping").public_id,
    }


@pytest.mark.parametrize("route", [*ROUTES, *MORE])
def test_another_merchants_things_are_as_absent_as_nobodys(
    route: str, other_merchant: Merchant, credential: MpesaCredential, daraja: Daraja
):
    other_api = Api(make_key(other_merchant, scopes=["read", "charge", "manage"])[1])
    theirs = _theirs(credential)
    before = _webhooks()
    ask, expected = ROUTES[route] if route in ROUTES else (MORE[route], "not_found")
    foreign, nobodys = ask(other_api, theirs), ask(other_api, NOBODYS)
    assert foreign.content == nobodys.content
    assert foreign.headers == nobodys.headers
    assert foreign.status_code == nobodys.status_code
    if expected == "unknown":
        assert foreign.content == document_answer(UNKNOWN_STATUS).body
    elif expected == "empty":
        assert foreign.json() == {"object": "list", "data": [], "has_more": False}
    else:
        problem(foreign, 404, expected, "shortcode" if "short" in expected else "")
    assert Payment.objects.count() == 1
    assert _webhooks() == before
    assert daraja.call("GET", "requests") == []


def _webhooks() -> list[Any]:
    return [
        *WebhookEndpoint.objects.values_list("active", "disabled_reason"),
        *WebhookDelivery.objects.values_list("state", "next_attempt_at"),
    ]


@pytest.mark.parametrize("route", [*ROUTES, *MORE])
def test_nothing_is_told_without_a_key(route: str, stranger: Api, credential: MpesaCredential):
    ask = ROUTES[route][0] if route in ROUTES else MORE[route]
    answer = ask(stranger, _theirs(credential))
    problem(answer, 401, "unauthenticated")
