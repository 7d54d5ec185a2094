"""Milango in somebody else's project: under WSGI and ASGI, with ATOMIC_REQUESTS on and off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.databases import FOLDER
from tests.servers import serve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def daraja() -> Iterator[str]:
    from milango.simulator.app import create_app

    with serve(create_app()) as url:
        yield url


def run(*words: str, folder: Path) -> str:
    """What Python says in the host project, whose database is in the folder."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "tests.host.settings",
            FOLDER: str(folder),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def migrate(folder: Path) -> None:
    run("-m", "django", "migrate", folder=folder)


@pytest.mark.slow
@pytest.mark.parametrize("atomic", ["atomic", "plain"])
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_push_and_callback_work(kind: str, atomic: str, daraja: str, tmp_path: Path):
    migrated = databases.once("host", migrate)
    shutil.copytree(migrated, tmp_path, dirs_exist_ok=True)
    said = run("-m", "tests.host.walk", kind, atomic, daraja, folder=tmp_path)
    assert json.loads(said) == {
        "push": 202,
        "callback": [200, {"ResultCode": 0, "ResultDesc": "Accepted"}],
        "unknown": 404,
        "status": "Failed",
        "stored": "Failed",
        "own": ["our shop", "our orders"],
    }


def test_the_host_passes_djangos_checks(tmp_path: Path):
    run("-m", "django", "check", "--fail-level", "ERROR", folder=tmp_path)
