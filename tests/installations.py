"""Databases for installations of the ready server: migrated once in a run, then copied."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from milango import sealing
from tests import databases
from tests.demos import MILANGO, plain_environment

_TABLES = "installation"


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """The address of a fresh database with all tables, for as long as the block lasts.

    It is of the kind that this run is about.
    """
    tables = databases.once(_TABLES, _make)
    if not databases.is_postgres():
        yield _sqlite(Path(shutil.copyfile(tables / "db.sqlite3", folder / "db.sqlite3")))
        return
    name = f"work_{uuid4().hex[:12]}"
    databases.as_postgres(f"CREATE DATABASE {name} TEMPLATE {_TABLES}")
    yield _postgres(name)
    databases.as_postgres(f"DROP DATABASE {name} WITH (FORCE)")


def _make(folder: Path) -> None:
    if databases.is_postgres():
        databases.as_postgres(f"CREATE DATABASE {_TABLES}")
        _migrate(_postgres(_TABLES))
    else:
        _migrate(_sqlite(folder / "db.sqlite3"))


def _migrate(url: str) -> None:
    environment = plain_environment(
        MILANGO_PUBLIC_URL="https://pay.example.test",
        MILANGO_KEYS=sealing.generate_key("01"),
        MILANGO_SECRET_KEY="s" * 40,
        DATABASE_URL=url,
    )
    command = [str(MILANGO), "migrate"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def _sqlite(file: Path) -> str:
    return f"sqlite:///{file}"


def _postgres(name: str) -> str:
    return f"postgres://postgres@/{name}?host={databases.chosen()['HOST']}"
