"""The page tells what the tables say."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec

from milango.simulator import magic
from milango.simulator.control import VIEWS
from milango.simulator.settings import MEANINGS, Settings
from milango.simulator.stories import STORIES

PAGE = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text("utf-8")


def _table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without back quotes around whole cells."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][2:]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return [[re.sub(r"^`([^`]*)`$", r"\1", cell) for cell in row] for row in cells]


def test_the_magic_table() -> None:
    assert _table("Magic numbers and amounts") == [list(row) for row in magic.rows()]


def test_the_stories() -> None:
    told = [[story.name, story.summary] for story in STORIES.values()]
    assert _table("Every story") == told


def test_the_settings() -> None:
    defaults = msgspec.to_builtins(Settings())
    told = [[name, json.dumps(defaults[name]), MEANINGS[name]] for name in MEANINGS]
    assert _table("Settings") == told
    assert defaults.keys() == MEANINGS.keys()


def test_the_control_api() -> None:
    told = [row[0] for row in _table("The control API")]
    assert told == [f"{method} {path}" for method, path, _ in VIEWS]
