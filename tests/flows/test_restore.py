"""The restore drill: an old backup is put back, and the books are right again in the end."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from milango.core.payments import Source
from milango.flows import check as books
from milango.flows import replay
from milango.flows.book import Booking, Line, book
from milango.flows.receive import receive_stk
from milango.flows.settle import settle_many
from milango.models import AccessGrant, InboundCallback, Payment

from .conftest import accepted
from .test_receive import LISTED, body, with_token

pytestmark = pytest.mark.django_db(transaction=True)

Dump = dict[str, tuple[list[str], list[Any]]]


def dump() -> Dump:
    """Every row of ours, as the database gives it."""
    kept: Dump = {}
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            if table.startswith("milango_"):
                cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608
                kept[table] = ([column[0] for column in cursor.description], cursor.fetchall())
    return kept


def restore(kept: Dump) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        for table in kept:
            cursor.execute(f'DELETE FROM "{table}"')  # noqa: S608
        for table, (columns, rows) in kept.items():
            names = ", ".join(f'"{name}"' for name in columns)
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', rows)  # noqa: S608


def test_the_drill_ends_clean(credential) -> None:
    # The backup is made while one payer has the prompt on the phone.
    before, its_token = with_token(credential, service_type="captive_portal")
    settle_many([accepted(before)])
    backup = dump()
    # Life goes on: that one is paid, and another one is made and paid.
    receive_stk(its_token, body(before, "UCE0000001"), {}, LISTED)
    after, another_token = with_token(credential, phone="254708374150")
    settle_many([accepted(after)])
    restore(backup)
    assert list(Payment.objects.values_list("pk", "status")) == [(before.pk, "Pending")]
    # What was on its way, or in the spool, comes now: one payment is there, the other is not.
    receive_stk(its_token, body(before, "UCE0000001"), {}, LISTED)
    receive_stk(another_token, body(after, "UCE0000002"), {}, LISTED)
    assert set(books.check().broken) == {"orphan_is_booked"}
    assert replay.replay_due(timezone.now() + timedelta(days=1)) == 0
    # Pull tells of all the money that reached the short code.
    lines = [
        Line(
            receipt=f"UCE000000{number}",
            amount=payment.amount,
            paid_at=timezone.now(),
            phone=payment.phone,
        )
        for number, payment in ((1, before), (2, after))
    ]
    with transaction.atomic():
        assert book(credential, lines, Source.PULL, listed=True) == [Booking.JOINED, Booking.OWN]
    assert books.check().broken == {}
    assert sorted(Payment.objects.values_list("status", "receipt_number")) == [
        ("Success", "UCE0000001"),
        ("Success", "UCE0000002"),
    ]
    assert AccessGrant.objects.get().payment == before
    assert InboundCallback.objects.filter(verdict="orphan").count() == 1


def test_an_orphan_is_settled_when_a_newer_backup_is_found(credential) -> None:
    old = dump()
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    new = dump()
    restore(old)
    receive_stk(token, body(payment), {}, LISTED)
    orphans = dump()["milango_inboundcallback"]
    restore(new | {"milango_inboundcallback": orphans})
    assert "callback_is_processed" in books.check().broken
    assert replay.replay_due(timezone.now() + timedelta(days=1)) == 1
    assert books.check().is_clean
    payment.refresh_from_db()
    assert payment.status == "Success"
