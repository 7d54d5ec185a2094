"""Importing M-Pesa's statement: it points, proves where nobody better can be asked, and reports."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest
from django.utils import timezone

from milango.core.payments import Outcome
from milango.core.statements import NotAStatement
from milango.flows import audit, words
from milango.flows.settle import settle_many
from milango.flows.statements import Report, ask, import_statement, points
from milango.models import (
    AuditEntry,
    Doubt,
    MpesaCredential,
    OperatorWord,
    Payment,
    Reversal,
    StatementImport,
    StatementLine,
    StatusQuestion,
)
from milango.models.ids import first_uuid7 as uuid7_at
from tests.people import OTHER_PAYER, make_credential, make_merchant
from tests.statement_files import Entry, as_csv, receipt_of, rows

from .conftest import accepted, asked_daraja, failed, make_payment, paid

pytestmark = pytest.mark.django_db(transaction=True)

Told = Callable[..., Report]


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def told(credential: MpesaCredential) -> Told:
    """Import a statement with these entries."""

    def tell(*entries: Entry, edit: Callable[[list[list[str]]], Any] | None = None) -> Report:
        table = rows(credential.short_code, entries)
        if edit:
            edit(table)
        return import_statement(credential, as_csv(table), uploader="clerk")

    return tell


@pytest.fixture
def asks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transaction Status can be asked."""
    monkeypatch.setattr(MpesaCredential, "can_ask_by_receipt", True)


def counted(report: Report) -> dict[str, int]:
    return {kind.value: count for kind, count in report.counts.items() if count}


def succeed(payment: Payment, receipt: str, at: datetime) -> None:
    settle_many([accepted(payment), paid(payment, receipt, paid_at=at)])


def claim(payment: Payment, receipt: str, at: datetime) -> None:
    settle_many([accepted(payment), paid(payment, receipt, paid_at=at, listed=False)])


def status(payment: Payment) -> str:
    payment.refresh_from_db()
    return payment.status


# --- the report -----------------------------------------------------------------------------


def test_what_is_the_same_here_and_there_is_matched(pay, told: Told, now) -> None:
    payment = pay()
    code = receipt_of(now, 1)
    succeed(payment, code, now)
    report = told(Entry(code, now, 50))
    assert counted(report) == {"matched": 1}
    assert report.all_matched
    assert not list(points(report))


def test_each_difference_has_its_name(pay, told: Told, now) -> None:
    codes = [receipt_of(now, n) for n in range(5)]
    same, other, gone, back = (pay(phone=f"25470000000{n}") for n in range(4))
    for payment, code in zip((same, other, gone, back), codes, strict=False):
        succeed(payment, code, now)
    report = told(
        Entry(codes[0], now, 50),
        Entry(codes[1], now, 51),
        Entry(codes[3], now, 50),
        Entry(codes[4], now, 75, phone="254799***999"),
        Entry(receipt_of(now, 9), now, -50, linked=codes[3]),
    )
    assert counted(report) == {
        "matched": 1,
        "other_amount": 1,
        "missing_here": 1,
        "missing_there": 1,
        "reversed_there": 1,
    }
    assert not report.all_matched
    assert {status(payment) for payment in (same, other, gone, back)} == {"Success"}
    assert set(Doubt.objects.values_list("payment_id", "kind")) == {
        (other.pk, "other_amount"),
        (gone.pk, "missing_in_statement"),
        (back.pk, "reversed_in_statement"),
    }
    asked = {(point.receipt, point.payment) for point in points(report)}
    assert asked == {(codes[1], other), (codes[2], gone), (codes[3], back), (codes[4], None)}


def test_a_receipt_that_a_word_has_put_to_another_payment_is_found_out(
    pay, told: Told, now
) -> None:
    mine, other, right = (pay(phone=f"25470000000{n}") for n in range(3))
    code, good = receipt_of(now, 1), receipt_of(now, 2)
    for payment, named in ((mine, code), (right, good)):
        words.speak(payment, "paid", reason="so I heard", actor="cli:asha", receipt=named)
    lines = [Entry(code, now, 50, phone="254700***001"), Entry(good, now, 50, phone="0700***002")]
    for _ in range(2):
        report = told(*lines)
        assert counted(report) == {"matched": 1, "other_money": 1, "open_here": 1}
        assert {(point.receipt, point.payment) for point in points(report)} == {
            (code, mine),
            (code, other),
        }
    assert set(Doubt.objects.values_list("payment", "kind")) == {
        (mine.pk, "other_payer"),
        (other.pk, "receipt_taken"),
    }
    assert (status(mine), status(other), status(right)) == ("Success", "Pending", "Success")


