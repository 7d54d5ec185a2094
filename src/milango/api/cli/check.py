"""`milango check`: the set-up and the books, for a timer, for monitoring, or before a release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

import click

from .lazy import explain, with_django
from .times import SINCE, When, instant

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

    from milango.flows.check import Report

WRONG: Final = 1
COULD_NOT: Final = 2


class CouldNotCheck(click.ClickException):
    """Nothing is known: neither that it is right nor that it is wrong."""

    exit_code = COULD_NOT


@click.command()
@click.option("--setup", "only", flag_value="setup", help="Only the set-up: settings and tables.")
@click.option("--money", "only", flag_value="money", help="Only the books.")
@click.option("--since", type=SINCE, help="Only what began since then: 7d, 12h or 2026-03-14.")
@click.option("--resume", is_flag=True, help="Go on where the last look was cut off.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document, for machines.")
@with_django
def check(only: str | None, since: When | None, resume: bool, as_json: bool) -> None:
    """Prove that the set-up and the books are right. Changes nothing.

    Walks through all payments and what belongs to them, and names what breaks an invariant, what
    it means for the money and what to do next. May run at any time: a live system gives no false
    alarm. Exit codes: 0 it is right, 1 something is wrong, 2 it could not be checked.
    """
    with _or_could_not():
        setup = _look_at_setup() if only != "money" else {}
        if setup.get("tables") or setup.get("settings"):
            report = None
        else:
            start = instant(since) if since is not None else None
            report = _look_at_books(start, resume, as_json) if only != "setup" else None
        tables = not setup.get("tables")
        notes = list(_notes()) if only != "money" and tables else []
    if as_json:
        click.echo(json.dumps(_document(setup, report, notes), indent=2))
    else:
        _print_setup(setup, notes)
        if report:
            _print_books(report)
    if setup.get("tables"):
        raise click.exceptions.Exit(COULD_NOT)
    if any(setup.values()) or (report and not report.is_clean):
        raise click.exceptions.Exit(WRONG)


@contextmanager
def _or_could_not() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        sentence = explain(error)
        if sentence is None:
            raise
        raise CouldNotCheck(f"The books could not be checked. {sentence}") from None


# --- the set-up -----------------------------------------------------------------------------


def _look_at_setup() -> dict[str, list[str]]:
    """Complaints by what was looked at."""
    found: dict[str, list[str]] = {}
    for name, look in SETUP.items():
        found[name] = list(look())
        if name == "tables" and found[name]:
            break  # without its tables nothing else can be read
    return found


def _settings() -> Iterator[str]:
    from django.core import checks

    for message in checks.run_checks():
        if message.is_serious() and not message.is_silenced():
            yield _worded(message)


def _notes() -> Iterator[str]:
    """What is worth knowing and is not wrong."""
    from django.core import checks

    from milango.flows.sources import gaps

    for message in checks.run_checks():
        if not message.is_serious() and not message.is_silenced():
            yield _worded(message)
    yield from gaps()


def _worded(message: CheckMessage) -> str:
    hint = f" {message.hint}" if message.hint else ""
    return f"{message.msg}{hint} ({message.id})"


def _tables() -> Iterator[str]:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        yield f"{len(plan)} migrations have not run. Run: milango migrate"


def _installation() -> Iterator[str]:
    from milango.core.errors import Declined
    from milango.flows import installations

    try:
        installations.require_adopted()
    except Declined as error:
        yield str(error)


def _statements() -> Iterator[str]:
    from milango.models import StatementImport

    flagged = StatementImport.objects.filter(resolved_at=None).exclude(owner="")
    for record in flagged.select_related("merchant", "credential").order_by("imported_at")[:50]:
        yield (
            f"{record.public_id} of {record.merchant}, short code {record.credential.short_code}: "
            f"{record.problem}, row {record.problem_row}, imported {record.imported_at:%Y-%m-%d} "
            f"by {record.uploader}; it waits for the {record.owner}. It proves "
            "nothing and has settled nothing: somebody may have edited it. Download it "
            "again and import that; then write down in the admin, under statement imports, "
            "what it was."
        )


def _audit() -> Iterator[str]:
    from milango.flows import audit

    broken = audit.first_broken()
    if broken:
        yield f"{broken} See: milango audit verify"


SETUP: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "settings": _settings,
    "tables": _tables,
    "installation": _installation,
    "statements that do not add up": _statements,
    "audit trail": _audit,
}


# --- the books ------------------------------------------------------------------------------


def _look_at_books(since: datetime | None, resume: bool, as_json: bool) -> Report:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from milango.flows import check as books
    from milango.models import Payment

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=as_json or not console.is_terminal,
    )
    with bar:
        tasks: dict[str, Any] = {}

        def told(table: str, rows: int) -> None:
            if not rows:
                return
            if table not in tasks:
                known = table == "payments" and not bar.disable and not since
                total = Payment.objects.count() if known else None
                tasks[table] = bar.add_task(table, total=total)
            bar.advance(tasks[table], rows)

        return books.check(since=since, resume=resume, progress=told)


# --- what is said ---------------------------------------------------------------------------


def _print_setup(setup: dict[str, list[str]], notes: list[str]) -> None:
    for name, complaints in setup.items():
        click.echo(f"{'!!' if complaints else 'ok'}  {name}")
        for complaint in complaints:
            click.echo(f"      {complaint}")
    for note in notes:
        click.echo(f"note  {note}")


def _print_books(report: Report) -> None:
    from milango.flows.invariants import INVARIANTS, NAMED

    click.echo(
        f"{'ok' if report.is_clean else '!!'}  books: {report.payments:,} payments held to "
        f"{len(INVARIANTS)} invariants in {report.seconds:.1f} s"
    )
    for name, broken in report.broken.items():
        click.echo(f"\n{name} ({broken.count:,}): not so is: {NAMED[name].sentence}")
        click.echo(f"  It means: {NAMED[name].means}")
        click.echo(f"  Next: {NAMED[name].next}")
        # Lines and not a table with borders: ids are copied and searched for, never cut off.
        wide = max(len(example.name) for example in broken.examples)
        for example in broken.examples:
            said = _plain(example.said)
            click.echo(f"    {example.name:<{wide}}  {example.merchant:<36}  {said}")
        if broken.count > len(broken.examples):
            click.echo(f"    and {broken.count - len(broken.examples):,} more")


def _plain(text: str) -> str:
    """Without control characters: what others sent must not write to the terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)


def _document(
    setup: dict[str, list[str]], report: Report | None, notes: list[str]
) -> dict[str, Any]:
    from milango.flows.check import document

    books = document(report) if report else None
    clean = not any(setup.values()) and (books is None or bool(books["clean"]))
    return {"clean": clean, "setup": setup, "books": books, "notes": notes}
