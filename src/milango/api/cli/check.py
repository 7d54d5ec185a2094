"""`milango check`: what needs a person, for a daily timer or before a release."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from .lazy import with_django

if TYPE_CHECKING:
    from django.core.checks import CheckMessage

OVERDUE: Final = timedelta(days=3)
"""How old an open doubt may get (threats B19)."""


@click.command()
@with_django
def check() -> None:
    """Say what needs attention. Exit code 1 if anything does.

    Looks at the settings, the database's tables, whom the database belongs to, doubts that nobody
    has resolved for three days, statements that somebody may have edited, and the audit trail.
    """
    failed = False
    for name, look in CHECKS.items():
        complaints = list(look())
        failed = failed or bool(complaints)
        click.echo(f"{'!!' if complaints else 'ok'}  {name}")
        for complaint in complaints:
            click.echo(f"      {complaint}")
        if complaints and name == "tables":
            break  # without its tables nothing else can be read
    for note in _notes():
        click.echo(f"note  {note}")
    if failed:
        raise click.exceptions.Exit(1)


def _settings() -> Iterator[str]:
    from django.core import checks

    for message in checks.run_checks():
        if message.is_serious() and not message.is_silenced():
            yield _worded(message)


def _notes() -> Iterator[str]:
    """What is worth knowing and is not wrong."""
    from django.core import checks

    for message in checks.run_checks():
        if not message.is_serious() and not message.is_silenced():
            yield _worded(message)


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


def _doubts() -> Iterator[str]:
    from django.utils import timezone

    from milango.models import Doubt

    old = Doubt.objects.filter(resolved_at=None, raised_at__lt=timezone.now() - OVERDUE)
    for doubt in old.select_related("payment", "merchant").order_by("raised_at")[:50]:
        days = (timezone.now() - doubt.raised_at).days
        yield (
            f"{doubt.payment.public_id} of {doubt.merchant}: {doubt.kind}, KES {doubt.amount}, "
            f"open for {days} days, with {doubt.owner}"
        )


def _statements() -> Iterator[str]:
    from milango.models import StatementImport

    flagged = StatementImport.objects.filter(resolved_at=None).exclude(owner="")
    for record in flagged.select_related("merchant", "credential").order_by("imported_at")[:50]:
        yield (
            f"{record.public_id} of {record.merchant}, short code {record.credential.short_code}: "
            f"{record.problem}, row {record.problem_row}, imported {record.imported_at:%Y-%m-%d} "
            f"by {record.uploader}, with {record.owner}"
        )


def _audit() -> Iterator[str]:
    from milango.flows import audit

    broken = audit.first_broken()
    if broken:
        yield f"{broken} See: milango audit verify"


CHECKS: Final[dict[str, Callable[[], Iterator[str]]]] = {
    "settings": _settings,
    "tables": _tables,
    "installation": _installation,
    "doubts older than three days": _doubts,
    "statements that do not add up": _statements,
    "audit trail": _audit,
}