@pytest.fixture
def earlier(pay: Callable[..., Payment], now: datetime) -> Callable[..., Payment]:
    """A payment whose prompt is over since an hour, when the statement began."""

    number = count()

    def make(**fields: Any) -> Payment:
        at = now - timedelta(hours=1, seconds=next(number))
        life = {"created_at": at, "sending_at": at, "prompt_until": at + timedelta(minutes=3)}
        return pay(pk=uuid7_at(at), **life, **fields)

    return make


@pytest.mark.parametrize("receipt", ["UCE5K7Q2XD", ""])
def test_a_success_by_a_word_of_which_the_statement_knows_nothing_is_missing_there(
    earlier, told: Told, now, receipt: str
) -> None:
    payment, proven = earlier(), earlier(phone=OTHER_PAYER)
    words.speak(payment, "paid", reason="so I heard", actor="cli:asha", receipt=receipt)
    Payment.objects.update(settled_at=now - timedelta(minutes=30))
    claim(proven, receipt_of(now, 3), now)
    frame = [
        Entry(receipt_of(now, n), at, 75, phone="254799***999")
        for n, at in enumerate((now - timedelta(hours=2), now))
    ]
    report = told(*frame, Entry(receipt_of(now, 3), now, 50, phone=OTHER_PAYER))
    assert counted(report) == {"missing_here": 2, "missing_there": 1, "settled": 1}
    assert set(Doubt.objects.values_list("payment_id", "kind")) == {
        (payment.pk, "missing_in_statement")
    }
    assert ("", payment) not in {(point.receipt, point.payment) for point in points(report)}


@pytest.mark.parametrize("what", ["a line that fits", "said later", "asked before"])
def test_what_the_statement_may_have_or_need_not_have_is_not_missing(
    earlier, told: Told, now, what: str
) -> None:
    payment = earlier()
    words.speak(payment, "paid", reason="so I heard", actor="cli:asha")
    said = now + timedelta(days=1) if what == "said later" else now - timedelta(minutes=30)
    Payment.objects.update(settled_at=said)
    begins = now - timedelta(minutes=30 if what == "asked before" else 120)
    lines = [
        Entry(receipt_of(now, n), at, 75, phone="254799***999")
        for n, at in enumerate((begins, now))
    ]
    if what == "a line that fits":
        at = now - timedelta(minutes=59)
        # Another phone, so that it is not joined; but nobody can say whose it is.
        lines.append(Entry(receipt_of(at, 3), at, 50, phone="-"))
    assert "missing_there" not in counted(told(*lines))


def test_a_reversal_by_a_word_alone_is_doubted_when_the_statement_does_not_have_it(
    pay, told: Told, now
) -> None:
    word, mpesa = pay(), pay(phone=OTHER_PAYER)
    codes = [receipt_of(now, n) for n in range(3)]
    for payment, code in zip((word, mpesa), codes, strict=False):
        succeed(payment, code, now)
        words.speak(payment, "reversed", reason="they rang", actor="cli:asha")
    at = {"reversed_at": now, "created_at": now, "source": "pull", "amount": 50}
    whose = {"merchant": mpesa.merchant, "credential": mpesa.credential, "payment": mpesa}
    Reversal.objects.create(code="UCE0000BCK", **whose, **at)
    lines = [Entry(code, now, 50) for code in codes[:2]]
    OperatorWord.objects.update(applied_at=now + timedelta(days=2))
    assert "reversed_here" not in counted(told(*lines)), "said after the statement's end"
    OperatorWord.objects.update(applied_at=now)
    later = Entry(codes[2], now + timedelta(hours=1), 75, phone="254799***999")
    report = told(*lines, later)
    assert counted(report) == {"matched": 1, "reversed_here": 1, "missing_here": 1}
    assert Doubt.objects.get(kind="not_reversed_in_statement").payment == word


def test_a_wrong_word_keeps_no_line_about_others_from_proving(pay, told: Told, now) -> None:
    mine, waits = pay(), pay(phone=OTHER_PAYER)
    code, good = receipt_of(now, 1), receipt_of(now, 2)
    words.speak(mine, "paid", reason="so I heard", actor="cli:asha", receipt=code)
    claim(waits, good, now)
    report = told(
        Entry(code, now, 50, phone="254799***999"), Entry(good, now, 50, phone=OTHER_PAYER)
    )
    assert counted(report) == {"settled": 1, "other_money": 1}
    assert status(waits) == "Success"


def test_a_reversal_of_an_earlier_period_is_seen(pay, told: Told, now) -> None:
    payment = pay()
    succeed(payment, receipt_of(now, 1), now)
    later = now + timedelta(days=1)
    other = Entry(receipt_of(later, 2), later, 75, phone="254799***999")
    report = told(other, Entry(receipt_of(later, 3), later, -50, linked=receipt_of(now, 1)))
    assert counted(report) == {"missing_here": 1, "reversed_there": 1}


