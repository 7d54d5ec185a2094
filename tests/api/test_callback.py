"""POST /callbacks/stk/<token>: nothing that came is lost; what is not ours costs no query."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from milango import sealing
from milango.core import signing
from milango.models import Doubt, InboundCallback, MpesaCredential, Payment, Receipt
from tests.flows.conftest import make_payment
from tests.people import PAYER

from .conftest import open_client, problem

pytestmark = pytest.mark.django_db

CHECKOUT = "ws_CO_01032026123000123708374149"
TAKEN = b'{"ResultCode":0,"ResultDesc":"Accepted"}'


class Prompted:
    """A payment whose prompt is out, and the callback address that Daraja was given."""

    def __init__(self, credential: MpesaCredential, checkout: str = CHECKOUT) -> None:
        self.payment = make_payment(credential, checkout_request_id=checkout)
        kid = sealing.current_key_id()
        key = sealing.derive("callback", kid)
        self.token = signing.make_callback_token(self.payment.pk, kid, key, b"r" * 16)
        hashed = signing.token_hash(self.token)
        Payment.objects.filter(pk=self.payment.pk).update(callback_token_hash=hashed)

    def post(self, body: bytes, **extra: Any) -> Any:
        return post(self.token, body, **extra)

    def now(self) -> Payment:
        self.payment.refresh_from_db()
        return self.payment


def post(token: str, body: bytes, **extra: Any) -> Any:
    client = open_client()
    path = f"/callbacks/stk/{token}"
    return client.post(path, body, content_type="application/json", **extra)


def paid(payment: Payment, **changes: Any) -> bytes:
    """A success as Daraja writes it."""
    when = payment.created_at.strftime("%Y%m%d%H%M%S")
    items = {
        "Amount": float(payment.amount),
        "MpesaReceiptNumber": "UCE5K7Q2XD",
        "TransactionDate": int(str(int(when[:8]) + 1) + when[8:]),
        "PhoneNumber": int(PAYER),
    }
    items |= {name: value for name, value in changes.items() if name in items}
    callback = {
        "MerchantRequestID": "6c1d-4f0a-9b27-5e8a1c3d90f27184",
        "CheckoutRequestID": changes.get("CheckoutRequestID", payment.checkout_request_id),
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": {"Item": [{"Name": k, "Value": v} for k, v in items.items()]},
    }
    return json.dumps({"Body": {"stkCallback": callback}}).encode()


@pytest.fixture
def prompted(credential: MpesaCredential) -> Prompted:
    return Prompted(credential)


def test_a_success_is_settled_before_the_answer(prompted: Prompted):
    answer = prompted.post(paid(prompted.payment))
    assert (answer.status_code, answer.content) == (200, TAKEN)
    payment = prompted.now()
    assert (payment.status, payment.receipt_number) == ("Success", "UCE5K7Q2XD")
    kept = InboundCallback.objects.get()
    assert bytes(kept.body or b"") == paid(payment)
    assert kept.peer == "127.0.0.1"
    assert kept.headers["content-type"] == "application/json"


def test_the_same_callback_twice_is_taken_twice_and_counted_once(prompted: Prompted):
    for _ in range(2):
        assert prompted.post(paid(prompted.payment)).content == TAKEN
    assert Receipt.objects.count() == 1
    assert InboundCallback.objects.get().repeats == 1


BAD: dict[str, bytes] = {
    "nothing": b"",
    "text": b"hello",
    "half": b'{"Body": {"stkCallback": {"Merch',
    "bytes": b"\xff\xfe\x00",
    "a list": b"[]",
    "deep": b"[" * 20_000,
    "NaN": b'{"Body": {"stkCallback": {"ResultCode": NaN}}}',
}


@pytest.mark.parametrize("case", BAD)
def test_an_unreadable_body_is_kept_and_credits_nothing(case: str, prompted: Prompted):
    answer = prompted.post(BAD[case])
    assert (answer.status_code, answer.content) == (200, TAKEN)
    assert bytes(InboundCallback.objects.get().body or b"") == BAD[case]
    assert prompted.now().status == "Pending"


@pytest.mark.parametrize("change", [{"Amount": 51.0}, {"CheckoutRequestID": "ws_CO_other"}])
def test_other_ids_and_amounts_are_a_doubt_with_an_owner_and_an_age(
    change: dict[str, Any], prompted: Prompted
):
    answer = prompted.post(paid(prompted.payment, **change))
    assert (answer.status_code, answer.content) == (200, TAKEN)
    assert prompted.now().status == "Pending"
    doubt = Doubt.objects.get()
    assert doubt.owner
    assert doubt.raised_at
    assert InboundCallback.objects.get().verdict.startswith("doubt:")


def test_a_receipt_that_is_taken_credits_nothing(prompted: Prompted, credential: MpesaCredential):
    prompted.post(paid(prompted.payment))
    second = Prompted(credential, CHECKOUT + "1")
    assert second.post(paid(second.payment)).content == TAKEN
    assert second.now().status == "Pending"
    assert Doubt.objects.get().payment == second.payment


def spoilt(token: str) -> list[str]:
    flipped = "1" if token[-1] == "0" else "0"
    return ["x", "0" * 98, token[:-1] + flipped, "ff" + token[2:], token + "0", token.upper() + "G"]


def test_an_unknown_token_costs_no_query(prompted: Prompted):
    for token in spoilt(prompted.token):
        with CaptureQueriesContext(connection) as queries:
            answer = post(token, paid(prompted.payment))
        problem(answer, 404, "not_found")
        assert len(queries) == 0, token
    assert not InboundCallback.objects.exists()


def test_a_token_of_another_payment_settles_nothing_here(
    prompted: Prompted, other_credential: MpesaCredential
):
    other = Prompted(other_credential, CHECKOUT + "1")
    assert other.post(paid(prompted.payment)).content == TAKEN
    assert (prompted.now().status, other.now().status) == ("Pending", "Pending")


def test_a_token_without_a_payment_is_kept_as_an_orphan(prompted: Prompted):
    body = paid(prompted.payment)
    Payment.objects.all().delete()
    assert prompted.post(body).content == TAKEN
    assert InboundCallback.objects.get().verdict == "orphan"


@pytest.mark.parametrize("size", [65_537, 10_000_000])
def test_more_than_64_kb_are_refused(size: int, prompted: Prompted):
    with CaptureQueriesContext(connection) as queries:
        answer = prompted.post(b"x" * size)
    problem(answer, 413, "body_too_large")
    assert len(queries) == 0


def test_64_kb_are_taken(prompted: Prompted):
    assert prompted.post(b"x" * 65_536).content == TAKEN


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "HEAD"])
def test_only_post_is_taken(method: str, prompted: Prompted):
    answer = open_client().generic(method, f"/callbacks/stk/{prompted.token}")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "POST"


def test_a_csrf_check_does_not_stand_in_the_way(prompted: Prompted):
    strict = open_client(enforce_csrf_checks=True)
    path = f"/callbacks/stk/{prompted.token}"
    assert strict.post(path, b"{}", content_type="application/json").status_code == 200


def test_the_peer_is_read_through_trusted_proxies_only(prompted: Prompted, settings: Any):
    forwarded = {"HTTP_X_FORWARDED_FOR": "196.201.214.200"}
    prompted.post(b"1", **forwarded)
    settings.MILANGO = settings.MILANGO | {"TRUSTED_PROXIES": ["127.0.0.1"]}
    prompted.post(b"2", **forwarded)
    peers = list(InboundCallback.objects.order_by("pk").values_list("peer", flat=True))
    assert peers == ["127.0.0.1", "196.201.214.200"]
