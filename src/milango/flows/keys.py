"""Replacing the keys of an installation: every stored secret is sealed anew, row by row.

1. Add the new key at the *end* of `MILANGO["KEYS"]` everywhere: every process can read it.
2. Move it to the front and restart: it writes. Then run this, as often as it takes to report no
   failure.
3. Remove the old key.

Callback addresses are signed with sub-keys of these keys, so the old key stays until the prompts
sent under it are settled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from django.apps import apps
from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper

from milango import sealing
from milango.core.errors import SecretUnreadable
from milango.models.fields import EncryptedField, encrypted_fields, reseal

BATCH: Final = 500
"""Rows read at once; each is written by itself."""

_TRIES: Final = 3


class _Table(NamedTuple):
    """The one column of a model that is being worked on, with its names quoted for SQL."""

    field: EncryptedField
    connection: BaseDatabaseWrapper
    table: str
    column: str
    pk: str
    merchant: str


class _Cell(NamedTuple):
    pk: Any
    merchant: Any
    sealed: str


def rotate_keys(progress: Callable[[str], None] | None = None) -> dict[str, int]:
    """Seal every stored secret with the current key.

    Rows may be written meanwhile: each is replaced only while it still holds what was read.
    Gives the number of secrets `rotated`, `skipped` (they had the current key) and `failed`.
    A secret that cannot be opened is left as it is, counted, and named to `progress`.
    """
    tell = progress or (lambda line: None)
    counts = {"rotated": 0, "skipped": 0, "failed": 0}
    for table in _tables():
        for cell in _cells(table):
            try:
                outcome = _rotate(table, cell)
            except SecretUnreadable as error:
                outcome = "failed"
                tell(f"{table.field.label} {cell.pk}: {error}")
            counts[outcome] += 1
        tell(f"{table.field.label}: done")
    return counts


def _rotate(table: _Table, cell: _Cell) -> str:
    for _ in range(_TRIES):
        if sealing.key_id(cell.sealed) == sealing.current_key_id():
            return "skipped"
        if _swap(table, cell, reseal(table.field, cell.sealed, cell.pk, cell.merchant)):
            return "rotated"
        found = _read_again(table, cell.pk)
        if found is None:
            return "skipped"
        cell = found
    raise SecretUnreadable("It kept changing while it was being sealed anew: run this again.")


def _tables() -> Iterator[_Table]:
    for model in apps.get_models():
        if model._meta.proxy or not model._meta.managed:
            continue
        for field in encrypted_fields(model):
            yield _table(model, field)


def _table(model: type[models.Model], field: EncryptedField) -> _Table:
    connection = connections[router.db_for_write(model)]
    quote = connection.ops.quote_name
    columns = {f.attname: quote(str(f.column)) for f in model._meta.local_concrete_fields}
    return _Table(
        field=field,
        connection=connection,
        table=quote(model._meta.db_table),
        column=columns[field.attname],
        pk=columns[model._meta.pk.attname],
        merchant=columns.get("merchant_id", "NULL"),
    )


def _cells(table: _Table) -> Iterator[_Cell]:
    """All secrets of the column by primary key, a batch at a time; none is skipped or repeated."""
    last: list[Any] = []
    while batch := _select(table, f"{table.pk} > %s" if last else "1 = 1", last):
        yield from batch
        last = [batch[-1].pk]


def _select(table: _Table, where: str, params: list[Any]) -> list[_Cell]:
    # Raw SQL, because through the field a secret that cannot be opened could not be seen.
    # Every name in it was quoted in _table, every value is a parameter.
    sql = (
        f"SELECT {table.pk}, {table.merchant}, {table.column} FROM {table.table} "  # noqa: S608
        f"WHERE {table.column} <> '' AND {where} ORDER BY {table.pk} LIMIT {BATCH}"
    )
    with table.connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [_Cell(*row) for row in cursor.fetchall()]


def _read_again(table: _Table, pk: Any) -> _Cell | None:
    return next(iter(_select(table, f"{table.pk} = %s", [pk])), None)


def _swap(table: _Table, cell: _Cell, renewed: str) -> bool:
    sql = (
        f"UPDATE {table.table} SET {table.column} = %s "  # noqa: S608 - as above
        f"WHERE {table.pk} = %s AND {table.column} = %s"
    )
    with table.connection.cursor() as cursor:
        cursor.execute(sql, [renewed, cell.pk, cell.sealed])
        return bool(cursor.rowcount == 1)