def test_the_same_file_again_changes_nothing(pay, told: Told, credential, now) -> None:
    entry = Entry(receipt_of(now, 1), now, 50)
    payment = pay()
    first, again = told(entry), told(entry)
    assert (first.is_new, again.is_new) == (True, False)
    assert counted(first) == {"settled": 1}
    assert counted(again) == {"matched": 1}
    assert status(payment) == "Success"
    record = StatementImport.objects.get()
    assert (record.uploader, record.payments, record.problem) == ("clerk", 1, "")
    content = as_csv(rows(credential.short_code, [entry]))
    assert record.sha256 == hashlib.sha256(content).hexdigest()
    assert StatementLine.objects.get().number == 9
    assert AuditEntry.objects.filter(action="statement.imported").count() == 1
    assert audit.first_broken() is None


def test_another_short_codes_file_is_refused(credential, now) -> None:
    content = as_csv(rows("999999", [Entry(receipt_of(now, 1), now, 50)]))
    with pytest.raises(NotAStatement, match="of short code 999999"):
        import_statement(credential, content, uploader="clerk")
    assert not StatementImport.objects.exists()


def test_merchants_never_meet_over_one_receipt(now) -> None:
    code = receipt_of(now, 1)
    reports = []
    for name in ("Ours", "Theirs"):
        merchant = make_merchant(name)
        credential = make_credential(merchant, short_code="600999", environment="sandbox")
        payment = make_payment(credential)
        amount = 50 if name == "Ours" else 60
        content = as_csv(rows("600999", [Entry(code, now, amount)]))
        reports.append((import_statement(credential, content, uploader="x"), payment))
    (ours, our_payment), (theirs, their_payment) = reports
    assert (counted(ours), status(our_payment)) == ({"settled": 1}, "Success")
    assert (counted(theirs), status(their_payment)) == ({"missing_here": 1}, "Pending")


# --- proving --------------------------------------------------------------------------------


def test_a_lost_payment_is_proven_where_nobody_better_can_be_asked(pay, told: Told, now) -> None:
    payment = pay()  # Daraja's answer and the callback were both lost
    report = told(Entry(receipt_of(now, 1), now, 50))
    assert counted(report) == {"settled": 1}
    assert report.all_matched
    assert status(payment) == "Success"
    assert (payment.receipt_number, payment.transaction_date) == (receipt_of(now, 1), now)
    assert payment.phone == "254708374149"  # the masked number is nobody's


def test_a_claim_is_found_by_its_receipt(pay, told: Told, now) -> None:
    payment = pay()
    claim(payment, receipt_of(now, 1), now)
    entry = Entry(receipt_of(now, 1), now, 50, phone="", account="another one")
    assert counted(told(entry)) == {"settled": 1}
    assert status(payment) == "Success"


def test_a_failure_is_unsaid_by_money(pay, told: Told, now) -> None:
    payment = pay()
    settle_many([accepted(payment), failed(payment)])
    assert counted(told(Entry(receipt_of(now, 1), now, 50))) == {"settled": 1}
    assert (status(payment), payment.late) == ("Success", True)


def test_a_success_without_its_receipt_learns_it(pay, told: Told, now) -> None:
    payment = pay()
    settle_many([accepted(payment), asked_daraja(payment, Outcome.PAID)])
    assert status(payment) == "Success"
    assert counted(told(Entry(receipt_of(now, 1), now, 50))) == {"settled": 1}
    payment.refresh_from_db()
    assert payment.receipt_number == receipt_of(now, 1)


def test_where_transaction_status_can_be_asked_a_line_only_points(
    pay, told: Told, asks: None, credential, now
) -> None:
    payment = pay(next_check_at=now + timedelta(days=1))
    report = told(Entry(receipt_of(now, 1), now, 50))
    assert counted(report) == {"open_here": 1}
    assert status(payment) == "Pending"
    assert payment.next_check_at is not None
    assert payment.next_check_at <= timezone.now()
    assert list(points(report)) == [(credential, receipt_of(now, 1), payment)]
    assert ask(report) == 1
    question = StatusQuestion.objects.get()
    assert (question.why, question.receipt) == ("statement", receipt_of(now, 1))


def test_a_receipt_of_another_day_proves_nothing(pay, told: Told, now) -> None:
    payment = pay()
    odd = receipt_of(now - timedelta(days=30), 1)
    assert counted(told(Entry(odd, now, 50))) == {"open_here": 1}
    assert status(payment) == "Pending"


@pytest.mark.parametrize(
    "entry",
    [
        {"amount": 51},
        {"phone": "254708***148"},
        {"phone": "2547****49"},
        {"phone": ""},
        {"account": "INV-2"},
        {"minutes": -4},
        {"minutes": 9},
    ],
)
def test_a_line_that_does_not_fit_finds_nobody(pay, told: Told, now, entry) -> None:
    payment = pay()
    at = now + timedelta(minutes=entry.pop("minutes", 0))
    given = {"receipt": receipt_of(at, 1), "at": at, "amount": 50} | entry
    assert counted(told(Entry(**given))) == {"missing_here": 1}
    assert status(payment) == "Pending"


