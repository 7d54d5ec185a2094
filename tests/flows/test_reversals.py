"""Money that goes back: whoever tells of it, and in whatever order, the sale is unsaid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from milango.core.payments import Source
from milango.daraja import DynamicMpesaClient
from milango.daraja.questions import StatusAccepted
from milango.flows import check, reconcile, reversals, words
from milango.flows.book import Line, book
from milango.flows.settle import settle_many
from milango.models import AccessGrant, Doubt, Payment, Reversal, StatusQuestion
from tests.people import OTHER_PAYER, PAYER, make_credential, make_merchant

from .conftest import accepted, paid

pytestmark = pytest.mark.django_db(transaction=True)

RECEIPT = "UCE5K7Q2XD"
OWN = "UCE9ZZZZZZ"


def back(code: str = OWN, **changes: Any) -> Line:
    """A line that tells that 50 KES went back to the payer."""
    told: dict[str, Any] = {
        "receipt": code,
        "amount": Decimal(50),
        "paid_at": timezone.now(),
        "phone": f"{PAYER[:4]} ***** {PAYER[-3:]}",
    }
    return Line(**told | changes)


def note(payment: Payment, line: Line, source: Source = Source.PULL) -> str:
    with transaction.atomic():
        (verdict,) = reversals.note(payment.credential, [line], source)
    payment.refresh_from_db()
    return verdict


@pytest.fixture
def sold(pay) -> Payment:
    payment = pay(service_type="captive_portal")
    settle_many([accepted(payment), paid(payment, RECEIPT)])
    payment.refresh_from_db()
    assert payment.status == "Success"
    return payment


@pytest.mark.parametrize("source", [Source.PULL, Source.C2B, Source.TRANSACTION_STATUS])
def test_a_reversal_of_the_payments_own_receipt_unsays_it(sold, source) -> None:
    assert note(sold, back(RECEIPT), source) == "settled"
    assert sold.status == "Reversed"
    assert AccessGrant.objects.get().revoked_at
    told = list(sold.events.order_by("seq").values_list("type", "data"))[-2:]
    assert told[0] == ("payment.flagged", {"doubt": "taken_back"})
    assert (told[1][0], told[1][1]["source"]) == ("payment.reversed", source.value)
    assert Doubt.objects.get().kind == "taken_back"
    assert check.check().is_clean
    assert note(sold, back(RECEIPT), source) == "duplicate"
    assert Doubt.objects.count() == 1


def test_a_reversal_by_another_receipt_points_at_the_payment_and_daraja_is_asked(
    sold, monkeypatch
) -> None:
    asked: list[str] = []

    def take(client: Any, receipt: str, **urls: str) -> StatusAccepted:
        asked.append(receipt)
        return StatusAccepted(conversation_id="AG_1", originator_conversation_id="o-1")

    monkeypatch.setattr(DynamicMpesaClient, "payment_status", take)
    monkeypatch.setattr("milango.flows.questions.why_not_ask", lambda *asked: "")
    assert note(sold, back()) == "doubt:reversed_in_pull"
    assert (sold.status, Doubt.objects.get().kind) == ("Success", "reversed_in_pull")
    assert sold.events.filter(type="payment.flagged", data__doubt="reversed_in_pull").exists()
    now = timezone.now()
    assert [reconcile.ask_about_reversals(now) for _ in range(2)] == [1, 0], "once"
    assert asked == [RECEIPT]
    assert StatusQuestion.objects.get().payment == sold


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": Decimal(40)},
        {"phone": f"2547 ***** {int(OTHER_PAYER[-3:]) + 1}"},
        {"reference": "INV-2"},
        {"paid_at": timezone.now() - timedelta(days=1)},
    ],
    ids=["another amount", "another payer", "another account", "before it was paid"],
)
def test_what_cannot_mean_the_payment_waits_for_a_person(sold, changes) -> None:
    assert note(sold, back(**changes)) == "reversal_unmatched"
    assert (sold.status, Doubt.objects.count()) == ("Success", 0)
    Reversal.objects.update(created_at=timezone.now() - timedelta(days=4))
    assert set(check.check().broken) == {"reversal_has_payment"}


def test_one_of_two_alike_is_not_guessed(sold, pay) -> None:
    settle_many([accepted(second := pay()), paid(second, "UCE0000002")])
    assert note(sold, back()) == "reversal_unmatched"
    assert not Doubt.objects.exists()


def test_a_part_that_went_back_is_a_doubt(sold) -> None:
    assert note(sold, back(RECEIPT, amount=Decimal(20))) == "doubt:reversed_in_part"
    assert sold.status == "Success"


def test_another_merchants_receipt_is_not_reversed(sold) -> None:
    other = make_credential(make_merchant("Hoteli"), environment="production", short_code="600111")
    with transaction.atomic():
        assert reversals.note(other, [back(RECEIPT)], Source.PULL) == ["reversal_unmatched"]
    sold.refresh_from_db()
    assert sold.status == "Success"


@pytest.mark.parametrize("order", list(permutations(["callback", "confirmation", "reversal"])))
def test_in_every_order_it_ends_reversed(pay, order) -> None:
    payment = pay()
    settle_many([accepted(payment)])
    line = Line(receipt=RECEIPT, amount=Decimal(50), paid_at=timezone.now(), phone=PAYER)

    def confirm() -> None:
        with transaction.atomic():
            book(payment.credential, [line], Source.C2B, listed=True)

    steps = {
        "callback": lambda: settle_many([paid(payment, RECEIPT)]),
        "confirmation": confirm,
        "reversal": lambda: note(payment, back(RECEIPT)),
    }
    for name in order:
        steps[name]()
    reversals.retry(timezone.now())
    payment.refresh_from_db()
    assert (payment.status, Payment.objects.count()) == ("Reversed", 1)


def test_a_reversal_that_a_person_says_is_no_doubt(sold) -> None:
    words.speak(sold, "reversed", reason="refunded in the portal", actor="cli:asha")
    sold.refresh_from_db()
    assert sold.status == "Reversed"
    assert not Doubt.objects.exists()
    assert note(sold, back()) == "duplicate", "the row that tells the same is put to it"
