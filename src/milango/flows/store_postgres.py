"""Settling on PostgreSQL: a few statements, each over a whole batch.

Parameters are whole columns, as arrays: in binary where PostgreSQL reads text slowly (ids, times,
bytes), else as text (`{a,b}`), which costs a fraction of what adapting them value by value would.
Results come back in binary through psycopg's own loaders, not Django's, which call Python for every
time and every JSON. Statements are prepared once for a connection, so a pooler in front of
PostgreSQL must pool sessions, or know prepared statements.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final
from uuid import UUID
from weakref import WeakKeyDictionary

from django.db import DEFAULT_DB_ALIAS, connections
from psycopg import postgres
from psycopg.adapt import Transformer
from psycopg.errors import OperationalError, error_from_result
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

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

CHANNEL: Final = "milango_payments"
"""Where the ids of payments with news are called out, separated by commas, in hex."""

IDS_A_CALL: Final = 200
"""A notification carries less than 8,000 bytes."""


Parameter = tuple[bytes, Format]

_prepared: WeakKeyDictionary[Any, dict[str, bytes]] = WeakKeyDictionary()
"""The statements that each connection knows, by their text."""


def _run(statement: str, *parameters: Parameter, first: str = "") -> list[RowOf]:
    """Run one prepared statement on Django's connection, in its transaction; gives its rows."""
    result = _result(statement, *parameters, first=first)
    if not result.nfields:
        return []
    rows = Transformer()
    rows.set_pgresult(result)
    return rows.load_rows(0, result.ntuples, tuple)


def _count(statement: str, *parameters: Parameter) -> int:
    """Run a statement that gives no rows; says how many it has touched."""
    return _result(statement, *parameters).command_tuples or 0


def _result(statement: str, *parameters: Parameter, first: str = "") -> PGresult:
    """Run one prepared statement.

    `first` is what the transaction needs to be told before. Straight to libpq: a cursor would
    cost several times what the statement itself does. Errors are Django's, as for every other
    query.
    """
    django = connections[DEFAULT_DB_ALIAS]  # looked up once: `connection` does so at each mention
    django.ensure_connection()
    raw: Any = django.connection
    with django.wrap_database_errors:
        server = raw.pgconn
        if django.in_atomic_block and server.transaction_status == TransactionStatus.IDLE:
            first = f"BEGIN; {first}"
        if first:
            _checked(server, server.exec_(first.encode()))
        known = _prepared.setdefault(raw, {})
        name = known.get(statement)
        if name is None:
            name = f"milango_{len(known)}".encode()
            _checked(server, server.prepare(name, _numbered(statement).encode()))
            known[statement] = name
        values, formats = zip(*parameters, strict=True)
        return _checked(server, server.exec_prepared(name, values, formats, Format.BINARY))


def _checked(server: PGconn, result: PGresult) -> PGresult:
    if result.status in {ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK}:
        return result
    if server.status != ConnStatus.OK:
        # A result of a broken connection has no code: it would read as the statement's own fault.
        raise OperationalError("the connection to PostgreSQL was lost")
    raise error_from_result(result)


def _numbered(statement: str) -> str:
    """`%s` as PostgreSQL itself writes parameters: $1, $2, ..."""
    first, *others = statement.split("%s")
    return first + "".join(f"${n}{part}" for n, part in enumerate(others, start=1))


# --- columns as PostgreSQL's arrays ---------------------------------------------------------
#
# A whole column at a time, in as few calls of Python as there are.


def _words(values: Sequence[Any]) -> str:
    """Numbers and truth values: nothing in them needs quotes."""
    return ",".join(map(str, values)).replace("None", "NULL")


def _texts(values: Sequence[Any]) -> str:
    if None in values:
        return ",".join(["NULL" if value is None else _texts([value]) for value in values])
    # NUL stands in no text that PostgreSQL takes, so it can stand for the border between two.
    joined = "\0".join(values)
    if joined.count("\0") >= len(values):
        # It would be a border more, and every text behind it another row's.
        raise ValueError("a text holds NUL")
    escaped = joined.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + escaped.replace("\0", '","') + '"'


def _uuid(value: Any) -> bytes:
    if isinstance(value, UUID):
        return SIXTEEN + value.int.to_bytes(16)
    return SIXTEEN + (value if isinstance(value, bytes) else bytes.fromhex(value))


SIXTEEN: Final = (16).to_bytes(4)
EIGHT: Final = (8).to_bytes(4)
NULL: Final = (-1).to_bytes(4, signed=True)
YEAR_2000: Final = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


