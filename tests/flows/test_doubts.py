"""Doubts: who has how many for how long, and how one is closed."""

from __future__ import annotations

from functools import partial

import pytest
from django.utils import timezone

from milango.core.errors import InvalidRequest
from milango.flows import doubts, statements
from milango.flows.settle import settle_many
from milango.models import AuditEntry, Doubt, StatementImport
from tests.people import make_credential, make_merchant
from tests.statement_files import NAMES, Entry, as_csv, receipt_of, rows

from .conftest import accepted, at_once, make_payment, paid

pytestmark = pytest.mark.django_db


@pytest.fixture
def doubt(pay) -> Doubt:
    payment = pay()
    settle_many([accepted(payment), paid(payment, amount=1)])
    return Doubt.objects.get()


def test_it_works(doubt) -> None:
    closed = doubts.resolve(doubt.pk, actor="test", reason=" sent\n back ")
    assert (closed.resolution, closed.resolved_at is None) == ("sent back", False)
    entry = AuditEntry.objects.get(action="doubt.resolved")
    assert (entry.merchant, entry.subject) == (doubt.merchant, doubt.public_id)
    assert entry.detail == {"kind": "other_amount", "resolution": "sent back"}
    doubt.payment.refresh_from_db()
    assert doubt.payment.status == "Pending"  # no money moves


@pytest.mark.parametrize("reason", ["", " \n", "x" * 256])
def test_a_reason_is_the_least(doubt, reason: str) -> None:
    with pytest.raises(InvalidRequest, match="stays open"):
        doubts.resolve(doubt.pk, actor="test", reason=reason)
    doubt.refresh_from_db()
    assert doubt.resolved_at is None


def test_what_is_closed_stays_as_it_was_closed(doubt) -> None:
    doubts.resolve(doubt.pk, actor="test", reason="first")
    with pytest.raises(InvalidRequest, match="Nothing was changed"):
        doubts.resolve(doubt.pk, actor="test", reason="second")
    doubt.refresh_from_db()
    assert doubt.resolution == "first"
    assert AuditEntry.objects.filter(action="doubt.resolved").count() == 1


@pytest.fixture
def statement(credential) -> StatementImport:
    """One that does not add up, as its import leaves it."""
    table = rows(credential.short_code, [Entry(receipt_of(timezone.now(), 1), timezone.now(), 50)])
    table[-1][NAMES.index("Balance")] = "1.00"
    statements.import_statement(credential, as_csv(table), uploader="test")
    return StatementImport.objects.get()


def test_a_statement_that_is_resolved_twice_stays_as_it_was_resolved_first(statement) -> None:
    doubts.resolve_statement(statement.pk, actor="cli:asha", reason=" a line\n was cut ")
    first = StatementImport.objects.values().get()
    assert (first["resolution"], first["resolved_at"] is None) == ("a line was cut", False)
    with pytest.raises(InvalidRequest, match="Nothing was changed"):
        doubts.resolve_statement(statement.pk, actor="cli:juma", reason="all is well")
    assert StatementImport.objects.values().get() == first
    entry = AuditEntry.objects.get(action="statement.resolved")
    assert (entry.actor, entry.detail["resolution"]) == ("cli:asha", "a line was cut")


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_two_who_resolve_a_statement_at_once_one_does(statement) -> None:
    resolve = partial(doubts.resolve_statement, statement.pk)
    names = ("asha", "juma", "zawadi")
    ended = at_once(*(partial(resolve, actor=name, reason=f"says {name}") for name in names))
    (won,) = [each for each in ended if isinstance(each, StatementImport)]
    assert StatementImport.objects.get().resolution == won.resolution
    entry = AuditEntry.objects.get(action="statement.resolved")
    assert entry.detail["resolution"] == won.resolution == f"says {entry.actor}"


def test_open_ones_are_counted_by_merchant_and_kind(doubt, pay) -> None:
    other = make_payment(make_credential(make_merchant("Kiosk"), environment="production"))
    again = pay(phone="254708374150", amount=70)
    settle_many([accepted(p) for p in (other, again)])
    settle_many([paid(p, amount=1) for p in (other, again)])
    first = min(Doubt.objects.filter(merchant=doubt.merchant).values_list("raised_at", flat=True))
    found = {each.merchant: each for each in doubts.open_doubts()}
    mine = found[doubt.merchant.public_id]
    assert (mine.kind, mine.count, mine.amount, mine.oldest) == ("other_amount", 2, 120, first)
    assert found[other.merchant.public_id].count == 1
    assert doubts.notice(timezone.now()) == 2
