"""What a batch writes stands in the tables as it was given, the same on every database."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import Error as AnyDatabaseError
from django.db import connection, transaction

from milango.flows import rows as tables
from milango.flows.store import store
from milango.models import AccessGrant, InboundCallback, MpesaCredential, Payment, WebhookAttempt

from .conftest import make_payment

pytestmark = pytest.mark.django_db

EAT = timezone(timedelta(hours=3))
NOON = datetime(2026, 3, 14, 12, 0, 0, 123_456, tzinfo=EAT)
TIMES = [
    NOON,
    datetime(1999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(1, 1, 1, tzinfo=UTC),
    datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2000, 1, 1, tzinfo=UTC),
]
TEXTS = [
    "",
    "NULL",
    "null",
    "None",
    '"',
    "\\",
    '\\"',
    "{a,b}",
    "',--",
    " a ",
    "a,b",
    "é\u2028😀",
    "\x01\x7f\n",
    "%s $1",
    "x" * 200,
]
BODIES = [b"", bytes(range(256)), b"NULL", b"\\x41", b"\0" * 3, b"{}", b"x" * 70_000]


def attempt(answer: str, status: int | None = 200, at: datetime = NOON) -> tuple[Any, ...]:
    return (uuid4(), uuid4(), uuid4(), status, 5, answer, "", at)


def test_texts_stand_as_they_were_given() -> None:
    rows = [attempt(text, None if n % 2 else n) for n, text in enumerate(TEXTS)]
    store().insert(tables.ATTEMPTS, rows)
    kept = {each.pk: each for each in WebhookAttempt.objects.all()}
    assert [(kept[row[0]].answer, kept[row[0]].status) for row in rows] == [
        (row[5], row[3]) for row in rows
    ]


def test_times_stand_as_they_were_given() -> None:
    rows = [attempt("", at=at) for at in TIMES]
    store().insert(tables.ATTEMPTS, rows)
    kept = {each.pk: each.at for each in WebhookAttempt.objects.all()}
    assert [kept[row[0]] for row in rows] == TIMES


def callback(body: bytes, payment: UUID | None = None, **changes: Any) -> tuple[Any, ...]:
    given = {
        "id": uuid4().bytes,
        "kind": "stk",
        "payment_id": payment,
        "merchant_id": uuid4() if payment else None,
        "body": body,
        "body_sha256": uuid4().hex * 2,
        "headers": '{"a": "\\"\\\\{},NULL"}',
        "peer": "",
        "verdict": "orphan",
        "repeats": 0,
        "received_at": NOON,
        "named_id": None,
        "token_hash": "",
        "replay_at": None,
        "receipt": None,
    } | changes
    return tuple(given.values())


def test_bodies_stand_as_they_were_given() -> None:
    rows = [callback(body, receipt=None if n % 2 else "R") for n, body in enumerate(BODIES)]
    store().insert(tables.ORPHANS, rows)
    kept = {each.pk.bytes: each for each in InboundCallback.objects.all()}
    found = [(bytes(kept[row[0]].body or b""), kept[row[0]].receipt) for row in rows]
    assert found == [(row[4], row[14]) for row in rows]
    assert kept[rows[0][0]].headers == {"a": '"\\{},NULL'}


def test_a_large_batch_stands_whole() -> None:
    rows = [attempt(str(number), number) for number in range(12_000)]
    store().insert(tables.ATTEMPTS, rows)
    assert WebhookAttempt.objects.count() == len(rows)
    assert WebhookAttempt.objects.get(pk=rows[7_777][0]).answer == "7777"


def test_a_text_that_holds_nul_shifts_no_other_rows(credential: MpesaCredential) -> None:
    """PostgreSQL keeps no NUL; what must not be is that two texts are taken for three."""
    payments = [make_payment(credential, phone=f"25470000000{n}") for n in range(2)]
    rows = store().open([payment.pk for payment in payments])
    rows[0].result_text = "a\0b"
    rows[1].result_text = "its own"
    written = [tuple(getattr(row, name) for name in tables.WRITTEN) for row in rows]
    changes = tables.Changes(
        payments=[(row.id, *values, NOON) for row, values in zip(rows, written, strict=True)]
    )
    with suppress(ValueError, AnyDatabaseError), transaction.atomic():
        store().write(changes)
    assert Payment.objects.get(pk=rows[1].id).result_text in {"", "its own"}


MERCHANT, OTHER = uuid4(), uuid4()
PAYMENTS = [uuid4() for _ in range(3)]
TWICE: dict[str, tuple[tables.Table, list[tuple[Any, ...]], int]] = {
    "receipts": (
        tables.RECEIPTS,
        [
            ("production", "174379", code, payment, "callback", Decimal(5), NOON)
            for code, payment in zip("aab", PAYMENTS, strict=True)
        ],
        2,
    ),
    "orders": (
        tables.ORDERS,
        [(MERCHANT, "o", PAYMENTS[0]), (MERCHANT, "o", PAYMENTS[1]), (OTHER, "o", PAYMENTS[2])],
        2,
    ),
    "customers": (
        tables.CUSTOMERS,
        [(uuid4().bytes, MERCHANT, phone, NOON) for phone in ("2547", "2547", "2548")],
        2,
    ),
    "grants": (
        tables.GRANTS,
        [
            (uuid4(), payment, MERCHANT, uuid4(), 5, 0, NOON, NOON, True, NOON)
            for payment in (PAYMENTS[0], PAYMENTS[0], PAYMENTS[1])
        ],
        2,
    ),
    "doubts": (
        tables.DOUBTS,
        [
            (uuid4(), MERCHANT, payment, "late", Decimal("1.5"), "", NOON, "")
            for payment in (PAYMENTS[0], PAYMENTS[0], PAYMENTS[1])
        ],
        2,
    ),
    "prompts": (
        tables.PROMPTS,
        [
            (PAYMENTS[0], MERCHANT, "2547", NOON),
            (PAYMENTS[1], MERCHANT, "2547", NOON),
            (PAYMENTS[0], MERCHANT, "2548", NOON),
        ],
        1,
    ),
    "keys": (
        tables.KEYS,
        [
            (MERCHANT, "live", "secret", "stk-push", "k", "h", payment, False, NOON)
            for payment in PAYMENTS
        ],
        1,
    ),
}


@pytest.mark.parametrize("name", TWICE)
def test_what_stands_twice_in_a_batch_is_kept_once(name: str) -> None:
    table, rows, kept = TWICE[name]
    for _ in range(2):
        store().insert(table, rows)
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT count(*) FROM {table.name}")  # noqa: S608 - a table of ours
            assert cursor.fetchone() == (kept,)


def test_nothing_is_written_by_a_batch_of_nothing() -> None:
    store().write(tables.Changes(inserts=[(tables.EVENTS, []), (tables.GRANTS, [])]))
    assert not AccessGrant.objects.exists()
