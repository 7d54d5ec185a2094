"""`milango reconcile`: what M-Pesa's own statement says, beside what we have."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .lazy import actor, with_django
from .lists import of_merchant

if TYPE_CHECKING:
    from milango.flows.statements import Found, Report
    from milango.models import MpesaCredential

DIFFERENCES: Final = 1
UNUSABLE: Final = 2

WIDE: Final = 110
"""Columns of a list of receipts at least."""

SHOWN: Final = 20
"""Receipts of one kind in the table; --json has all of them."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--shortcode", required=True, metavar="NUMBER", help="The paybill or till.")
@click.option("--merchant", metavar="NAME", help="Where several have that short code.")
@click.option("--environment", default="", help="Where one short code has several.")
@click.option("--json", "as_json", is_flag=True, help="All differences, for a program.")
@with_django
def reconcile(
    file: Path, shortcode: str, merchant: str | None, environment: str, as_json: bool
) -> None:
    """Compare FILE, a statement from the M-Pesa organisation portal (CSV or Excel), with the
    payments of a short code.

    Money that the statement proves is settled; a file that does not add up moves nothing. The same
    file may be imported again. Exit codes: 0 all matched; 1 differences; 2 the file is unusable.
    """
    from milango.core.errors import MilangoError
    from milango.flows.sheets import MOST_BYTES
    from milango.flows.statements import ask, import_statement

    credential = _credential(shortcode, merchant, environment)
    try:
        with file.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise click.BadParameter(f"cannot be read ({error.strerror}).", param_hint="FILE") from None
    try:
        with _progress() as tell:
            report = import_statement(credential, content, uploader=actor(), tell=tell)
        asked = ask(report)
    except MilangoError as error:
        click.echo(f"Error: {error}", err=True)
        raise click.exceptions.Exit(UNUSABLE) from None
    if as_json:
        click.echo(_as_json(report))
    else:
        _show(report)
        if asked:
            click.echo(
                f"Transaction Status was asked about {_receipts(asked)}. "
                "The answer comes within a minute: milango payments show"
            )
    raise click.exceptions.Exit(0 if report.all_matched else DIFFERENCES)


def _receipts(count: int) -> str:
    return "1 receipt" if count == 1 else f"{count} receipts"


def _credential(shortcode: str, merchant: str | None, environment: str) -> MpesaCredential:
    from django.db.models import Q

    from milango.models import MpesaCredential

    number = shortcode.strip()
    rows = MpesaCredential.objects.select_related("merchant")
    rows = rows.filter(Q(short_code=number) | Q(store_number=number))
    rows = of_merchant(rows, merchant)
    if environment:
        rows = rows.filter(environment=environment)
    found = list(rows[:2])
    if len(found) == 1:
        return found[0]
    hint = "several have it: add --merchant or --environment" if found else "nobody has it"
    message = f"{hint} (see: milango credentials list)."
    raise click.BadParameter(message, param_hint="--shortcode")


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int | None], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("Reading", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


# --- what is shown --------------------------------------------------------------------------


def _show(report: Report) -> None:
    from rich.console import Console
    from rich.table import Table

    from milango.flows.reports import WORDS, problem_of

    statement = report.statement
    again = "" if report.is_new else " These very bytes had been imported before."
    click.echo(
        f"{report.record.public_id}: {len(statement.lines)} lines, "
        f"{len(statement.payments())} of them payments, "
        f"{statement.since:%Y-%m-%d %H:%M} to {statement.until:%Y-%m-%d %H:%M} UTC.{again}"
        if statement.since and statement.until
        else f"{report.record.public_id}: no lines.{again}"
    )
    if problem := problem_of(report.problem, report.record.problem_row):
        click.echo(problem)
    table = Table("", "Receipts", box=None)
    for kind, count in report.counts.items():
        table.add_row(WORDS[kind], str(count))
    console = Console()
    console.print(table)
    for kind in report.counts:
        _list(console, WORDS[kind], [found for found in report.found if found.kind is kind])


def _list(console: Any, title: str, found: list[Found]) -> None:
    from rich.table import Table

    if not found:
        return
    table = Table("Row", "Receipt", "There, KES", "Here, KES", "Payment", "Status", title=title)
    for each in found[:SHOWN]:
        cells = (each.row or "", each.receipt, each.amount, each.our_amount, each.payment)
        table.add_row(*("" if cell is None else str(cell) for cell in cells), each.status)
    if len(found) > SHOWN:
        table.caption = f"and {len(found) - SHOWN} more: --json has all"
    table.columns[4].no_wrap = True  # an id is copied: it is never cut off
    console.width = max(console.width, WIDE)
    console.print(table)


def _as_json(report: Report) -> str:
    from milango.flows.reports import as_dict

    return json.dumps(as_dict(report), separators=(",", ":"))
