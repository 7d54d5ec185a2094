"""Callbacks as they arrive: bytes at an address that only Safaricom was told."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from milango import sealing
from milango.core import signing
from milango.core.errors import Declined
from milango.flows.receive import receive_stk
from milango.flows.settle import settle_many
from milango.models import Doubt, InboundCallback, Payment
from tests.people import OTHER_PAYER, make_credential

from .conftest import accepted, make_payment

LISTED = "196.201.214.200"
STRANGER = "203.0.113.7"


def with_token(credential, **fields) -> tuple[Payment, str]:
    """A payment and the token in its callback's address."""
    payment = make_payment(credential, **fields)
    kid = sealing.current_key_id()
    token = signing.make_callback_token(
        payment.pk, kid, sealing.derive("callback", kid), secrets.token_bytes(16)
    )
    payment.callback_token_hash = signing.token_hash(token)
    payment.save()
    return payment, token


def body(payment: Payment, receipt: str = "UCE5K7Q2XD", code: object = 0, **changes) -> bytes:
    """The callback that Daraja would post for the payment."""
    eat = payment.created_at + timedelta(hours=3)
    items = {
        "Amount": float(payment.amount),
        "MpesaReceiptNumber": receipt,
        "TransactionDate": int(eat.strftime("%Y%m%d%H%M%S")),
        "PhoneNumber": int(payment.phone),
    }
    callback = {
        "MerchantRequestID": "6c1d",
        "CheckoutRequestID": f"ws_CO_{payment.pk.hex}",
        "ResultCode": code,
        "ResultDesc": "text",
        "CallbackMetadata": {
            "Item": [{"Name": k, "Value": v} for k, v in (items | changes).items()]
        },
    }
    return json.dumps({"Body": {"stkCallback": callback}}).encode()


@pytest.mark.django_db(transaction=True)
def test_a_callback_from_safaricom_settles_the_payment(credential) -> None:
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    settled = receive_stk(token, body(payment), {"Content-Type": "application/json"}, LISTED)
    payment.refresh_from_db()
    assert settled is not None
    assert (settled.verdict, payment.status) == ("settled", "Success")
    kept = InboundCallback.objects.get()
    assert (bytes(kept.body or b""), kept.verdict, kept.peer) == (body(payment), "settled", LISTED)


@pytest.mark.django_db
def test_a_token_that_is_not_ours_meets_no_database(django_assert_num_queries) -> None:
    with django_assert_num_queries(0):
        assert receive_stk("0" * 98, b"{}", {}, LISTED) is None
        assert receive_stk("x", b"{}", {}, LISTED) is None


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("answer_lost", [False, True])
def test_old_bodies_credit_no_other_payment(credential, answer_lost: bool) -> None:
    """Every real callback of earlier payments, posted to every open address: nothing."""
    old = []
    for number in range(3):
        payment, token = with_token(credential, phone=f"25470000000{number}")
        settle_many([accepted(payment)])
        old.append(body(payment, f"UCE000000{number}"))
        receive_stk(token, old[-1], {}, LISTED)
    elsewhere = make_payment(credential, phone=OTHER_PAYER)
    yesterday = (timezone.now() - timedelta(days=1)).strftime("%Y%m%d%H%M%S")
    old.append(body(elsewhere, "UCE0000009", TransactionDate=int(yesterday)))
    elsewhere.delete()
    for number in range(2):
        payment, token = with_token(credential, phone=f"25470000001{number}")
        if not answer_lost:
            settle_many([accepted(payment)])
        for one in old:
            receive_stk(token, one, {}, LISTED)
        payment.refresh_from_db()
        assert (payment.status, payment.confirming) == ("Pending", False)
        assert Doubt.objects.filter(payment=payment).exists()
    assert Payment.objects.filter(status="Success").count() == 3


@pytest.mark.django_db(transaction=True)
def test_a_forged_success_from_elsewhere_is_never_a_success_by_itself(credential) -> None:
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    receive_stk(token, body(payment), {}, STRANGER)
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Pending", True)


@pytest.mark.django_db(transaction=True)
def test_a_forged_cancellation_from_elsewhere_fails_nothing(credential) -> None:
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    receive_stk(token, body(payment, code=1032), {}, STRANGER)
    payment.refresh_from_db()
    assert payment.status == "Pending"
    receive_stk(token, body(payment), {}, LISTED)
    payment.refresh_from_db()
    assert payment.status == "Success"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "garbage",
    [b"", b"not json", b"\xff\xfe", b"[]", b'{"Body": {}}', b"[" * 100_000, b'{"a":1,"a":2}'],
)
def test_unreadable_bytes_are_kept_for_a_person(credential, garbage: bytes) -> None:
    payment, token = with_token(credential)
    settled = receive_stk(token, garbage, {}, LISTED)
    assert settled is not None
    assert settled.verdict.startswith("doubt:")
    assert bytes(InboundCallback.objects.get().body or b"") == garbage
    doubt = Doubt.objects.get()
    assert (doubt.payment, doubt.amount) == (payment, payment.amount)


@pytest.mark.django_db(transaction=True)
def test_a_token_whose_payment_is_gone_is_kept_as_an_orphan(credential) -> None:
    payment, token = with_token(credential)
    said = body(payment)
    payment.delete()
    for _ in range(2):
        settled = receive_stk(token, said, {}, LISTED)
        assert settled is not None
        assert settled.verdict == "orphan"
    assert InboundCallback.objects.get().repeats == 1


@pytest.mark.django_db(transaction=True)
def test_without_a_database_the_callback_is_not_taken(credential) -> None:
    payment, token = with_token(credential)
    said = body(payment)
    wanted = connection.settings_dict
    connection.close()
    kept = {name: wanted[name] for name in ("NAME", "HOST")}
    wanted |= {"NAME": "/nowhere/at/all", "HOST": "/nowhere"}
    try:
        with pytest.raises(Declined) as refused:
            receive_stk(token, said, {}, LISTED)
    finally:
        connection.close()
        wanted |= kept
    assert refused.value.code == "database_unavailable"
    assert not InboundCallback.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_callback_that_breaks_us_is_kept_and_answered(credential, monkeypatch) -> None:
    """Safaricom does not repeat itself: an error answer would lose the bytes for nothing."""
    from django.db import DataError

    from milango.flows import receive

    payment, token = with_token(credential)
    monkeypatch.setattr(receive, "settle_many", _breaks(DataError("too long")))
    settled = receive_stk(token, body(payment), {}, LISTED)
    assert settled is not None
    assert settled.verdict == "poisoned"
    assert InboundCallback.objects.get().payment == payment


def _breaks(error: Exception):
    def settle(evidence):
        raise error

    return settle


@pytest.mark.django_db(transaction=True)
def test_two_merchants_on_one_daraja_app_hear_only_their_own(credential) -> None:
    """A callback aimed at another payment's address names the wrong prompt."""
    mine, _ = with_token(credential)
    other = make_credential(credential.merchant, environment="production")
    theirs, token = with_token(other)
    settle_many([accepted(mine), accepted(theirs)])
    settled = receive_stk(token, body(mine), {}, LISTED)
    theirs.refresh_from_db()
    assert settled is not None
    assert (settled.verdict, theirs.status) == ("doubt:other_checkout_id", "Pending")
