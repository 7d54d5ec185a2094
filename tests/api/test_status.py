"""GET /api/v1/payments/status/<checkout_id>: who is told what about which id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from milango import sealing
from milango.core import signing
from milango.core.answers import document_answer
from milango.flows.present import UNKNOWN_STATUS
from milango.models import Merchant, MpesaCredential, Payment
from tests.flows.conftest import make_payment
from tests.people import make_key

from .conftest import Api, problem

pytestmark = pytest.mark.django_db

CHECKOUT = "ws_CO_01032026123000123708374149"
UNKNOWN = document_answer(UNKNOWN_STATUS).body


@pytest.fixture
def payment(credential: MpesaCredential) -> Payment:
    return make_payment(credential, checkout_request_id=CHECKOUT, amount=50)


@pytest.fixture
def foreign(other_credential: MpesaCredential) -> Payment:
    return make_payment(other_credential, checkout_request_id=CHECKOUT + "9", amount=70)


def ticket_for(payment: Payment, life: timedelta = timedelta(minutes=10)) -> str:
    kid = sealing.current_key_id()
    key = sealing.derive("read-token", kid)
    return signing.make_read_token(payment.pk, timezone.now() + life, kid, key)


def test_our_id_works_with_either_key(api: Api, page: Api, payment: Payment):
    for caller in (api, page):
        answer = caller.status(payment.checkout_id)
        assert answer.status_code == 200
        assert answer.json()["status"] == "Pending"
        assert answer.json()["amount"] == "50.00"


def test_darajas_id_works_with_a_secret_key_only(api: Api, page: Api, payment: Payment):
    assert api.status(CHECKOUT).json()["checkout_id"] == payment.checkout_id
    assert page.status(CHECKOUT).content == UNKNOWN


def test_the_answer_tells_how_it_ended(api: Api, payment: Payment):
    Payment.objects.update(
        status="Success",
        receipt_number="UCE5K7Q2XD",
        access_duration_minutes=120,
        start_time=timezone.now(),
    )
    document = api.status(payment.checkout_id).json()
    assert document["status"] == "Success"
    assert document["receipt_number"] == "UCE5K7Q2XD"
    assert document["access_duration_minutes"] == 120
    assert document["start_time"].endswith("Z")


@pytest.mark.parametrize(
    "name",
    [
        "co_" + "0" * 32,
        "ws_CO_01032026123000123708374148",
        "co_%00",
        "x" * 600,
        "%ED%A0%80",
        "..",
        "🙂",
    ],
)
def test_an_unknown_id_is_pending(name: str, api: Api, page: Api, payment: Payment):
    for caller in (api, page):
        answer = caller.status(name)
        assert (answer.status_code, answer.content) == (200, UNKNOWN)


def test_foreign_ids_and_unknown_ids_have_the_same_bytes(
    api: Api, page: Api, payment: Payment, foreign: Payment
):
    for caller in (api, page):
        for name in (foreign.checkout_id, foreign.checkout_request_id, foreign.public_id):
            answer = caller.status(str(name))
            assert (answer.status_code, answer.content) == (200, UNKNOWN)
            assert answer.headers == caller.status("co_" + "0" * 32).headers


def test_a_known_and_an_unknown_checkout_request_id_cost_a_page_the_same(
    page: Api, payment: Payment
):
    from django.db import connection

    page.status(CHECKOUT)
    with CaptureQueriesContext(
        connection,
    ) as known:
        page.status(CHECKOUT)
    with CaptureQueriesContext(connection) as unknown:
        page.status(CHECKOUT + "1")
    assert len(known) == len(unknown)


def test_a_ticket_reads_its_own_payment(stranger: Api, payment: Payment):
    answer = stranger.status(payment.checkout_id, ticket=ticket_for(payment))
    assert answer.json()["amount"] == "50.00"


def test_a_ticket_reads_nothing_else(stranger: Api, payment: Payment, foreign: Payment):
    ticket = ticket_for(payment)
    for name in (foreign.checkout_id, CHECKOUT, "co_" + "0" * 32):
        answer = stranger.status(str(name), ticket=ticket)
        assert (answer.status_code, answer.content) == (200, UNKNOWN)


@pytest.mark.parametrize(
    "spoil",
    [lambda t: t[:-1] + "g", lambda t: "1" + t[1:], lambda t: t[:9] + t[10:] + "0", lambda t: "x"],
)
def test_a_forged_ticket_is_no_key(spoil: Any, stranger: Api, payment: Payment):
    answer = stranger.status(payment.checkout_id, ticket=spoil(ticket_for(payment)))
    problem(answer, 401, "unauthenticated")


def test_an_expired_ticket_is_no_key(stranger: Api, payment: Payment):
    old = ticket_for(payment, timedelta(seconds=-1))
    problem(stranger.status(payment.checkout_id, ticket=old), 401, "unauthenticated")


def test_a_callback_token_is_no_ticket(stranger: Api, payment: Payment):
    kid = sealing.current_key_id()
    key = sealing.derive("callback", kid)
    token = signing.make_callback_token(payment.pk, kid, key, b"x" * 16)
    problem(stranger.status(payment.checkout_id, ticket=token), 401, "unauthenticated")


def test_without_key_and_ticket_nothing_is_told(stranger: Api, payment: Payment):
    problem(stranger.status(payment.checkout_id), 401, "unauthenticated")


def test_a_bad_key_is_not_saved_by_a_ticket(payment: Payment):
    answer = Api("sk_unknown").status(payment.checkout_id, ticket=ticket_for(payment))
    problem(answer, 401, "unauthenticated")


def test_a_secret_key_needs_the_scope(merchant: Merchant, payment: Payment):
    charger = Api(make_key(merchant, scopes=["charge"])[1])
    problem(charger.status(payment.checkout_id), 403, "wrong_scope")
