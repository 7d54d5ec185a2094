"""An operator's word: a reason, a limit, and a second person above it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.db import IntegrityError
from django.utils import timezone

from milango.core.errors import Declined, InvalidRequest
from milango.flows import audit, words
from milango.flows.settle import settle_many
from milango.models import AuditEntry, OperatorWord, Payment
from tests.people import OTHER_PAYER

from .conftest import accepted, at_once, paid

pytestmark = pytest.mark.django_db(transaction=True)


def say(payment: Payment, says: str = "paid", by: str = "cli:asha", **fields: Any) -> OperatorWord:
    word, _ = words.speak(payment, says, reason="the till slip", actor=by, **fields)
    return word


def status(payment: Payment) -> str:
    payment.refresh_from_db()
    return payment.status


def test_a_small_amount_takes_one_person_and_a_reason(pay) -> None:
    payment = pay()
    say(payment, receipt="uce5k7q2xd")
    assert (status(payment), payment.receipt_number) == ("Success", "UCE5K7Q2XD")
    told = payment.events.get(type="payment.succeeded").data
    assert told["source"] == "operator"
    assert AuditEntry.objects.get(action="payment.word_spoken").detail["reason"] == "the till slip"
    with pytest.raises(InvalidRequest):
        words.speak(pay(), "paid", reason=" ", actor="cli:asha")


def test_above_the_limit_another_person_has_to_agree(pay) -> None:
    payment = pay(amount=2_001)
    word = say(payment)
    assert status(payment) == "Pending"
    with pytest.raises(Declined) as own:
        words.approve(word, actor="cli:asha")
    assert own.value.code == "second_person_needed"
    words.approve(word, actor="cli:juma")
    assert status(payment) == "Success"
    with pytest.raises(Declined) as again:
        words.approve(word, actor="cli:zawadi")
    assert again.value.code == "already_applied"


def test_one_name_at_two_doors_is_one_person(pay) -> None:
    word = say(pay(amount=2_001), by="cli:asha")
    with pytest.raises(Declined) as own:
        words.approve(word, actor="admin:asha")
    assert own.value.code == "second_person_needed"
    payments = [pay(amount=1_999, phone=f"2547000000{n:02}") for n in range(10)]
    for number, payment in enumerate(payments):
        say(payment, by=("cli:asha", "admin:asha")[number % 2])
    assert sum(status(payment) == "Success" for payment in payments) == 5


def test_splitting_below_the_limit_ends_at_the_daily_one(pay) -> None:
    payments = [pay(amount=1_999, phone=f"2547000000{n:02}") for n in range(20)]
    for payment in payments:
        say(payment)
    assert sum(status(payment) == "Success" for payment in payments) == 5


def test_several_operators_cannot_split_one_payers_day(pay) -> None:
    payments = [pay(amount=1_999) for _ in range(8)]
    for number, payment in enumerate(payments):
        say(payment, by=f"cli:person-{number}")
    assert sum(status(payment) == "Success" for payment in payments) == 5


def test_a_voidance_always_takes_two(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment)])
    word = say(payment, "voided")
    assert status(payment) == "Success"
    words.approve(word, actor="cli:juma")
    assert status(payment) == "Voided"


def test_what_was_never_paid_cannot_be_said_to_have_gone_back(pay) -> None:
    payment = pay(phone=OTHER_PAYER)
    with pytest.raises(InvalidRequest, match="is Pending: nothing can go back from it"):
        say(payment, "reversed")
    settle_many([accepted(payment), paid(payment)])
    assert status(payment) == "Success"  # the money that came afterwards is seen


def test_a_word_does_not_outrank_what_mpesa_proves(pay) -> None:
    payment = pay(phone=OTHER_PAYER)
    say(payment, "failed")
    assert (status(payment), payment.reason) == ("Failed", "operator")
    settle_many([accepted(payment), paid(payment)])
    assert (status(payment), payment.late) == ("Success", True)


@pytest.mark.parametrize(
    "typed",
    ["the till slip", "UCE5K7Q2X", "UCE5K7Q2XDE", "uce5k7q2ß", "0712345678\x00", "UCE0000000"],
)
def test_what_is_no_receipt_is_refused_and_nothing_is_said(pay, typed: str) -> None:
    payment = pay()
    with pytest.raises(InvalidRequest) as refused:
        say(payment, receipt=typed)
    assert refused.value.field == "receipt"
    assert (status(payment), OperatorWord.objects.count()) == ("Pending", 0)
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("by", ["cli:asha", "cli:juma"])
def test_a_word_that_waits_can_be_withdrawn_and_never_counts(pay, by: str) -> None:
    payment = pay(amount=2_001)
    word = say(payment)
    words.withdraw(word, actor=by)
    for decide in (words.approve, words.withdraw):
        with pytest.raises(Declined) as late:
            decide(word, actor="cli:zawadi")
        assert late.value.code == "word_withdrawn"
        assert by in str(late.value)
    word.refresh_from_db()
    assert (word.withdrawn_by, word.applied_at, word.approved_by) == (by, None, "")
    assert (status(payment), payment.events.exists()) == ("Pending", False)
    told = AuditEntry.objects.get(action="payment.word_withdrawn")
    assert (told.actor, told.detail["word"]) == (by, word.public_id)
    assert audit.first_broken() is None
    assert not words.waiting().exists()


def test_a_word_that_counts_cannot_be_withdrawn(pay) -> None:
    word = say(pay())
    with pytest.raises(Declined) as late:
        words.withdraw(word, actor="cli:asha")
    assert late.value.code == "already_applied"
    assert status(word.payment) == "Success"


def test_the_database_itself_lets_no_withdrawn_word_count(pay) -> None:
    word = say(pay(amount=2_001))
    words.withdraw(word, actor="cli:asha")
    with pytest.raises(IntegrityError):
        OperatorWord.objects.update(applied_at=timezone.now())


@pytest.mark.postgres
def test_of_an_approval_and_a_withdrawal_at_once_exactly_one_wins(pay) -> None:
    for number in range(12):
        payment = pay(amount=2_001, phone=f"2547000001{number:02}")
        word = say(payment)
        decided = at_once(
            partial(words.approve, word, actor="cli:juma"),
            partial(words.withdraw, word, actor="cli:asha"),
        )
        lost = [each.code for each in decided if isinstance(each, Declined)]
        word.refresh_from_db()
        counts = word.applied_at is not None
        assert counts != (word.withdrawn_at is not None)
        assert lost == ["already_applied" if counts else "word_withdrawn"]
        assert status(payment) == ("Success" if counts else "Pending")
        said = AuditEntry.objects.filter(subject=payment.public_id).values_list("action", flat=True)
        ended = "payment.word_approved" if counts else "payment.word_withdrawn"
        assert sorted(said) == sorted(["payment.word_spoken", ended])
    assert audit.first_broken() is None
