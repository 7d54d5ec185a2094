"""The pages of the project: their links lead somewhere, and their commands are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from milango.server.cli import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\(([^)\s]+)\)")
SHELL = re.compile(r"```(?:console|sh)?\n(.*?)```", re.DOTALL)


def named(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """What a reader's browser can be sent to, as Git hosts make it of headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", each.lower()).strip().replace(" ", "-") for each in headings}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_to_a_file_leads_to_it(page: Path) -> None:
    dead = []
    for link in LINK.findall(page.read_text("utf-8")):
        if link.startswith(("http:", "https:")):
            continue
        file, _, anchor = link.partition("#")
        there = page.parent / file if file else page
        if not there.exists() or (anchor and anchor not in anchors(there)):
            dead.append(link)
    assert dead == []


def commands(page: Path) -> Iterator[str]:
    """What stands in the page's shell blocks behind `milango`."""
    for block in SHELL.findall(page.read_text("utf-8")):
        for line in block.splitlines():
            found = re.match(r"(?:\$ )?milango (?:--on-demo )?(.+)", line.strip())
            if found:
                yield found[1]


def parsed(line: str) -> click.Command:
    """The command that a line calls. Raises click.UsageError for an option that is not there."""
    words = shlex.split(line, comments=True)
    command: click.Command = cli
    while isinstance(command, click.Group):
        word = words.pop(0)
        found = command.get_command(click.Context(command), word)
        if found is None:
            raise click.UsageError(f"no command {word!r}")
        command = found
    command.make_parser(click.Context(command)).parse_args(words)
    return command


def test_every_command_that_a_page_shows_is_there_with_its_options() -> None:
    lines = {line for page in PAGES for line in commands(page)}
    assert len(lines) > 20
    wrong = []
    for line in sorted(lines):
        try:
            parsed(line)
        except click.UsageError as error:
            wrong.append(f"{line}: {error.format_message()}")
    assert wrong == []
