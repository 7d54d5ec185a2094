"""Callbacks that never come: each payment is resolved all the same, by whatever can be asked."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from milango.flows import confirmations, pulls, questions, reconcile
from milango.models import AccessGrant, Payment
from tests.people import OTHER_PAYER, PAYER, make_credential, make_merchant

from .conftest import push

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def at_once(monkeypatch) -> None:
    """A callback that has not come by now is missing."""
    monkeypatch.setattr(reconcile, "UNANSWERED_AFTER", -1)


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


# --- beyond STK query -----------------------------------------------------------------------


@pytest.fixture
def wired(milango, daraja):
    """A paybill with everything that Daraja offers: C2B, Pull and an initiator."""
    certificate = daraja.text("certificate")
    credential = make_credential(
        make_merchant("Duka"),
        initiator_name="operator",
        initiator_password="Operator#1",
        initiator_certificate=certificate,
    )
    daraja.register(credential, initiator="operator", initiator_password="Operator#1")
    pulls.switch(credential, on=True, number="0722000000", actor="test")
    return credential


def pulled() -> int:
    return pulls.pull_due(timezone.now() + timedelta(minutes=2))


def test_a_payment_whose_answer_and_callback_are_both_lost_is_found_by_pull(
    call, daraja, wired
) -> None:
    daraja.story(PAYER, "answer_and_callback_lost")
    payment = push(call, wired)
    daraja.idle()
    assert (payment.checkout_request_id, reconcile.ask_due()) == (None, 1)
    assert pulled() == 1
    payment.refresh_from_db()
    assert (payment.status, payment.receipt_number) == ("Success", daraja.ledger()[0]["receipt"])


def test_a_receipt_that_no_query_tells_is_told_by_pull(call, daraja, wired) -> None:
    daraja.story(PAYER, "callback_lost")
    payment = push(call, wired)
    daraja.idle()
    reconcile.ask_due()
    payment.refresh_from_db()
    assert (payment.status, payment.receipt_number) == ("Success", "")
    assert pulled() == 1
    payment.refresh_from_db()
    assert payment.receipt_number == daraja.ledger()[0]["receipt"]
    assert payment.events.filter(type="payment.receipt_found").count() == 1


def test_a_confirmation_finds_its_prompt_before_any_question(call, daraja, wired) -> None:
    confirmations.register(wired, response_type="Completed", version="v2", actor="test")
    daraja.story(PAYER, "callback_lost")
    payment = push(call, wired)
    daraja.idle()
    payment.refresh_from_db()
    assert (payment.status, payment.receipt_number) == ("Success", daraja.ledger()[0]["receipt"])
    assert Payment.objects.count() == 1


def test_prompted_or_not_every_shilling_is_one_payment(call, daraja, wired) -> None:
    """A prompt and a counter payment, told by callback, confirmation and Pull."""
    confirmations.register(wired, response_type="Completed", version="v2", actor="test")
    daraja.story(PAYER, "paid")
    push(call, wired)
    counter = {"shortcode": wired.short_code, "phone": OTHER_PAYER, "amount": 70}
    daraja.call("POST", "payments", counter | {"account_reference": "HSE-14B"})
    daraja.idle()
    pulled()
    there = {row["receipt"] for row in daraja.call("GET", "transactions")}
    rows = Payment.objects.filter(status="Success")
    assert {row.receipt_number for row in rows} == there
    assert (rows.count(), Payment.objects.count()) == (2, 2)


def test_a_receipt_is_asked_about_and_a_reversed_one_reverses(call, daraja, wired) -> None:
    daraja.story(PAYER, "paid")
    payment = push(call, wired)
    daraja.idle()
    payment.refresh_from_db()
    assert payment.status == "Success"
    daraja.call("POST", "reversals", {"receipt": payment.receipt_number})
    asked = questions.ask_by_receipt(wired, payment.receipt_number, why="operator")
    assert asked
    daraja.idle()
    asked.refresh_from_db()
    payment.refresh_from_db()
    assert (asked.verdict, payment.status) == ("settled", "Reversed")


def test_what_pull_tells_went_back_is_asked_about_and_unsaid(call, daraja, wired) -> None:
    daraja.story(PAYER, "paid")
    payment = push(call, wired, service_type="captive_portal")
    daraja.idle()
    payment.refresh_from_db()
    daraja.call("POST", "reversals", {"receipt": payment.receipt_number})
    pulled()
    assert {doubt.kind for doubt in payment.open_doubts.all()} == {"reversed_in_pull"}
    assert reconcile.ask_about_reversals(timezone.now()) == 1
    daraja.idle()
    payment.refresh_from_db()
    assert (payment.status, AccessGrant.objects.get().revoked_at is None) == ("Reversed", False)
    assert Payment.objects.count() == 1, "what went back is no payment"


def test_a_wrong_password_is_tried_once(daraja, wired) -> None:
    wired.initiator_password = "Wrong#1"
    wired.save()
    asked = questions.ask_by_receipt(wired, "UCE5K7Q2XD", why="operator")
    assert asked
    daraja.idle()
    asked.refresh_from_db()
    assert asked.verdict == "initiator:2001"
    assert questions.ask_by_receipt(wired, "UCE0000009", why="operator") is None
    assert len(daraja.call("GET", "inquiries")) == 1
