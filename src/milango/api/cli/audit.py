"""`milango audit`: who did what, and whether anybody has changed the trail."""

from __future__ import annotations

import json as encoder
import re
from typing import TYPE_CHECKING, Any, Final

import click

from .lazy import with_django

if TYPE_CHECKING:
    from milango.models import AuditEntry


WIDE: Final = 170
"""Columns of the table at least, so that an id stands in one line."""


@click.group()
def audit() -> None:
    """Read and verify the trail of who did what."""


END: Final = re.compile(r"\d{1,18}:[0-9a-f]{64}")


def _end(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """A slip of the clipboard must not look like a trail that somebody has changed."""
    if value and not END.fullmatch(value.strip()):
        raise click.BadParameter(
            "give the whole end as verify printed it: a number, a colon, 64 hex."
        )
    return value.strip()


@audit.command()
@click.option(
    "--expect",
    default="",
    metavar="NUMBER:MAC",
    callback=_end,
    help="The end that was told earlier.",
)
@with_django
def verify(expect: str) -> None:
    """Walk the whole trail; exit code 1 if it is not as it was written.

    Tells the first entry that was changed, moved or removed, and whether entries at the end were
    cut off. Keep the end that it prints outside this machine, and give it back as --expect: then
    not even a restored older database can pass.
    """
    from rich.console import Console
    from rich.progress import Progress

    from milango.flows import audit as trail

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Verifying", total=trail.count())
        found = trail.verify(lambda number: progress.update(task, completed=number), expect)
    click.echo(f"{found.entries} entries are as they were written. The end: {found.end}")
    if found.broken:
        click.echo(str(found.broken), err=True)
        raise click.exceptions.Exit(1)


@audit.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000))
@click.option("--action", default="", help="Only these, such as key.created.")
@click.option("--before", default=0, metavar="NUMBER", help="Only older ones than this entry.")
@click.option("--json", "as_json", is_flag=True, help="One object a line.")
@with_django
def show(limit: int, action: str, before: int, as_json: bool) -> None:
    """List entries, newest first."""
    from milango.models import AuditEntry

    rows = AuditEntry.objects.select_related("merchant").order_by("-number")
    if action:
        rows = rows.filter(action=action)
    if before:
        rows = rows.filter(number__lt=before)
    entries = [_document(entry) for entry in rows[:limit]]
    if as_json:
        for entry in entries:
            click.echo(encoder.dumps(entry))
    else:
        _print(entries)


def _document(entry: AuditEntry) -> dict[str, Any]:
    return {
        "number": entry.number,
        "at": entry.at.isoformat(),
        "actor": entry.actor,
        "action": entry.action,
        "subject": entry.subject,
        "merchant": entry.merchant.name if entry.merchant else None,
        "detail": entry.detail,
    }


def _print(entries: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    # Ids are copied and searched for: they are never cut off.
    table = Table("No.", "When (UTC)", "Who", "What", "To what", "Merchant", "Detail", box=None)
    for column in table.columns:
        column.overflow = "fold"
    for entry in entries:
        detail = ", ".join(f"{name}: {value}" for name, value in entry["detail"].items())
        words = (entry["number"], entry["at"][:19], entry["actor"], entry["action"])
        more = (entry["subject"], entry["merchant"] or "", detail)
        table.add_row(*(_plain(word) for word in (*words, *more)))
    console = Console()
    console.width = max(console.width, WIDE)
    console.print(table, markup=False)


def _plain(word: object) -> Any:
    """Names come from outside: no colour codes, control or direction characters in a terminal."""
    from rich.text import Text

    return Text("".join(each if each.isprintable() else "�" for each in str(word)))
