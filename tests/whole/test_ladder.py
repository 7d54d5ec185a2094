"""Callbacks that never come: each payment is resolved all the same, by whatever can be asked."""

from __future__ import annotations

import pytest

from milango.flows import reconcile
from milango.models import AccessGrant, Payment
from tests.people import PAYER, make_key

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    """A callback that has not come by now is missing."""
    monkeypatch.setattr(reconcile, "UNANSWERED_AFTER", -1)


def push(call, credential, **fields) -> Payment:
    _, key = make_key(credential.merchant)
    body = {"phone_number": PAYER, "amount": 50, "shortcode": credential.short_code, **fields}
    status, answer = call("POST", "/api/v1/stk-push", body, key=key)
    assert status == 202, answer
    return Payment.objects.get(checkout_id=answer["checkout_id"])


def test_a_paid_prompt_whose_callback_is_lost_is_found_by_asking(call, daraja, paybill) -> None:
    daraja.story(PAYER, "callback_lost")
    payment = push(call, paybill, service_type="captive_portal")
    daraja.idle()
    assert reconcile.ask_due() == 1
    payment.refresh_from_db()
    assert (payment.status, payment.next_check_at) == ("Success", None)
    assert AccessGrant.objects.get().minutes == 120


def test_a_prompt_that_is_still_open_is_asked_about_again(call, daraja, paybill) -> None:
    daraja.settings(answer_delay=[30, 30], time_scale=1)
    daraja.story(PAYER, "paid")
    payment = push(call, paybill)
    assert [reconcile.ask_due(), reconcile.ask_due()] == [1, 0]
    payment.refresh_from_db()
    assert (payment.status, payment.checks) == ("Pending", 1)
    assert payment.next_check_at is not None
