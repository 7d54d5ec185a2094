"""What stands in a column, past everything that Django does to it."""

from __future__ import annotations

from typing import Any

from django.db import connection, models


def read(row: models.Model, name: str) -> Any:
    with connection.cursor() as cursor:
        table, pk = row._meta.db_table, row._meta.pk.column
        sql = f'SELECT "{name}" FROM "{table}" WHERE "{pk}" = %s'  # noqa: S608 - our names
        cursor.execute(sql, [_pk(row)])
        return cursor.fetchone()[0]


def write(row: models.Model, name: str, value: Any) -> None:
    with connection.cursor() as cursor:
        table, pk = row._meta.db_table, row._meta.pk.column
        sql = f'UPDATE "{table}" SET "{name}" = %s WHERE "{pk}" = %s'  # noqa: S608 - our names
        cursor.execute(sql, [value, _pk(row)])
        assert cursor.rowcount == 1


def _pk(row: models.Model) -> Any:
    return row._meta.pk.get_db_prep_value(row.pk, connection)
