"""Settling on SQLite: one writer at a time, lists passed as JSON, many rows to a statement.

Each step of a statement hands the interpreter over, so a statement for each row would wait for the
event loop as often as there are rows.

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
    Payer,
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


@lru_cache(maxsize=1_024)
def _time(value: datetime) -> str:
    """One moment stands in a dozen columns of what follows from it."""
    return str(value.astimezone(UTC).replace(tzinfo=None))


@lru_cache(maxsize=1_024)
def _uuid(value: str) -> UUID:
    """Merchants and short codes come again and again."""
    return UUID(hex=value)


def _hex(value: Any) -> str:
    """An id as it is kept; a text is taken as it is."""
    if isinstance(value, UUID):
        return value.hex
    return value.hex() if isinstance(value, bytes) else value


CENT: Final = Decimal("0.01")

WRITERS: Final[dict[str, Callable[[Any], Any]]] = {
    "uuid": _hex,
    "numeric": str,
    "timestamptz": _time,
}
READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "uuid": _uuid,
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
    return json.dumps([_hex(value) for value in values])


def _pairs(values: Iterable[tuple[Any, Any]]) -> str:
    return json.dumps([[_hex(value) for value in pair] for pair in values])


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


def _payments(rows: Sequence[RowOf]) -> list[PaymentRow]:
    """A column at a time: most are kept as they are read."""
    columns = zip(_READ, zip(*rows, strict=True), strict=True)
    read = [_read(reader, values) for reader, values in columns] if rows else []
    return [PaymentRow(*row) for row in zip(*read, strict=True)]


def _read(reader: Callable[[Any], Any] | None, values: Iterable[Any]) -> Iterable[Any]:
    if reader is None:
        return values
    return [None if value is None else reader(value) for value in values]


# --- statements -----------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def _insertion(table: Table, rows: int, returning: str = "") -> str:
    names = ", ".join(table.columns)
    values = _marks(rows, len(table.columns))
    return f"INSERT INTO {table.name} ({names}) VALUES {values} {table.conflict} {returning}"


@lru_cache(maxsize=256)
def _update(table: Table, rows: int) -> str:
    changes = [f"{name} = new.column{n}" for n, name in enumerate(table.columns[1:], start=2)]
    new = f"(VALUES {_marks(rows, len(table.columns))}) AS new"
    return f"UPDATE {table.name} SET {', '.join(changes)} FROM {new} WHERE id = new.column1"


def _marks(rows: int, columns: int) -> str:
    one = "(" + ", ".join("?" * columns) + ")"
    return ", ".join([one] * rows)


MOST_VALUES: Final = 30_000
"""Parameters of one statement; SQLite takes 32,766."""


def _do(
    cursor: Any, statement: Any, table: Table, rows: Sequence[RowOf], *more: str
) -> list[RowOf]:
    """Run a statement over all rows, as many at a time as it can take; gives what it returns."""
    found: list[RowOf] = []
    size = MOST_VALUES // len(table.columns)
    kept = list(_as_kept(table, rows)) if rows else []
    for start in range(0, len(kept), size):
        part = kept[start : start + size]
        values = [value for row in part for value in row]
        found += cursor.execute(statement(table, len(part), *more), values).fetchall()
    return found


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
OWNER: Final = "environment, short_code, code, payment_id"
OWNERS: Final = f"SELECT {OWNER} FROM milango_receipt WHERE code IN {ONES}"
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
CUSTOMER: Final = "merchant_id, phone, id"
KNOWN: Final = f"SELECT {CUSTOMER} FROM milango_customer WHERE (merchant_id, phone) IN {TWOS}"
FREE_PHONES: Final = f"DELETE FROM milango_openprompt WHERE payment_id IN {ONES}"
END_PROMPT: Final = (
    # Not deleted: by its prompt the reconciler finds a payment that nobody has answered for.
    "UPDATE milango_openprompt SET phone = NULL "
    "WHERE credential_id = ? AND phone = ? AND until <= ?"
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
        return _payments(cursor.execute(LOCK, (_list(payment_ids),)).fetchall())


def receipts(codes: Iterable[str]) -> dict[ReceiptKey, UUID | None]:
    with _cursor() as cursor:
        return _owners(cursor, codes)


def _owners(cursor: Any, codes: Iterable[str]) -> dict[ReceiptKey, UUID | None]:
    return _by_key(cursor.execute(OWNERS, (_list(codes),)))


def _by_key(rows: Iterable[RowOf]) -> dict[ReceiptKey, UUID | None]:
    return {ReceiptKey(*key): UUID(hex=owner) if owner else None for *key, owner in rows}


def used_checkout_ids(named: Iterable[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    pairs = _pairs((checkout_id, credential) for credential, checkout_id in named)
    with _cursor() as cursor:
        return {(UUID(hex=credential), id) for credential, id in cursor.execute(USED, (pairs,))}


def claim_receipts(rows: Sequence[RowOf]) -> dict[ReceiptKey, UUID | None]:
    with _cursor() as cursor:
        new = _do(cursor, _insertion, RECEIPTS, rows, f"RETURNING {OWNER}")
        owners = _by_key(new)
        if len(owners) < len(rows):
            kept = _as_kept(RECEIPTS, rows)
            cursor.executemany(TAKE_OVER, [row[:4] for row in kept])
            owners |= _owners(cursor, [row[2] for row in rows])
    return owners


def claim_orders(orders: Sequence[tuple[UUID, str, UUID]]) -> dict[tuple[UUID, str], UUID]:
    with _cursor() as cursor:
        _do(cursor, _insertion, ORDERS, orders)
        winners = cursor.execute(WINNERS, (_pairs(row[:2] for row in orders),))
        return {(UUID(hex=m), order): UUID(hex=payment) for m, order, payment in winners}


def customers(wanted: Sequence[RowOf]) -> dict[Payer, UUID]:
    with _cursor() as cursor:
        found = _do(cursor, _insertion, CUSTOMERS, wanted, f"RETURNING {CUSTOMER}")
        if len(found) < len(wanted):
            found += cursor.execute(KNOWN, (_pairs(row[1:3] for row in wanted),)).fetchall()
    return {(int(m, 16), phone): UUID(hex=customer) for m, phone, customer in found}


def insert(table: Table, rows: Sequence[RowOf]) -> None:
    with _cursor() as cursor:
        _do(cursor, _insertion, table, rows)


def insert_new(table: Table, rows: Sequence[RowOf]) -> set[UUID]:
    with _cursor() as cursor:
        new = _do(cursor, _insertion, table, rows, "RETURNING payment_id")
    return {UUID(hex=payment) for (payment,) in new}


def end_prompts(phones: Sequence[tuple[UUID, str]], now: datetime) -> None:
    with _cursor() as cursor:
        cursor.executemany(END_PROMPT, [(c.hex, phone, _time(now)) for c, phone in phones])


def write(changes: Changes) -> None:
    with _cursor() as cursor:
        _do(cursor, _update, PAYMENTS, changes.payments)
        for table, rows in changes.inserts:
            _do(cursor, _insertion, table, rows)
        if changes.phones_freed:
            cursor.execute(FREE_PHONES, (_list(changes.phones_freed),))
        cursor.executemany(REVOKE, [(id.hex, _time(at)) for id, at in changes.grants_revoked])
        cursor.executemany(FREE_ORDER, [(m.hex, o, p.hex) for m, o, p in changes.orders_freed])
