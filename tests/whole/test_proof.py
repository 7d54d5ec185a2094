"""Live money: a callback that nobody vouches for is only a claim until Daraja is asked.

The simulator plays production here. It is not on Safaricom's list, so each of its callbacks is
what a forger's would be.
"""

from __future__ import annotations

import json
import urllib.request
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from milango.flows.reconcile import ask_due
from milango.models import AccessGrant, Doubt, Payment
from tests.people import PAYER, make_credential, make_key, make_merchant

from .conftest import push

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def live(milango, daraja):
    credential = make_credential(make_merchant("Duka"), environment="production")
    daraja.register(credential)
    return credential


def test_the_confirming_query_turns_a_claim_into_proof(call, daraja, live) -> None:
    daraja.story(PAYER, "paid")
    payment = push(call, live, service_type="captive_portal")
    daraja.idle()
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Pending", True)
    assert not AccessGrant.objects.exists()
    assert ask_due() == 1
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Success", False)
    assert payment.receipt_number == daraja.ledger()[0]["receipt"]
    assert AccessGrant.objects.get().livemode is True
    assert ask_due() == 0


def test_a_listed_peer_proves_at_once(call, daraja, live, settings) -> None:
    settings.MILANGO = settings.MILANGO | {"CALLBACK_SOURCES": ["127.0.0.1"]}
    daraja.story(PAYER, "paid")
    payment = push(call, live)
    daraja.idle()
    payment.refresh_from_db()
    assert payment.status == "Success"


def test_above_the_limit_even_a_listed_peer_only_claims(call, daraja, live, settings) -> None:
    settings.MILANGO = settings.MILANGO | {"CALLBACK_SOURCES": ["127.0.0.1"]}
    daraja.story(PAYER, "paid")
    payment = push(call, live, amount=20_001)
    daraja.idle()
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Pending", True)
    ask_due()
    payment.refresh_from_db()
    assert payment.status == "Success"


def test_an_unlisted_cancellation_opens_no_resend_and_fails_after_two_refusals(
    call, daraja, live
) -> None:
    daraja.story(PAYER, "cancelled")
    payment = push(call, live)
    daraja.idle()
    payment.refresh_from_db()
    assert (payment.status, payment.prompt_open) == ("Pending", True)
    assert ask_due() == 0, "not before the prompt's life is over"
    statuses = []
    for _ in range(2):
        back = timedelta(seconds=200)
        row = Payment.objects.get()
        Payment.objects.update(
            prompt_until=row.prompt_until - back,
            created_at=row.created_at - back,
            next_check_at=timezone.now() - timedelta(seconds=1),
            standing=row.standing,
        )
        assert ask_due() == 1
        statuses.append(Payment.objects.get().status)
    assert statuses == ["Pending", "Pending"], "two queries in one minute are one"


def test_a_false_failure_and_then_both_paid_is_one_grant_and_one_refund_due(
    call, daraja, live, settings
) -> None:
    """The payer is told 1037, pays a second prompt, and the first one is paid after all."""
    settings.MILANGO = settings.MILANGO | {"CALLBACK_SOURCES": ["127.0.0.1"]}
    daraja.story(PAYER, "callback_lost")
    first = push(call, live, order_id="order-9", service_type="captive_portal")
    daraja.idle()
    (row,) = daraja.ledger()
    post(row, {"ResultCode": 1037, "ResultDesc": "DS timeout user cannot be reached"})
    first.refresh_from_db()
    assert first.status == "Failed"
    daraja.story(PAYER, "paid")
    second = push(call, live, order_id="order-9", service_type="captive_portal")
    daraja.idle()
    items = {"Amount": 50.0, "MpesaReceiptNumber": row["receipt"], "PhoneNumber": PAYER}
    items["TransactionDate"] = (timezone.now() + timedelta(hours=3)).strftime("%Y%m%d%H%M%S")
    named = [{"Name": name, "Value": value} for name, value in items.items()]
    post(row, {"ResultCode": 0, "ResultDesc": "", "CallbackMetadata": {"Item": named}})
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.status, second.status) == ("Success", "Success")
    assert (first.late, first.duplicate_of, second.duplicate_of) == (True, second, None)
    assert AccessGrant.objects.get().payment == second
    assert Doubt.objects.get().kind == "refund_due"


def post(row: dict[str, Any], said: dict[str, Any]) -> None:
    """Post a callback to a prompt's address, as Daraja would."""
    ids = {
        "MerchantRequestID": row["merchant_request_id"],
        "CheckoutRequestID": row["checkout_request_id"],
    }
    body = json.dumps({"Body": {"stkCallback": ids | said}}).encode()
    request = urllib.request.Request(
        row["callback_url"], body, {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200


def test_a_paid_order_is_not_prompted_for_again(call, daraja, paybill) -> None:
    daraja.story(PAYER, "paid")
    first = push(call, paybill, order_id="order-1")
    daraja.idle()
    _, key = make_key(paybill.merchant)
    body = {
        "phone_number": PAYER,
        "amount": 50,
        "shortcode": paybill.short_code,
        "order_id": "order-1",
    }
    status, problem = call("POST", "/api/v1/stk-push", body, key=key)
    assert (status, problem["code"]) == (409, "order_already_paid")
    assert problem["payment"] == first.public_id
    assert len(daraja.ledger()) == 1
