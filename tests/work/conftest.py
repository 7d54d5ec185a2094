"""An installation of the ready server, with its own database, and processes of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from milango import sealing
from tests.demos import MILANGO, plain_environment
from tests.installations import database

ROOT = Path(__file__).parents[2]


class Installed:
    """The ready server on a fresh database of the kind that this run is about."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[str]] = []
        self.environment = plain_environment(
            DJANGO_SETTINGS_MODULE="tests.work.settings",
            PYTHONPATH=str(ROOT),
            MILANGO_PUBLIC_URL="https://pay.example.test",
            MILANGO_KEYS=sealing.generate_key("01"),
            MILANGO_SECRET_KEY="s" * 40,
            DATABASE_URL=url,
            TEST_PUBLIC_URL="http://127.0.0.1:8100",
            TEST_DARAJA_URL="http://127.0.0.1:8200",
        )

    def start(self, *words: str, within: tuple[str, ...] = (), **more: str) -> Any:
        """Start `milango …`; `within` is put before it."""
        log = self.folder / f"{len(self.processes)}-{words[0]}.log"
        with log.open("w") as to:
            process = subprocess.Popen(
                [*within, str(MILANGO), *words],
                stdout=to,
                stderr=to,
                text=True,
                env=self.environment | more,
                cwd=ROOT,
            )
        self.processes.append(process)
        return process

    def run(self, code: str) -> Any:
        """What the code prints, as JSON; Django is set up."""
        code = f"import json, django\ndjango.setup()\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=ROOT,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def said(self) -> str:
        """What all processes have written."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text()}" for log in logs)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


def until(is_so: Any, seconds: float, what: str) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    with database(tmp_path) as url:
        installation = Installed(tmp_path, url)
        yield installation
        installation.end()
