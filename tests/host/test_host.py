"""Milango in somebody else's project: under WSGI and ASGI, with ATOMIC_REQUESTS on and off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import FOLDER
from tests.servers import serve

ROOT = Path(__file__).parents[2]


@pytest.fixture
def daraja() -> Iterator[str]:
    from milango.simulator.app import create_app

    with serve(create_app()) as url:
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("atomic", ["atomic", "plain"])
@pytest.mark.parametrize("kind", ["wsgi", "asgi"])
def test_push_and_callback_work(kind: str, atomic: str, daraja: str, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "tests.host.walk", kind, atomic, daraja],
        cwd=ROOT,
        env=os.environ | {FOLDER: str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "push": 202,
        "callback": [200, {"ResultCode": 0, "ResultDesc": "Accepted"}],
        "unknown": 404,
        "status": "Failed",
        "stored": "Failed",
        "own": ["our shop", "our orders"],
    }


def test_the_host_passes_djangos_checks(tmp_path: Path):
    check = "import django; django.setup(); from django.core.management import call_command as c; "
    done = subprocess.run(
        [sys.executable, "-c", check + "c('check', fail_level='ERROR')"],
        cwd=ROOT,
        env=os.environ
        | {
            "DJANGO_SETTINGS_MODULE": "tests.host.settings",
            FOLDER: str(tmp_path),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
