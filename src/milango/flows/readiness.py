"""Whether this installation can do its work: database, tables, and somebody who works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django.db import Error as AnyDatabaseError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from . import heartbeats, hours
from .caches import Remembered

OK: Final = "ok"


def database() -> str:
    """It answers."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


_migrated: Final = Remembered[str](seconds=60, of=())


def migrations() -> str:
    """Its tables are this release's."""
    return _migrated.get("", _look_at_migrations)


def _look_at_migrations() -> str:
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return f"{len(plan)} have not run: milango migrate" if plan else OK


def worker() -> str:
    """Somebody asks about payments in doubt and sends webhooks."""
    at = heartbeats.last()
    if at is None:
        return "none has been heard of: milango worker"
    age = hours.now() - at
    if age > heartbeats.ALIVE:
        return f"the last was heard of {age.total_seconds():.0f} seconds ago: milango worker"
    return OK


CHECKS: Final[dict[str, Callable[[], str]]] = {
    "database": database,
    "migrations": migrations,
    "worker": worker,
}


def look() -> dict[str, str]:
    """Each part with `ok`, or with what is wrong. Never raises for a database that is away."""
    return {name: _look(check) for name, check in CHECKS.items()}


def _look(check: Callable[[], str]) -> str:
    try:
        return check()
    except AnyDatabaseError as error:
        return f"cannot be asked ({type(error).__name__})"
