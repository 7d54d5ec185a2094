"""Money that waits for its payment is put to one by a person's word, and by nothing less."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import msgspec
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from milango.core.errors import Declined, InvalidRequest
from milango.core.payments import Source
from milango.flows import check, matching, reversals, words
from milango.flows.book import Line, book, owner_of
from milango.flows.settle import Settled, settle_many
from milango.models import AuditEntry, Doubt, OperatorWord, Payment, Receipt, Reversal
from milango.models.ids import first_uuid7
from tests.people import OTHER_PAYER, PAYER, make_credential, make_merchant

from .conftest import accepted, at_once, paid

pytestmark = pytest.mark.django_db(transaction=True)

CODE = "UCE3P9W8ZA"


def waiting(payment: Payment, amount: int = 50, **changes: object) -> None:
    """A confirmation that two prompts alike may have been answered by."""
    line = Line(receipt=CODE, amount=Decimal(amount), paid_at=timezone.now(), phone=PAYER)
    with transaction.atomic():
        assert book(payment.credential, [line], Source.C2B, listed=True) == ["unmatched"]


def went_back(payment: Payment, **changes: object) -> list[str]:
    """Pull tells of money that went back."""
    line = Line(receipt=CODE, amount=Decimal(50), paid_at=timezone.now(), phone=PAYER)
    back = msgspec.structs.replace(line, **changes)
    with transaction.atomic():
        return reversals.note(payment.credential, [back], Source.PULL)


def match(payment: Payment, by: str = "cli:asha") -> tuple[OperatorWord, Settled | None]:
    said = matching.match(payment, CODE.lower(), reason="the payer came by", actor=by)
    payment.refresh_from_db()
    return said


def test_a_receipt_is_put_to_the_payment_that_a_person_names(pay) -> None:
    first, second = pay(prompt_open=True), pay()
    waiting(first)
    match(second)
    assert (second.status, second.receipt_number) == ("Success", CODE)
    assert second.transaction_date is not None
    assert Receipt.objects.get().payment == second
    assert second.events.get(type="payment.succeeded").data["source"] == "operator"
    told = AuditEntry.objects.get(action="payment.word_spoken").detail
    assert (told["receipt"], told["reason"]) == (CODE, "the payer came by")
    first.refresh_from_db()
    assert first.status == "Pending"
    assert not {"receipt_settles_one", "receipt_has_row", "sums_agree"} & set(check.check().broken)


def test_above_the_limit_it_waits_and_whoever_comes_first_has_the_receipt(pay) -> None:
    first, second = pay(amount=3_000), pay(amount=3_000)
    waiting(first, amount=3_000)
    word, settled = match(second)
    assert (settled, second.status) == (None, "Pending")
    settle_many([accepted(first), paid(first, CODE)])
    with pytest.raises(Declined) as outdated:
        words.approve(word, actor="cli:juma")
    assert outdated.value.code == "word_outdated"
    assert not Doubt.objects.exists(), "nobody approved a doubt"
    assert not AuditEntry.objects.filter(action="payment.word_approved").exists()
    second.refresh_from_db()
    assert second.status == "Pending", "a word takes no receipt from its payment"


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": 60},
        {"created_at": timezone.now() + timedelta(hours=10)},
        {"receipt_number": "UCE0000001"},
        {"status": "Voided"},
        "another merchant",
        "another code",
    ],
    ids=["amount", "asked later", "receipt", "status", "merchant", "code"],
)
def test_what_cannot_be_so_is_refused(pay, changes) -> None:
    first, second = pay(), pay()
    waiting(first)
    if changes == "another merchant":
        other = make_credential(make_merchant("Hoteli"), environment="production")
        second = pay(credential=other)
    elif changes == "another code":
        Receipt.objects.update(code="UCE0000000")
    else:
        Payment.objects.filter(pk=second.pk).update(**changes)
        second.refresh_from_db()
    with pytest.raises(InvalidRequest):
        match(second)
    assert not OperatorWord.objects.exists()
    assert Receipt.objects.get().payment is None


def test_a_word_says_no_other_amount_than_mpesa(pay) -> None:
    first, second = pay(), pay()
    waiting(first)
    third = pay(amount=60)
    with pytest.raises(InvalidRequest, match="It is KES 50"):
        words.speak(third, "paid", reason="so I heard", actor="cli:asha", receipt=CODE)
    assert not OperatorWord.objects.exists()
    assert Receipt.objects.get().payment is None
    match(second)
    assert second.status == "Success"


def test_money_that_went_back_is_put_to_its_payment(pay) -> None:
    payments = [pay(), pay()]
    for number, one in enumerate(payments):
        settle_many([accepted(one), paid(one, f"UCE000000{number}")])
    told = went_back(payments[0])
    assert told == ["reversal_unmatched"]
    payments[1].refresh_from_db()
    match(payments[1])
    assert payments[1].status == "Reversed"
    assert Reversal.objects.get().payment == payments[1]


def test_a_receipt_is_matched_as_mpesa_told_it_and_no_other_text_is(pay) -> None:
    payment = pay()
    line = Line(receipt="OLD1", amount=Decimal(50), paid_at=timezone.now(), phone=PAYER)
    pay()
    with transaction.atomic():
        assert book(payment.credential, [line], Source.C2B, listed=True) == ["unmatched"]
    for typed, told in (("the slip", "is no receipt"), ("UCE3P9W8ZA", "waits for a payment")):
        with pytest.raises(InvalidRequest, match=told):
            matching.match(payment, typed, reason="the slip", actor="cli:asha")
    matching.match(payment, "old1", reason="the slip", actor="cli:asha")
    payment.refresh_from_db()
    assert (payment.status, payment.receipt_number) == ("Success", "OLD1")


def test_a_part_that_went_back_does_not_make_the_payment_reversed(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment)])
    went_back(payment, amount=Decimal(20))
    with pytest.raises(InvalidRequest, match="It is KES 20"):
        words.speak(payment, "reversed", reason="they rang", actor="cli:asha", receipt=CODE)
    payment.refresh_from_db()
    assert payment.status == "Success"
    assert Reversal.objects.get().payment is None


def test_what_does_not_fit_any_more_is_not_approved(pay) -> None:
    payment = pay(amount=3_000)
    settle_many([accepted(payment), paid(payment)])
    word, settled = words.speak(
        payment, "reversed", reason="they rang", actor="cli:asha", receipt=CODE
    )
    assert settled is None
    went_back(payment, amount=Decimal(200))
    with pytest.raises(Declined) as outdated:
        words.approve(word, actor="cli:juma")
    assert outdated.value.code == "word_outdated"
    payment.refresh_from_db()
    assert payment.status == "Success"
    assert Reversal.objects.get().payment is None


def told(payment: Payment, **changes: object) -> None:
    """M-Pesa tells of the receipt, twice."""
    line = Line(receipt=CODE, amount=Decimal(50), paid_at=timezone.now(), phone=PAYER)
    for _ in range(2):
        with transaction.atomic():
            book(
                payment.credential,
                [msgspec.structs.replace(line, **changes)],
                Source.C2B,
                listed=True,
            )


EARLIER = timezone.now() - timedelta(minutes=30)


@pytest.mark.parametrize(
    ("named", "meant", "line", "doubt"),
    [
        ({"phone": OTHER_PAYER}, {}, {}, "other_payer"),
        ({"amount": 60}, {}, {}, "other_amount"),
        ({}, {"account_reference": "INV-7"}, {"reference": "inv-7"}, "other_account"),
        (
            {},
            {"pk": first_uuid7(EARLIER), "created_at": EARLIER, "prompt_until": EARLIER},
            {"paid_at": EARLIER},
            "before_request",
        ),
    ],
)
def test_a_word_about_anothers_receipt_is_contradicted_and_both_payments_wait_for_a_person(
    pay, named, meant, line, doubt
) -> None:
    first, second = pay(**named), pay(**meant)
    words.speak(first, "paid", reason="so I heard", actor="cli:asha", receipt=CODE)
    told(second, **line)
    assert set(Doubt.objects.values_list("payment", "kind")) == {
        (first.pk, doubt),
        (second.pk, "receipt_taken"),
    }
    assert Receipt.objects.get().payment == first, "a person decides whose it is"
    second.refresh_from_db()
    assert second.status == "Pending"
    assert second.next_check_at is not None, "Daraja is asked about it"


def test_a_word_that_mpesa_confirms_is_doubted_by_nobody(pay) -> None:
    payment = pay()
    words.speak(payment, "paid", reason="so I heard", actor="cli:asha", receipt=CODE)
    pay()
    told(payment)
    payment.refresh_from_db()
    assert not Doubt.objects.exists()
    assert payment.transaction_date is not None
    assert payment.events.filter(type="payment.succeeded").count() == 1


def test_whoever_matches_what_mpesa_has_told_knows_its_account_number(pay) -> None:
    first, second = pay(account_reference="INV-7"), pay(account_reference="INV-8")
    line = Line(
        receipt=CODE, amount=Decimal(50), paid_at=timezone.now(), phone=PAYER, reference="INV-9"
    )
    for _ in range(2):
        with transaction.atomic():
            book(first.credential, [line], Source.PULL, listed=True)
        if Receipt.objects.get().payment is None:
            match(second)
    assert second.status == "Success"
    assert not Doubt.objects.exists()


@pytest.mark.parametrize("says", ["paid", "reversed"])
def test_the_receipt_of_another_payment_is_refused(pay, says: str) -> None:
    first, second = pay(), pay(amount=3_000)
    settle_many([accepted(first), paid(first, CODE)])
    with pytest.raises(InvalidRequest, match="another payment's"):
        words.speak(second, says, reason="so I heard", actor="cli:asha", receipt=CODE)
    assert not OperatorWord.objects.exists()


def test_money_that_went_back_is_no_payment_and_money_that_came_is_no_reversal(pay) -> None:
    first, second = pay(), pay()
    went_back(first, receipt="UCE0000BCK")
    waiting(first)
    for says, code in (("paid", "UCE0000BCK"), ("reversed", CODE)):
        with pytest.raises(InvalidRequest):
            words.speak(second, says, reason="so I heard", actor="cli:asha", receipt=code)
    assert not OperatorWord.objects.exists()


def test_a_receipt_of_another_phone_is_not_matched(pay) -> None:
    first, second = pay(), pay()
    waiting(first)
    Payment.objects.filter(pk=second.pk).update(phone=OTHER_PAYER)
    second.refresh_from_db()
    with pytest.raises(InvalidRequest, match="another phone"):
        match(second)


def test_money_that_went_back_to_another_phone_reverses_nothing(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment)])
    went_back(payment, phone=OTHER_PAYER)
    with pytest.raises(InvalidRequest, match="another phone"):
        words.speak(payment, "reversed", reason="they rang", actor="cli:asha", receipt=CODE)
    payment.refresh_from_db()
    assert payment.status == "Success"


def test_a_line_without_a_number_finds_the_payment_that_it_answers(pay) -> None:
    payment = pay()
    told(payment, phone="")
    payment.refresh_from_db()
    assert (payment.status, Payment.objects.count()) == ("Success", 1)


@pytest.mark.postgres
def test_of_a_word_and_a_callback_that_name_one_receipt_at_once_one_has_it(pay) -> None:
    for number in range(12):
        code = f"UCE5K7Q2{number:02}"
        mine, other = (pay(phone=f"2547000{n}1{number:02}", amount=100) for n in (10, 20))
        settle_many([accepted(other)])
        say = partial(
            words.speak, mine, "paid", reason="so I heard", actor=f"cli:{number}", receipt=code
        )
        ended = at_once(say, partial(settle_many, [paid(other, code)]))
        mine.refresh_from_db()
        other.refresh_from_db()
        kinds = set(Doubt.objects.filter(payment=other).values_list("kind", flat=True))
        if any(isinstance(each, InvalidRequest) for each in ended):
            assert (mine.status, other.status) == ("Pending", "Success")
            assert not OperatorWord.objects.filter(payment=mine).exists()
        else:
            assert (mine.status, other.status, kinds) == ("Success", "Pending", {"receipt_taken"})
        assert not Doubt.objects.filter(payment=mine).exists()


def test_what_mpesa_has_already_is_told_again_at_no_cost_for_each_line(pay) -> None:
    payments = [pay(phone=f"25470000000{n}") for n in range(6)]
    lines = [
        Line(
            receipt=f"UCE5K7Q2X{n}",
            amount=Decimal(50),
            paid_at=timezone.now(),
            phone=payment.phone,
            reference="INV-1",
        )
        for n, payment in enumerate(payments)
    ]
    settle_many([accepted(each) for each in payments])
    settle_many([paid(each, line.receipt) for each, line in zip(payments, lines, strict=True)])
    asked = []
    for some in (lines[:2], lines):
        with CaptureQueriesContext(connection) as queries, transaction.atomic():
            book(payments[0].credential, some, Source.PULL, listed=True)
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_another_payer_is_seen_whatever_else_is_other(pay) -> None:
    payment = pay(phone=OTHER_PAYER)
    settle_many([accepted(payment), paid(payment, CODE)])
    told(payment, amount=Decimal(60))
    assert set(Doubt.objects.values_list("kind", flat=True)) == {"other_payer"}


def test_money_that_went_back_from_a_number_unknown_points_at_nobody(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, CODE)])
    verdicts = went_back(payment, receipt="UCE0000BCK", phone="")
    assert verdicts == ["reversal_unmatched"]
    assert Reversal.objects.get().payment is None
    assert not Doubt.objects.exists()


def test_what_went_back_before_a_payment_was_asked_for_is_not_its_money(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, CODE)])
    earlier = timezone.now() - timedelta(hours=2)
    went_back(payment, receipt="UCE0000BCK", paid_at=earlier)
    with pytest.raises(InvalidRequest, match="before the payment"):
        words.speak(
            payment, "reversed", reason="so I heard", actor="cli:asha", receipt="UCE0000BCK"
        )


def test_a_word_with_another_receipt_than_the_payment_got_meanwhile_is_outdated(pay) -> None:
    payment = pay(amount=3_000)
    word, _ = words.speak(payment, "paid", reason="so I heard", actor="cli:asha", receipt=CODE)
    settle_many([accepted(payment), paid(payment, "UCE5K7Q2YY")])
    with pytest.raises(Declined) as outdated:
        words.approve(word, actor="cli:juma")
    assert outdated.value.code == "word_outdated"
    payment.refresh_from_db()
    assert payment.receipt_number == "UCE5K7Q2YY"
    assert not Doubt.objects.exists()


def test_of_a_test_short_code_nobody_hears_or_takes_what_waits_for_another_merchant(pay) -> None:
    mine, others = (
        make_credential(make_merchant(name), environment="sandbox", short_code="174379")
        for name in ("Kibanda", "Hoteli")
    )
    for _ in range(2):
        pay(credential=others, amount=77)
    line = Line(receipt=CODE, amount=Decimal(77), paid_at=timezone.now(), phone=PAYER)
    with transaction.atomic():
        book(others, [line], Source.C2B, listed=True)
    for amount in (50, 77):
        with pytest.raises(InvalidRequest, match="another payment's"):
            words.speak(
                pay(credential=mine, amount=amount),
                "paid",
                reason="so I heard",
                actor="cli:asha",
                receipt=CODE,
            )
    assert Receipt.objects.get().payment is None


def test_of_a_test_short_code_a_receipt_leads_to_its_own_merchants_payment_alone(pay) -> None:
    mine, others = (
        make_credential(make_merchant(name), environment="sandbox", short_code="174379")
        for name in ("Kibanda", "Hoteli")
    )
    payment = pay(credential=others)
    settle_many([accepted(payment), paid(payment, CODE)])
    assert (owner_of(others, CODE), owner_of(mine, CODE)) == (payment, None)
