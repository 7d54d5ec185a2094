"""Merchants never meet: every route, with another merchant's key and objects (money rule 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from milango.api.routes import API
from milango.core.answers import document_answer
from milango.flows.present import UNKNOWN_STATUS
from milango.models import MpesaCredential, Payment
from tests.flows.conftest import make_payment
from tests.people import OTHER_PAYER
from tests.whole.conftest import Daraja

from .conftest import Api, problem

pytestmark = pytest.mark.django_db

NOBODYS = {"id": f"pay_{'0' * 32}", "checkout": f"co_{'0' * 32}", "shortcode": "999999"}

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
}


def test_every_route_is_tried():
    assert set(ROUTES) == {route.name for route in API}


@pytest.mark.parametrize("route", ROUTES)
def test_another_merchants_things_are_as_absent_as_nobodys(
    route: str, other_api: Api, credential: MpesaCredential, daraja: Daraja
):
    payment = make_payment(credential)
    theirs = {
        "id": payment.public_id,
        "checkout": payment.checkout_id,
        "shortcode": credential.short_code,
    }
    ask, expected = ROUTES[route]
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
    assert daraja.call("GET", "requests") == []


@pytest.mark.parametrize("route", ROUTES)
def test_nothing_is_told_without_a_key(route: str, stranger: Api, credential: MpesaCredential):
    payment = make_payment(credential)
    names = {"id": payment.public_id, "checkout": payment.checkout_id}
    answer = ROUTES[route][0](stranger, names | {"shortcode": credential.short_code})
    problem(answer, 401, "unauthenticated")
