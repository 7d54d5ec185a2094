"""Settling on SQLite: one writer at a time, lists passed as JSON, rows by `executemany`.

Django begins each transaction here with BEGIN IMMEDIATE, so nothing has to be locked row by row.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

from django.db import connection

from .rows import (
    CUSTOMERS,
    ORDERS,
    OWN,
    PAYMENTS,
    RECEIPTS,
    Changes,
    PaymentRow,
    ReceiptKey,
    RowOf,
    Table,
)


@contextmanager
def _cursor() -> Iterator[Any]:
    """SQLite's own cursor, whose errors are still Django's."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        yield connection.connection.cursor()


# --- values as Django keeps them in SQLite --------------------------------------------------


def _time(value: datetime) -> str:
    return str(value.astimezone(UTC).replace(tzinfo=None))


CENT: Final = Decimal("0.01")

WRITERS: Final[dict[str, Callable[[Any], Any]]] = {
    "uuid": lambda value: value if isinstance(value, str) else value.hex,
    "numeric": str,
    "timestamptz": _time,
}
READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "uuid": lambda value: UUID(hex=value),
    "numeric": lambda value: Decimal(str(value)).quantize(CENT),
    # Django has taught SQLite to give times, without a zone, and booleans.
    "timestamptz": lambda value: value.replace(tzinfo=UTC),
}


def _column(kind: str, values: Iterable[Any]) -> Iterable[Any]:
    write = WRITERS.get(kind)
    if write is None:
        return values
    return [None if value is None else write(value) for value in values]


def _as_kept(table: Table, rows: Sequence[RowOf]) -> Iterable[RowOf]:
    columns = zip(table.types, zip(*rows, strict=True), strict=True)
    return zip(*(_column(kind, values) for kind, values in columns), strict=True)


def _list(values: Iterable[Any]) -> str:
    return json.dumps([value.hex if isinstance(value, UUID) else value for value in values])


def _pairs(values: Iterable[tuple[Any, Any]]) -> str:
    return json.dumps([[v.hex if isinstance(v, UUID) else v for v in pair] for pair in values])


_OWN_TYPES: Final = {
    "id": "uuid",
    "merchant_id": "uuid",
    "credential_id": "uuid",
    "amount": "numeric",
    "created_at": "timestamptz",
    "prompt_until": "timestamptz",
    **dict(zip(PAYMENTS.columns, PAYMENTS.types, strict=True)),
}
_READ: Final = [
    *(READERS.get(_OWN_TYPES.get(name, "text")) for name in OWN),
    READERS["numeric"],
    json.loads,
    json.loads,
]


def _payment(row: RowOf) -> PaymentRow:
    return PaymentRow(
        *(
            value if value is None or read is None else read(value)
            for read, value in zip(_READ, row, strict=True)
        )
    )


# --- statements -----------------------------------------------------------------------------


@lru_cache
def _insertion(table: Table) -> str:
    marks = ", ".join("?" for _ in table.columns)
    names = ", ".join(table.columns)
    return f"INSERT INTO {table.name} ({names}) VALUES ({marks}) {table.conflict}"


@lru_cache
def _update(table: Table) -> str:
    changes = ", ".join(f"{name} = ?{n}" for n, name in enumerate(table.columns[1:], start=2))
    return f"UPDATE {table.name} SET {changes} WHERE id = ?1"


ONES: Final = "(SELECT value FROM json_each(?))"
TWOS: Final = "(SELECT value ->> 0, value ->> 1 FROM json_each(?))"

SUBSCRIBED: Final = (
    "(SELECT json_group_array(json_array(e.id, json(e.event_types))) "
    "FROM milango_webhookendpoint e WHERE e.merchant_id = p.merchant_id AND e.active)"
)
LOCK: Final = (
    f"SELECT {', '.join(f'p.{name}' for name in OWN)}, c.confirm_above, m.tariff, {SUBSCRIBED} "
    "FROM milango_payment p "
    "JOIN milango_mpesacredential c ON c.id = p.credential_id "
    "JOIN milango_merchant m ON m.id = p.merchant_id "
    f"WHERE p.id IN {ONES} ORDER BY p.id"
)
OWNERS: Final = (
    f"SELECT environment, short_code, code, payment_id FROM milango_receipt WHERE code IN {ONES}"
)
TAKE_OVER: Final = (
    # A C2B line may have booked the receipt before its payment was known.
    "UPDATE milango_receipt SET payment_id = ?4 "
    "WHERE environment = ?1 AND short_code = ?2 AND code = ?3 AND payment_id IS NULL"
)
USED: Final = (
    "SELECT credential_id, checkout_request_id FROM milango_payment "
    f"WHERE (checkout_request_id, credential_id) IN {TWOS}"
)
WINNERS: Final = (
    "SELECT merchant_id, order_id, payment_id FROM milango_settledorder "
    f"WHERE (merchant_id, order_id) IN {TWOS}"
)
KNOWN: Final = (
    f"SELECT merchant_id, phone, id FROM milango_customer WHERE (merchant_id, phone) IN {TWOS}"
)
FREE_PHONES: Final = f"DELETE FROM milango_openprompt WHERE payment_id IN {ONES}"
END_PROMPT: Final = (
    "DELETE FROM milango_openprompt WHERE credential_id = ? AND phone = ? AND until <= ?"
)
REVOKE: Final = (
    "UPDATE milango_accessgrant SET revoked_at = ?2 WHERE payment_id = ?1 AND revoked_at IS NULL"
)
FREE_ORDER: Final = (
    "DELETE FROM milango_settledorder WHERE merchant_id = ? AND order_id = ? AND payment_id = ?"
)