def test_a_line_that_fits_two_payments_proves_neither(pay, told: Told, now) -> None:
    one, two = pay(), pay()
    assert counted(told(Entry(receipt_of(now, 1), now, 50))) == {"missing_here": 1}
    assert {status(one), status(two)} == {"Pending"}


def test_two_lines_that_fit_one_payment_prove_nothing(pay, told: Told, now) -> None:
    payment = pay()
    two = [Entry(receipt_of(now, n), now, 50) for n in (1, 2)]
    assert counted(told(*two)) == {"missing_here": 2}
    assert status(payment) == "Pending"


def test_whose_second_prompt_was_paid_has_not_paid_the_first(pay, told: Told, now) -> None:
    cancelled, again = pay(), pay()
    settle_many([accepted(cancelled), failed(cancelled)])
    assert counted(told(Entry(receipt_of(now, 1), now, 50))) == {"settled": 1}
    assert (status(cancelled), status(again)) == ("Failed", "Success")


def test_a_till_has_no_account_number(merchant, now) -> None:
    till = make_credential(merchant, kind="till", store_number="7700321", environment="production")
    payment = make_payment(till)
    content = as_csv(rows("7700321", [Entry(receipt_of(now, 1), now, 50, account="")]))
    assert counted(import_statement(till, content, uploader="x")) == {"settled": 1}
    assert status(payment) == "Success"


# --- edited files ---------------------------------------------------------------------------


def _edit(table: list[list[str]]) -> None:
    table[-1][5] = table[-1][5].replace("50", "60")


def _add(table: list[list[str]]) -> None:
    line = table[-1][:]
    line[0] = line[0][:-1] + "7"
    table.append(line)


def _remove(table: list[list[str]]) -> None:
    del table[-3]


@pytest.mark.parametrize("edit", [_edit, _add, _remove])
def test_an_edited_added_or_removed_line_moves_nothing_and_raises_an_alarm(
    pay, told: Told, now, edit, caplog
) -> None:
    lost, done = pay(), pay(phone=OTHER_PAYER)
    succeed(done, receipt_of(now, 2), now + timedelta(seconds=1))
    report = told(
        Entry(receipt_of(now, 1), now, 50),
        Entry(receipt_of(now, 2), now + timedelta(seconds=1), 50, phone="254110***123"),
        edit=edit,
    )
    assert report.problem in {"balance_broken", "receipt_twice"}
    assert not report.all_matched
    assert (status(lost), status(done)) == ("Pending", "Success")
    assert not Doubt.objects.exists()
    assert StatementImport.objects.get().is_flagged
    assert not StatementLine.objects.exists()
    assert "proves nothing" in caplog.text


def test_a_file_that_contradicts_what_is_proven_proves_nothing(pay, told: Told, now) -> None:
    done, lost = pay(phone=OTHER_PAYER), pay()
    succeed(done, receipt_of(now, 2), now)
    # Made anew with all its balances, but without a payment that we know of.
    report = told(Entry(receipt_of(now, 1), now, 50))
    assert counted(report) == {"open_here": 1, "missing_there": 1}
    assert status(lost) == "Pending"


def test_a_file_that_unsays_an_earlier_one_proves_nothing(pay, told: Told, now) -> None:
    told(Entry(receipt_of(now, 1), now, 70, phone="254799***999"))
    payment = pay()
    report = told(
        Entry(receipt_of(now, 1), now, 75, phone="254799***999"),
        Entry(receipt_of(now, 2), now, 50),
    )
    assert report.problem == "changed_line"
    assert counted(report)["changed"] == 1
    assert status(payment) == "Pending"
    assert StatementLine.objects.get(code=receipt_of(now, 1)).amount == 70


@pytest.mark.parametrize("row", [1, 5])
def test_a_file_without_its_facts_proves_nothing_and_alarms_nobody(
    pay, told: Told, now, row: int
) -> None:
    payment = pay()
    report = told(Entry(receipt_of(now, 1), now, 50), edit=lambda table: table[row].clear())
    assert report.problem in {"no_short_code", "no_opening"}
    assert counted(report) == {"open_here": 1}
    assert status(payment) == "Pending"
    assert [point.payment for point in points(report)] == [payment]
    assert not StatementImport.objects.get().is_flagged


def test_a_receipt_that_has_settled_another_payment_settles_no_second(pay, told, now) -> None:
    first, second = pay(phone=OTHER_PAYER), pay()
    code = receipt_of(now, 1)
    succeed(first, code, now)
    claim(second, code, now)
    assert counted(told(Entry(code, now, 50))) == {"matched": 1}
    assert status(second) == "Pending"
