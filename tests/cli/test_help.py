"""What the command line is before anything is configured: quick, and readable."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.demos import MILANGO, plain_environment

LOADED = """
import sys
from milango.server.cli import cli
try:
    cli({words!r}, prog_name="milango")
except SystemExit as exit:
    assert not exit.code, exit.code
print(sorted({{name.partition(".")[0] for name in sys.modules}}), file=sys.stderr)
"""


def loaded_by(*words: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", LOADED.format(words=list(words))],
        capture_output=True,
        text=True,
        env=plain_environment(),
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("words", [["--help"], ["merchants", "--help"], ["demo", "--help"]])
def test_help_loads_no_django_and_needs_no_settings(words: list[str]) -> None:
    said, modules = loaded_by(*words)
    assert said.startswith("Usage: milango")
    for heavy in ("django", "rich", "aiohttp", "uvicorn", "msgspec", "cryptography"):
        assert f"'{heavy}'" not in modules


def test_every_command_has_its_help() -> None:
    from milango.server.cli import cli

    for name in cli.table:
        done = subprocess.run(
            [MILANGO, name, "--help"], capture_output=True, text=True, env=plain_environment()
        )
        assert (done.returncode, done.stderr) == (0, ""), name
        assert name == "simulate" or "Usage: milango" in done.stdout


def test_what_is_missing_is_said_at_once_and_without_a_traceback() -> None:
    done = subprocess.run(
        [MILANGO, "merchants", "list"], capture_output=True, text=True, env=plain_environment()
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    for name in ("MILANGO_PUBLIC_URL", "MILANGO_KEYS", "MILANGO_SECRET_KEY", "DATABASE_URL"):
        assert name in done.stderr
