"""The command line as a person types it, on the tests' database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from milango.api.cli import new_group

Milango = Callable[..., Result]


@pytest.fixture
def milango() -> Milango:
    """`milango(*words, stdin=..., env=...)`: run a command."""

    def run(*words: str, stdin: str = "", env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(new_group(), words, input=stdin, env=env)

    return run