@lru_cache(maxsize=1_024)
def _time(value: datetime) -> bytes:
    """One moment stands in a dozen columns of what follows from it."""
    return EIGHT + ((value - YEAR_2000) // MICROSECOND).to_bytes(8, signed=True)


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


AS_TEXT: Final[dict[str, Callable[[Sequence[Any]], str]]] = {
    "text": _texts,
    "jsonb": _texts,
    "int": _words,
    "numeric": _words,
    "bool": _words,
}
AS_BYTES: Final[dict[str, Callable[[Any], bytes]]] = {
    "uuid": _uuid,
    "timestamptz": _time,
    "bytea": _bytes,
}
"""How one value is written, its length first. PostgreSQL takes five times as long to read text."""


def _array(kind: str, values: Sequence[Any]) -> Parameter:
    if kind in AS_BYTES:
        return _binary(kind, values), Format.BINARY
    written = AS_TEXT[kind](values) if values else ""
    return f"{{{written}}}".encode(), Format.TEXT


def _binary(kind: str, values: Sequence[Any]) -> bytes:
    """The array as PostgreSQL sends it: what it is and how long, then the values."""
    write = AS_BYTES[kind]
    written = [NULL if value is None else write(value) for value in values]
    return _head(kind, len(values)) + b"".join(written)


@lru_cache
def _head(kind: str, length: int) -> bytes:
    oid = postgres.types[kind].oid
    if not length:
        return struct.pack("!3i", 0, 0, oid)
    dimensions, may_hold_nulls, first = 1, 1, 1
    return struct.pack("!5i", dimensions, may_hold_nulls, oid, length, first)


def _arrays(table: Table, rows: Sequence[RowOf]) -> list[Parameter]:
    return [
        _array(kind, values)
        for kind, values in zip(table.types, zip(*rows, strict=True), strict=True)
    ]


def _text(value: str) -> Parameter:
    return value.encode(), Format.TEXT


# --- statements -----------------------------------------------------------------------------


def _unnest(types: Sequence[str]) -> str:
    """The rows of some columns. Not `FROM unnest(...)`: that keeps every column once more."""
    return "SELECT " + ", ".join(f"unnest(%s::{kind}[])" for kind in types)


@lru_cache
def _insertion(table: Table, returning: str = "") -> str:
    return (
        f"INSERT INTO {table.name} ({', '.join(table.columns)}) "
        f"{_unnest(table.types)} {table.conflict} {returning}"
    )


@lru_cache
def _update(table: Table) -> str:
    changes = ", ".join(f"{name} = new.{name}" for name in table.columns[1:])
    new = f"({_unnest(table.types)}) AS new({', '.join(table.columns)})"
    return f"UPDATE {table.name} AS old SET {changes} FROM {new} WHERE old.id = new.id"


ONE_PLAN: Final = "SET LOCAL enable_seqscan = off; SET LOCAL plan_cache_mode = force_generic_plan"
"""Each statement is planned once for a connection. Left to itself PostgreSQL plans those of small
batches anew every time, which costs more than running them; and a plan made while a table was
small would read it whole for as long as the connection lives."""

SUBSCRIBED: Final = (
    "(SELECT json_agg(json_build_array(replace(e.id::text, '-', ''), e.event_types)) "
    "FROM milango_webhookendpoint e WHERE e.merchant_id = p.merchant_id AND e.active)"
)
LOCK: Final = (
    f"SELECT {', '.join(f'p.{name}' for name in OWN)}, c.confirm_above, m.tariff, {SUBSCRIBED} "
    "FROM milango_payment p "
    "JOIN milango_mpesacredential c ON c.id = p.credential_id "
    "JOIN milango_merchant m ON m.id = p.merchant_id "
    "WHERE p.id = ANY(%s::uuid[]) ORDER BY p.id FOR NO KEY UPDATE OF p"
)
OWNER: Final = "environment, short_code, code, payment_id"
OWNERS: Final = f"SELECT {OWNER} FROM milango_receipt WHERE code = ANY(%s::text[])"
TAKE_OVER: Final = (
    # A C2B line may have booked the receipt before its payment was known.
    "UPDATE milango_receipt r SET payment_id = new.payment_id "
    f"FROM ({_unnest(('text', 'text', 'text', 'uuid'))}) "
    "AS new(environment, short_code, code, payment_id) "
    "WHERE r.code = new.code AND r.short_code = new.short_code "
    "AND r.environment = new.environment AND r.payment_id IS NULL"
)
USED: Final = (
    "SELECT credential_id, checkout_request_id FROM milango_payment "
    f"WHERE (checkout_request_id, credential_id) IN ({_unnest(('text', 'uuid'))})"
)
WINNERS: Final = (
    "SELECT merchant_id, order_id, payment_id FROM milango_settledorder "
    f"WHERE (merchant_id, order_id) IN ({_unnest(('uuid', 'text'))})"
)
KNOWN: Final = (
    "SELECT merchant_id, phone, id FROM milango_customer "
    f"WHERE (merchant_id, phone) IN ({_unnest(('uuid', 'text'))})"
)
FREE_PHONES: Final = "DELETE FROM milango_openprompt WHERE payment_id = ANY(%s::uuid[])"
END_PROMPTS: Final = (
    # Not deleted: by its prompt the reconciler finds a payment that nobody has answered for.
    "UPDATE milango_openprompt SET phone = NULL WHERE (credential_id, phone) IN "
    f"({_unnest(('uuid', 'text'))}) AND until <= %s"
)
REVOKE: Final = (
    "UPDATE milango_accessgrant g SET revoked_at = new.at "
    f"FROM ({_unnest(('uuid', 'timestamptz'))}) AS new(payment_id, at) "
    "WHERE g.payment_id = new.payment_id AND g.revoked_at IS NULL"
)
FREE_ORDERS: Final = (
    "DELETE FROM milango_settledorder WHERE (merchant_id, order_id, payment_id) IN "
    f"({_unnest(('uuid', 'text', 'uuid'))})"
)


# --- verbs ----------------------------------------------------------------------------------


def open(payment_ids: Sequence[UUID]) -> list[PaymentRow]:
    found = _run(LOCK, _array("uuid", payment_ids), first=ONE_PLAN)
    return [PaymentRow(*row) for row in found]


def receipts(codes: Iterable[str]) -> dict[ReceiptKey, UUID | None]:
    return _owners(_run(OWNERS, _array("text", list(codes))))


def _owners(rows: Iterable[RowOf]) -> dict[ReceiptKey, UUID | None]:
    return {ReceiptKey(*key): owner for *key, owner in rows}


def used_checkout_ids(named: Iterable[tuple[UUID, str]]) -> set[tuple[UUID, str]]:
    credentials, ids = zip(*named, strict=True)
    used = _run(USED, _array("text", ids), _array("uuid", credentials))
    return {(credential, checkout_id) for credential, checkout_id in used}


def claim_receipts(rows: Sequence[RowOf]) -> dict[ReceiptKey, UUID | None]:
    arrays = _arrays(RECEIPTS, rows)
    if _count(_insertion(RECEIPTS), *arrays) == len(rows):
        return {ReceiptKey(*row[:3]): row[3] for row in rows}
    _run(TAKE_OVER, *arrays[:4])
    return _owners(_run(OWNERS, arrays[2]))


def claim_orders(orders: Sequence[tuple[UUID, str, UUID]]) -> dict[tuple[UUID, str], UUID]:
    arrays = _arrays(ORDERS, orders)
    _run(_insertion(ORDERS), *arrays)
    winners = _run(WINNERS, *arrays[:2])
    return {(merchant, order): payment for merchant, order, payment in winners}


def customers(wanted: Sequence[RowOf]) -> dict[Payer, UUID]:
    arrays = _arrays(CUSTOMERS, wanted)
    if _count(_insertion(CUSTOMERS), *arrays) == len(wanted):
        return {(merchant.int, phone): UUID(bytes=new) for new, merchant, phone, _ in wanted}
    found = _run(KNOWN, *arrays[1:3])
    return {(merchant.int, phone): customer for merchant, phone, customer in found}


def insert(table: Table, rows: Sequence[RowOf]) -> None:
    _run(_insertion(table), *_arrays(table, rows))


def insert_new(table: Table, rows: Sequence[RowOf]) -> set[UUID]:
    new = _run(_insertion(table, "RETURNING payment_id"), *_arrays(table, rows))
    return {payment for (payment,) in new}


def end_prompts(phones: Sequence[tuple[UUID, str]], now: datetime) -> None:
    credentials, numbers = zip(*phones, strict=True)
    _run(END_PROMPTS, _array("uuid", credentials), _array("text", numbers), _text(now.isoformat()))


def write(changes: Changes) -> None:
    """One statement for all of it: each costs the server and us as much as several rows do."""
    parts: list[str] = []
    parameters: list[Parameter] = []

    def add(statement: str, *arrays: Parameter) -> None:
        parts.append(statement)
        parameters.extend(arrays)

    if changes.payments:
        add(_update(PAYMENTS), *_arrays(PAYMENTS, changes.payments))
    for table, rows in changes.inserts:
        if rows:
            add(_insertion(table), *_arrays(table, rows))
    if changes.phones_freed:
        add(FREE_PHONES, _array("uuid", changes.phones_freed))
    if parts:
        _run(_as_one(tuple(parts)), *parameters, _text(CHANNEL), _calls(changes.rang))
    if changes.grants_revoked:
        # Afterwards: the parts of one statement do not see each other's rows.
        ids, times = zip(*changes.grants_revoked, strict=True)
        _run(REVOKE, _array("uuid", ids), _array("timestamptz", times))
        _run(FREE_ORDERS, *_arrays(ORDERS, changes.orders_freed))


@lru_cache(maxsize=256)
def _as_one(statements: tuple[str, ...]) -> str:
    """What is done to different tables, as one statement; parameters are numbered through."""
    named = ", ".join(f"part_{n} AS ({part})" for n, part in enumerate(statements))
    return f"WITH {named} SELECT pg_notify(%s, call) FROM unnest(%s::text[]) call"


def _calls(rang: list[UUID]) -> Parameter:
    ids = [each.hex for each in rang]
    return _array(
        "text", [",".join(ids[at : at + IDS_A_CALL]) for at in range(0, len(ids), IDS_A_CALL)]
    )
