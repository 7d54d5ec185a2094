"""POST /api/v1/stk-push: what a good request does, and what Daraja's moods make of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from milango.flows import charge, receive
from milango.models import IdempotencyKey, Merchant, MpesaCredential, Payment
from tests.people import OTHER_PAYER, PAYER, make_credential, make_key
from tests.whole.conftest import Daraja

from .conftest import Api, problem

pytestmark = pytest.mark.django_db(transaction=True)

PRIVATE = {"checkout_request_id", "merchant_request_id", "customer", "description", "order_id"}
PRIVATE |= {"metadata", "result_code", "result_text", "late", "duplicate_of", "settled_at"}


def test_it_works(api: Api, wish: dict[str, Any], daraja: Daraja):
    answer = api.push(wish)
    assert answer.status_code == 202
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    payment, (prompt,) = answer.json(), daraja.ledger()
    assert payment["status"] == "Pending"
    assert payment["checkout_request_id"] == prompt["checkout_request_id"]
    assert payment["phone_number"] == prompt["phone"] == PAYER
    assert prompt["amount"] == 50
    assert payment["requested_by"] == "server"
    assert payment["livemode"] is False


def test_the_links_work_without_a_key(
    api: Api, wish: dict[str, Any], stranger: Api, daraja: Daraja
):
    payment = api.push(wish).json()
    for link in (payment["status_url"], payment["events_url"]):
        assert link.startswith("https://pay.example.test/api/v1/payments/")
        path = link.removeprefix("https://pay.example.test")
        assert stranger.client.get(path).status_code == 200


def test_a_page_sees_no_payers_data(page: Api, wish: dict[str, Any], daraja: Daraja):
    payment = page.push(wish | {"metadata": {"seat": 7}}).json()
    assert payment["requested_by"] == "browser"
    assert payment["phone_number"] == "2547•••••149"
    assert not PRIVATE & set(payment)
    assert PAYER not in str(payment)


def test_a_host_header_does_not_choose_the_callback_address(
    api: Api, wish: dict[str, Any], daraja: Daraja
):
    api.push(wish, Host="evil.example", X_Forwarded_Host="evil.example")
    (prompt,) = daraja.ledger()
    assert prompt["callback_url"].startswith("https://pay.example.test/callbacks/stk/")


def test_a_refusal_is_422_and_the_payment_failed(
    api: Api, wish: dict[str, Any], credential: MpesaCredential, daraja: Daraja
):
    daraja.register(credential)
    credential.passkey = "mistyped"
    credential.save()
    document = problem(api.push(wish), 422, "daraja_refused")
    payment = Payment.objects.get()
    assert document["payment"] == payment.public_id
    assert (payment.status, payment.reason) == ("Failed", "refused")
    assert daraja.ledger() == []


def test_not_now_is_503_and_keeps_nothing(api: Api, wish: dict[str, Any], daraja: Daraja):
    daraja.story(PAYER, "busy")
    answer = api.push(wish, Idempotency_Key="order-1")
    document = problem(answer, 503, "daraja_busy")
    assert answer.headers["Retry-After"] == str(document["retry_after"])
    assert not Payment.objects.exists()
    assert not IdempotencyKey.objects.exists()


def test_an_unknown_outcome_is_202_and_pending(api: Api, wish: dict[str, Any], daraja: Daraja):
    daraja.story(PAYER, "answer_lost")
    answer = api.push(wish)
    assert answer.status_code == 202
    assert (answer.json()["status"], answer.json()["checkout_request_id"]) == ("Pending", None)
    assert len(daraja.ledger()) == 1


# --- Idempotency-Key -------------------------------------------------------------------------


def test_a_prompt_is_not_asked_for_again_when_its_answer_cannot_be_written(
    api: Api, wish: dict[str, Any], daraja: Daraja, monkeypatch: pytest.MonkeyPatch
):
    def away(evidence: Any) -> Any:
        raise OperationalError("could not connect to server")

    monkeypatch.setattr(charge, "settle_many", away)
    monkeypatch.setattr(receive, "settle_many", away)
    answer = api.push(wish)
    assert (answer.status_code, answer.json()["status"]) == (202, "Pending")
    assert len(daraja.ledger()) == 1
    assert Payment.objects.get().sending_at


def test_a_replay_answers_today_and_sends_nothing(api: Api, wish: dict[str, Any], daraja: Daraja):
    first = api.push(wish, Idempotency_Key="order-1").json()
    Payment.objects.update(confirming=True)
    again = api.push(wish, Idempotency_Key="order-1")
    assert again.status_code == 202
    assert again.json()["id"] == first["id"]
    assert again.json()["confirming"] is True
    assert len(daraja.ledger()) == 1


def test_the_same_wish_in_other_words_is_a_replay(api: Api, wish: dict[str, Any], daraja: Daraja):
    first = api.push(wish, Idempotency_Key="order-1").json()
    spelt = {"amount": "50.00", "phone_number": f"+{PAYER}", "shortcode": wish["shortcode"]}
    assert api.push(spelt, Idempotency_Key="order-1").json()["id"] == first["id"]


def test_another_body_is_a_conflict(api: Api, wish: dict[str, Any], daraja: Daraja):
    api.push(wish, Idempotency_Key="order-1")
    answer = api.push(wish | {"amount": 51}, Idempotency_Key="order-1")
    problem(answer, 409, "idempotency_conflict", "Idempotency-Key")
    assert len(daraja.ledger()) == 1


def test_keys_of_other_merchants_and_kinds_are_other_keys(
    api: Api,
    page: Api,
    other_api: Api,
    wish: dict[str, Any],
    other_credential: MpesaCredential,
    merchant: Merchant,
    daraja: Daraja,
):
    daraja.settings(one_prompt_per_phone=False)
    elsewhere = make_credential(merchant)
    answers = [
        api.push(wish, Idempotency_Key="k"),
        page.push(wish | {"shortcode": elsewhere.short_code}, Idempotency_Key="k"),
        other_api.push(wish | {"shortcode": other_credential.short_code}, Idempotency_Key="k"),
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 202]
    assert len({answer.json()["id"] for answer in answers}) == 3
    assert len(daraja.ledger()) == 3


def test_a_replay_gives_a_page_no_payers_data(page: Api, wish: dict[str, Any], daraja: Daraja):
    page.push(wish, Idempotency_Key="k")
    again = page.push(wish, Idempotency_Key="k")
    assert not PRIVATE & set(again.json())
    assert PAYER not in again.content.decode()


@pytest.mark.postgres
def test_one_key_at_the_same_instant_sends_one_prompt(
    api: Api, wish: dict[str, Any], daraja: Daraja
):
    def push(_: int) -> str:
        try:
            return api.push(wish, Idempotency_Key="order-1").json()["id"]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(push, range(6)))
    assert len(ids) == len(daraja.ledger()) == 1


# --- one open prompt -------------------------------------------------------------------------


@pytest.fixture
def waiting(api: Api, wish: dict[str, Any], daraja: Daraja) -> dict[str, Any]:
    """A payment whose prompt is still on the phone."""
    return api.push(wish).json()


def test_an_open_prompt_is_named_to_the_server(
    api: Api, wish: dict[str, Any], waiting: dict[str, Any], daraja: Daraja
):
    answer = api.push(wish | {"amount": 60})
    document = problem(answer, 409, "prompt_open")
    assert document["payment"] == waiting["id"]
    assert 0 < int(answer.headers["Retry-After"]) <= 181
    assert len(daraja.ledger()) == 1


def test_an_open_prompt_is_not_named_to_a_page(
    page: Api, wish: dict[str, Any], waiting: dict[str, Any], daraja: Daraja
):
    document = problem(page.push(wish), 409, "prompt_open")
    assert "payment" not in document
    assert waiting["id"] not in str(document)
    assert waiting["checkout_id"] not in str(document)
    assert document["retry_after"] > 0


def test_another_phone_and_another_short_code_are_free(
    api: Api,
    merchant: Merchant,
    wish: dict[str, Any],
    waiting: dict[str, Any],
    daraja: Daraja,
):
    daraja.settings(one_prompt_per_phone=False)
    elsewhere = make_credential(merchant)
    assert api.push(wish | {"phone_number": OTHER_PAYER}).status_code == 202
    assert api.push(wish | {"shortcode": elsewhere.short_code}).status_code == 202


def test_a_paid_order_is_not_asked_for_again(
    api: Api, page: Api, wish: dict[str, Any], daraja: Daraja
):
    from milango.models import SettledOrder

    payment_id = api.push(wish | {"order_id": "A-1"}).json()["id"]
    payment = Payment.objects.get()
    SettledOrder.objects.create(merchant=payment.merchant, order_id="A-1", payment=payment)
    again = wish | {"order_id": "A-1", "phone_number": OTHER_PAYER}
    assert problem(api.push(again), 409, "order_already_paid", "order_id")["payment"] == payment_id
    assert "payment" not in problem(page.push(again), 409, "order_already_paid", "order_id")
    assert len(daraja.ledger()) == 1


def test_a_short_code_in_two_environments_must_be_told_apart(
    api: Api, merchant: Merchant, credential: MpesaCredential, wish: dict[str, Any], daraja: Daraja
):
    make_credential(merchant, short_code=credential.short_code, environment="sandbox")
    problem(api.push(wish), 400, "ambiguous_shortcode", "environment")
    assert api.push(wish | {"environment": "sandbox"}).json()["environment"] == "sandbox"


def test_a_copied_database_sends_nothing(
    api: Api, wish: dict[str, Any], daraja: Daraja, settings: Any
):
    api.push(wish)
    settings.MILANGO = settings.MILANGO | {"PUBLIC_URL": "https://staging.example.test"}
    problem(api.push(wish | {"phone_number": OTHER_PAYER}), 503, "not_adopted")
    assert len(daraja.ledger()) == 1


def test_the_simulator_environment_can_be_off(
    api: Api, wish: dict[str, Any], daraja: Daraja, settings: Any
):
    settings.MILANGO = settings.MILANGO | {"SIMULATOR": False}
    problem(api.push(wish), 404, "unknown_shortcode", "shortcode")


def test_the_last_use_of_a_key_is_remembered(
    merchant: Merchant, wish: dict[str, Any], daraja: Daraja
):
    row, plain = make_key(merchant)
    Api(plain).push(wish)
    row.refresh_from_db()
    assert row.last_used_at is not None
    assert connection.in_atomic_block is False
