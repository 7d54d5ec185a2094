"""A small storm: processes and the database die under load, and no shilling is lost or doubled.

The long form is `make storm`, see docs/storm.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import databases
from tests.demos import plain_environment

ROOT = Path(__file__).parents[2]
SEED = int(os.environ.get("MILANGO_TEST_SEED", "20261126"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.django_db,
    pytest.mark.postgres,  # it brings a server of its own; SQLite: storm --database sqlite
]


def storm(folder: Path, *more: str) -> dict[str, Any]:
    file = folder / "storm.json"
    database = "postgres" if databases.is_postgres() else "sqlite"
    words = f"--seed {SEED} --database {database} --folder {folder / 'storm'} --json {file}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "storm", *words.split(), *more],
        cwd=ROOT,
        env=plain_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert file.exists(), done.stderr[-3_000:]
    figures: dict[str, Any] = json.loads(file.read_text())
    assert done.returncode == bool(figures["failures"])
    return figures


def test_after_a_small_storm_the_books_are_equal(tmp_path: Path) -> None:
    size = "--payments 240 --kills 4 --rate 60 --gap 1.2 --reconcile 60 --still 5 --prompt-life 6"
    told = storm(tmp_path, *size.split(), "--time-scale", "0.03")
    assert told["failures"] == [], told
    assert told["kills"] >= 4
    assert told["payments"] >= 240
    assert told["successes_here"] == told["successes_there"] > 80
    assert told["webhooks_due"] > 300
    assert told["doubled"] == told["webhooks_missing"] == 0
    assert told["check_clean"]
