"""`milango payments`: one payment with its timeline, and a person's word about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .lazy import actor, with_django

if TYPE_CHECKING:
    from milango.models import Payment

OUTCOMES = ("paid", "failed", "reversed", "voided")


@click.group()
def payments() -> None:
    """Show a payment, and say how one ended when nobody else can."""


def _payment(text: str) -> Payment:
    from milango.models import Payment
    from milango.models.ids import parse_public_id

    known = parse_public_id(text.strip(), "pay")
    found = known and Payment.objects.select_related("merchant").filter(pk=known).first()
    if not found:
        raise click.BadParameter(f"there is no payment {text!r}.", param_hint="PAYMENT")
    return found


@payments.command()
@click.argument("payment")
@with_django
def show(payment: str) -> None:
    """Show a payment (pay_…), and everything that happened to it."""
    from milango.core.phones import mask

    row = _payment(payment)
    click.echo(f"{row.public_id}  {row.merchant.name}, {row.short_code} ({row.environment})")
    receipt = f", receipt {row.receipt_number}" if row.receipt_number else ""
    click.echo(f"KES {row.amount} asked of {mask(row.phone)}: {row.status}{receipt}")
    for event in row.events.order_by("seq"):
        told = ", ".join(f"{key} {value}" for key, value in event.data.items())
        click.echo(f"  {event.seq:>3}  {event.at:%Y-%m-%d %H:%M:%S}Z  {event.type}  {told}")
    for doubt in row.open_doubts.filter(resolved_at=None):
        click.echo(f"  in doubt: {doubt.kind} since {doubt.raised_at:%Y-%m-%d}")


@payments.command()
@click.argument("payment")
@click.argument("outcome", type=click.Choice(OUTCOMES))
@click.option("--reason", required=True, help="Why: it is kept with the payment and audited.")
@click.option("--receipt", default="", help="M-Pesa's receipt, where there is one.")
@with_django
def mark(payment: str, outcome: str, reason: str, receipt: str) -> None:
    """Say how a payment ended. Large amounts, and every voidance, take a second person.

    Ask Daraja first: milango shortcodes ask. Exit codes: 0 it counts; 3 it waits for approval.
    """
    from milango.flows.words import speak

    word, settled = speak(_payment(payment), outcome, reason=reason, actor=actor(), receipt=receipt)
    if settled is None:
        click.echo(f"Noted. A second person has to run: milango payments approve {word.public_id}")
        raise click.exceptions.Exit(3)
    click.echo(f"It counts: the payment is {settled.status}.")


@payments.command()
@click.argument("word")
@with_django
def approve(word: str) -> None:
    """Agree with another person's word (wrd_…) about a payment. One's own is refused."""
    from milango.flows.words import approve as agree
    from milango.models import OperatorWord
    from milango.models.ids import parse_public_id

    known = parse_public_id(word.strip(), "wrd")
    found = known and OperatorWord.objects.filter(pk=known).first()
    if not found:
        raise click.BadParameter(f"there is no word {word!r}.", param_hint="WORD")
    settled = agree(found, actor=actor())
    click.echo(f"It counts: the payment is {settled.status}.")


@payments.command()
@with_django
def waiting() -> None:
    """List what waits for a second person."""
    from milango.models import OperatorWord

    rows = OperatorWord.objects.filter(applied_at=None).select_related("payment", "merchant")
    for row in rows.order_by("id"):
        click.echo(
            f"{row.public_id}  {row.merchant.name}: {row.payment.public_id} KES {row.amount} "
            f"{row.outcome}, said by {row.spoken_by}: {row.reason}"
        )
    if not rows:
        click.echo("Nothing waits.")