# --- verbs ----------------------------------------------------------------------------------


def open(payment_ids: Sequence[UUID]) -> list[PaymentRow]:
    with _cursor() as cursor:
        return [_payment(row) for row in cursor.execute(LOCK, (_list(payment_ids),))]


def receipts(codes: Iterable[str]) -> dict[ReceiptKey, UUID | None]:
    with _cursor() as cursor:
        return _owners(cursor, codes)


def _owners(cursor: Any, codes: Iterable[str]) -> dict[ReceiptKey, UUID | None]:
    return {
        ReceiptKey(*key): UUID(hex=owner) if owner else None
        for *key, owner in cursor.execute(OWNERS, (_list(codes),))
    }


def used_checkout_ids(named: Iterable[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    pairs = _pairs((checkout_id, credential) for credential, checkout_id in named)
    with _cursor() as cursor:
        return {(UUID(hex=credential), id) for credential, id in cursor.execute(USED, (pairs,))}


def claim_receipts(rows: Sequence[RowOf]) -> dict[ReceiptKey, UUID | None]:
    kept = list(_as_kept(RECEIPTS, rows))
    with _cursor() as cursor:
        cursor.executemany(_insertion(RECEIPTS), kept)
        cursor.executemany(TAKE_OVER, [row[:4] for row in kept])
        return _owners(cursor, [row[2] for row in kept])


def claim_orders(orders: Sequence[tuple[UUID, str, UUID]]) -> dict[tuple[UUID, str], UUID]:
    kept = list(_as_kept(ORDERS, orders))
    with _cursor() as cursor:
        cursor.executemany(_insertion(ORDERS), kept)
        winners = cursor.execute(WINNERS, (_pairs(row[:2] for row in kept),))
        return {(UUID(hex=m), order): UUID(hex=payment) for m, order, payment in winners}


def customers(
    wanted: Sequence[tuple[str, UUID, str, datetime]],
) -> dict[tuple[UUID, str], UUID]:
    kept = list(_as_kept(CUSTOMERS, wanted))
    with _cursor() as cursor:
        cursor.executemany(_insertion(CUSTOMERS), kept)
        known = cursor.execute(KNOWN, (_pairs(row[1:3] for row in kept),))
        return {(UUID(hex=m), phone): UUID(hex=customer) for m, phone, customer in known}


def insert(table: Table, rows: Sequence[RowOf]) -> None:
    with _cursor() as cursor:
        cursor.executemany(_insertion(table), _as_kept(table, rows))


def insert_new(table: Table, rows: Sequence[RowOf]) -> set[UUID]:
    statement = f"{_insertion(table)} RETURNING payment_id"
    with _cursor() as cursor:
        new = [cursor.execute(statement, row).fetchone() for row in _as_kept(table, rows)]
    return {UUID(hex=found[0]) for found in new if found}


def end_prompts(phones: Sequence[tuple[UUID, str]], now: datetime) -> None:
    with _cursor() as cursor:
        cursor.executemany(END_PROMPT, [(c.hex, phone, _time(now)) for c, phone in phones])


def write(changes: Changes) -> None:
    with _cursor() as cursor:
        if changes.payments:
            cursor.executemany(_update(PAYMENTS), _as_kept(PAYMENTS, changes.payments))
        for table, rows in changes.inserts:
            if rows:
                cursor.executemany(_insertion(table), _as_kept(table, rows))
        cursor.execute(FREE_PHONES, (_list(changes.phones_freed),))
        cursor.executemany(REVOKE, [(id.hex, _time(at)) for id, at in changes.grants_revoked])
        cursor.executemany(FREE_ORDER, [(m.hex, o, p.hex) for m, o, p in changes.orders_freed])
