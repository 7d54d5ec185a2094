"""Money that names no prompt: whose it is, or that it is nobody's."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from milango.core.payments import Source
from milango.flows import book as booking
from milango.flows.book import Booking, Line, book, retry_unmatched
from milango.flows.settle import settle_many
from milango.flows.sweep import sweep
from milango.models import Payment, Receipt
from tests.people import OTHER_PAYER, PAYER, make_till

from .conftest import accepted, failed, paid

pytestmark = pytest.mark.django_db(transaction=True)


def line(receipt: str = "UCE5K7Q2XD", **fields: Any) -> Line:
    given: dict[str, Any] = {
        "amount": Decimal(50),
        "paid_at": timezone.now(),
        "phone": "2547 ***** 149",
        "reference": "inv-1",
    }
    return Line(receipt=receipt, **given | fields)


def booked(credential, *lines: Line, source: Source = Source.C2B) -> list[Booking]:
    with transaction.atomic():
        return book(credential, lines, source, listed=True)


def status(payment: Payment) -> tuple[str, str]:
    payment.refresh_from_db()
    return payment.status, payment.receipt_number


def test_a_confirmation_of_a_prompt_settles_it(pay, credential) -> None:
    payment = pay()
    assert booked(credential, line()) == [Booking.JOINED]
    assert status(payment) == ("Success", "UCE5K7Q2XD")
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_callback_confirmation_and_pull_of_one_receipt_are_one_payment(
    pay, credential, order
) -> None:
    payment = pay()
    settle_many([accepted(payment)])
    steps = [
        lambda: settle_many([paid(payment, "UCE5K7Q2XD")]),
        lambda: booked(credential, line()),
        lambda: booked(credential, line(is_timed=False), source=Source.PULL),
    ]
    for index in order:
        steps[index]()
    assert status(payment) == ("Success", "UCE5K7Q2XD")
    assert (Payment.objects.count(), Receipt.objects.count()) == (1, 1)
    assert [event.type for event in payment.events.all()].count("payment.succeeded") == 1


@pytest.mark.parametrize(
    "other",
    [
        {"amount": Decimal(51)},
        {"phone": "2547 ***** 148"},
        {"phone": hashlib.sha256(b"254700000000").hexdigest()},
        {"phone": OTHER_PAYER},
        {"paid_at": timezone.now() - timedelta(minutes=10)},
        {"paid_at": timezone.now() + timedelta(minutes=30)},
    ],
)
def test_money_that_answers_no_prompt_is_a_payment_of_its_own(pay, credential, other) -> None:
    prompted = pay()
    assert booked(credential, line(**other)) == [Booking.OWN]
    assert status(prompted) == ("Pending", "")
    own = Payment.objects.exclude(pk=prompted.pk).get()
    assert (own.status, own.receipt_number, own.requested_by) == ("Success", "UCE5K7Q2XD", "payer")
    assert own.amount_paid == own.amount == other.get("amount", Decimal(50))


def test_a_hashed_number_is_recognised(pay, credential) -> None:
    payment = pay()
    hashed = hashlib.sha256(PAYER.encode()).hexdigest()
    assert booked(credential, line(phone=hashed)) == [Booking.JOINED]
    assert status(payment)[0] == "Success"


def test_a_till_has_no_account_number_to_compare(merchant, pay) -> None:
    till = make_till(merchant, environment="production")
    payment = pay(credential=till, party_b=till.party_b)
    assert booked(till, line(reference="")) == [Booking.JOINED]
    assert status(payment)[0] == "Success"


def test_another_account_number_waits_while_the_phones_prompt_is_open(pay, credential) -> None:
    payment = pay()
    assert booked(credential, line(reference="other")) == [Booking.UNMATCHED]
    assert status(payment) == ("Pending", "")
    settle_many([accepted(payment), paid(payment, "UCE0000001")])
    assert retry_unmatched(timezone.now() + timedelta(minutes=2)) == 1
    own = Payment.objects.get(receipts__code="UCE5K7Q2XD")
    assert own.account_reference == "other"


def test_of_two_prompts_that_may_be_meant_neither_is_paid(pay, credential) -> None:
    first, second = pay(), pay()
    assert booked(credential, line()) == [Booking.UNMATCHED]
    assert (status(first)[0], status(second)[0]) == ("Pending", "Pending")
    settle_many([accepted(first), paid(first, "UCE5K7Q2XD")])
    assert Receipt.objects.get().payment == first, "the callback names it, and takes it over"
    assert retry_unmatched(timezone.now() + timedelta(minutes=2)) == 0


def test_who_cancelled_and_was_prompted_again_has_paid_the_second_prompt(pay, credential) -> None:
    first = pay()
    settle_many([accepted(first), failed(first)])
    second = pay()
    assert booked(credential, line()) == [Booking.JOINED]
    assert (status(first)[0], status(second)[0]) == ("Failed", "Success")


def test_money_for_a_failed_prompt_wins_and_is_late(pay, credential) -> None:
    payment = pay()
    settle_many([accepted(payment), failed(payment)])
    assert booked(credential, line()) == [Booking.JOINED]
    assert status(payment)[0] == "Success"
    assert payment.late is True


def test_two_receipts_for_one_prompt_are_two_payments(pay, credential) -> None:
    prompted = pay()
    lines = (line("UCE0000001"), line("UCE0000002"))
    assert booked(credential, *lines) == [Booking.JOINED, Booking.OWN]
    assert status(prompted) == ("Success", "UCE0000001")
    assert Payment.objects.filter(status="Success").count() == 2


def test_a_line_that_is_booked_again_changes_nothing(pay, credential) -> None:
    booked(credential, line(phone=""))
    events = [str(event) for event in Payment.objects.get().events.all()]
    assert booked(credential, line(phone=""), source=Source.PULL) == [Booking.JOINED]
    assert [str(event) for event in Payment.objects.get().events.all()] == events
    assert events == ["payment.created", "payment.succeeded"]


def test_a_callback_settled_while_its_confirmation_is_booked_leaves_one_payment(
    pay, credential, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, real = pay(), booking._candidates

    def settled_meanwhile(*args: Any) -> list[Payment]:
        settle_many([accepted(payment), paid(payment, "UCE5K7Q2XD")])
        return real(*args)

    monkeypatch.setattr(booking, "_candidates", settled_meanwhile)
    assert booked(credential, line()) == [Booking.JOINED]
    assert status(payment) == ("Success", "UCE5K7Q2XD")
    assert Payment.objects.count() == 1, "no ghost beside it"


def test_money_that_a_payer_brought_never_fails_as_a_prompt_that_was_not_sent(
    credential, pay
) -> None:
    pay(sending_at=None, created_at=timezone.now() - timedelta(hours=1), prompt_open=True)
    with transaction.atomic():
        assert book(credential, [line(phone=OTHER_PAYER)], Source.C2B, listed=False) == [
            Booking.OWN
        ]
    own = Payment.objects.get(requested_by="payer")
    assert own.status == "Pending", "nobody vouches for it yet"
    Payment.objects.filter(pk=own.pk).update(created_at=timezone.now() - timedelta(hours=1))
    assert sweep()["never_sent"] == 1, "the prompt alone"
    assert status(own) == ("Pending", "")
