"""`milango doubts`: contradictions and refunds that wait for a person."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from .find import merchant_named, row_named
from .lazy import actor, with_django
from .lists import of_merchant_option

if TYPE_CHECKING:
    from milango.models import Doubt

LISTED: Final = "They are in: milango doubts list"


@click.group()
def doubts() -> None:
    """List and resolve what needs a person. Resolving one moves no money."""


@doubts.command("list")
@of_merchant_option
@click.option("--kind", default="", help="Of this kind only, such as refund_due.")
@click.option("--resolved", is_flag=True, help="Those that are resolved as well.")
@with_django
def list_all(merchant: str | None, kind: str, resolved: bool) -> None:
    """List open doubts, the oldest first."""
    from rich.console import Console
    from rich.table import Table

    from milango.flows import hours
    from milango.flows.doubts import listed

    now = hours.heard()
    rows = listed(merchant_named(merchant) if merchant else None, kind=kind, resolved=resolved)
    table = Table("id", "merchant", "payment", "kind", "KES", "days", "with", box=None)
    for doubt in rows:
        age = "resolved" if doubt.resolved_at else str((now - doubt.raised_at).days)
        table.add_row(
            doubt.public_id,
            doubt.merchant.public_id,
            doubt.payment.public_id,
            doubt.kind,
            f"{doubt.amount:,.2f}",
            age,
            doubt.owner,
        )
    if not table.row_count:
        click.echo("There are none.")
        return
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, 170)
    console.print(table)


@doubts.command()
@click.argument("doubt")
@with_django
def show(doubt: str) -> None:
    """Show a doubt (dbt_…), its payment, and the payment's timeline."""
    from milango.core.doubts import meaning_of
    from milango.core.phones import mask
    from milango.models import Doubt

    from .payments import line_of

    row = row_named(Doubt.objects.select_related("payment", "merchant"), doubt, "DOUBT", LISTED)
    payment = row.payment
    click.echo(f"{row.kind}, KES {row.amount:,.2f}, raised {row.raised_at:%Y-%m-%d %H:%M} UTC")
    click.echo(f"  means     {meaning_of(row.kind).means}")
    click.echo(f"  to do     {meaning_of(row.kind).do}")
    click.echo(f"  merchant  {row.merchant.public_id}")
    click.echo(
        f"  payment   {payment.public_id}, KES {payment.amount:,.2f} asked of "
        f"{mask(payment.phone)} for {payment.short_code}: {payment.status}"
    )
    click.echo(f"  receipt   {payment.receipt_number or 'none'}")
    click.echo(f"  {_how_it_stands(row)}")
    for event in payment.events.order_by("seq"):
        click.echo(f"    {line_of(event)}")


def _how_it_stands(doubt: Doubt) -> str:
    from milango.flows.doubts import resolved_by

    if not doubt.resolved_at:
        return f"with the {doubt.owner}"
    when = f"{doubt.resolved_at:%Y-%m-%d %H:%M} UTC"
    return f"resolved  {when} by {resolved_by(doubt) or 'nobody known'}: {doubt.resolution}"


@doubts.command()
@click.argument("doubt")
@click.option("--reason", required=True, help="What you found, and what you did.")
@with_django
def resolve(doubt: str, reason: str) -> None:
    """Close a doubt (dbt_…). It is written into the audit trail, and moves no money."""
    from milango.flows import doubts as flow
    from milango.models import Doubt

    found = row_named(Doubt.objects.all(), doubt, "DOUBT", LISTED)
    closed = flow.resolve(found.pk, actor=actor(), reason=reason)
    click.echo(f"Resolved {closed.public_id} ({closed.kind}).")
