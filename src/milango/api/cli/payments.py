"""`milango payments`: find payments, one with its timeline, and a person's word about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from . import lists
from .find import row_named
from .lazy import actor, with_django
from .lists import most_option, of_merchant, of_merchant_option
from .receipts import RECEIPT

if TYPE_CHECKING:
    from milango.flows.settle import Settled
    from milango.models import OperatorWord, Payment, PaymentEvent

OUTCOMES = ("paid", "failed", "reversed", "voided")

WORDS: Final = {"source": "told by", "receipt_number": "receipt"}
"""What an event's data are called in the timeline; others keep their names."""


@click.group()
def payments() -> None:
    """Find and show payments, and say how one ended when nobody else can."""


def _payment(text: str) -> Payment:
    from milango.models import Payment

    rows = Payment.objects.select_related("merchant")
    return row_named(rows, text, "PAYMENT", "An id begins with pay_: milango payments list")


@payments.command("list")
@of_merchant_option
@click.option("--status", help="Pending, Success, Failed, Reversed or Voided.")
@click.option("--phone", "phone_number", metavar="NUMBER", help="Asked of this number.")
@click.option("--receipt", "receipt_number", help="With this receipt.")
@click.option("--order", "order_id", help="For this order of yours.")
@most_option
@with_django
def list_all(merchant: str | None, most: int, **wanted: str | None) -> None:
    """List payments, the newest first."""
    from milango.core.filters import read_page
    from milango.flows.read import payments as found

    page = read_page([(name, value) for name, value in wanted.items() if value is not None])
    rows = of_merchant(found(page.where).select_related("merchant"), merchant)
    lists.show(rows[:most], _line)


def _line(row: Payment) -> str:
    from milango.core.phones import mask

    receipt = f" {row.receipt_number}" if row.receipt_number else ""
    return (
        f"{row.public_id}  {row.created_at:%Y-%m-%d %H:%M:%S}Z  KES {row.amount} "
        f"{mask(row.phone)}  {row.status}{receipt}  {row.merchant.name}, {row.short_code}"
    )


@payments.command()
@click.argument("payment")
@with_django
def show(payment: str) -> None:
    """Show a payment (pay_…), and everything that happened to it."""
    from milango.core.doubts import meaning_of
    from milango.core.phones import mask
    from milango.flows import words

    row = _payment(payment)
    click.echo(f"{row.public_id}  {row.merchant.name}, {row.short_code} ({row.environment})")
    receipt = f", receipt {row.receipt_number}" if row.receipt_number else ""
    click.echo(f"KES {row.amount} asked of {mask(row.phone)}: {row.status}{receipt}")
    for event in row.events.order_by("seq"):
        click.echo(f"  {event.seq:>3}  {line_of(event)}")
    if row.next_check_at and row.status == "Pending":
        click.echo(f"  Daraja is asked next at {row.next_check_at:%Y-%m-%d %H:%M:%S}Z.")
    for word in words.waiting().filter(payment=row).order_by("id"):
        click.echo(f"  waits for a second person: {word.outcome}, said by {word.spoken_by}")
        click.echo(f"    milango payments approve {word.public_id}, or withdraw")
    for doubt in row.open_doubts.filter(resolved_at=None):
        click.echo(f"  in doubt since {doubt.raised_at:%Y-%m-%d}: {doubt.kind} {doubt.public_id}")
        click.echo(f"    {' '.join(meaning_of(doubt.kind))}")


def line_of(event: PaymentEvent) -> str:
    """An event in one line: when, what, and what is known of it, such as who proved it."""
    said = {WORDS.get(key, key): value for key, value in event.data.items()}
    told = ", ".join(f"{key} {value}" for key, value in said.items() if value not in ("", None))
    return f"{event.at:%Y-%m-%d %H:%M:%S}Z  {event.type}  {told}".rstrip()


@payments.command()
@click.argument("payment")
@click.argument("outcome", type=click.Choice(OUTCOMES))
@click.option("--reason", required=True, help="Why: it is kept with the payment and audited.")
@click.option("--receipt", type=RECEIPT, help="M-Pesa's receipt, where there is one.")
@with_django
def mark(payment: str, outcome: str, reason: str, receipt: str | None) -> None:
    """Say how a payment ended. Large amounts, and every voidance, take a second person.

    Ask Daraja first: milango shortcodes ask. Exit codes: 0 it counts; 1 it was refused, or what
    is proven outweighs it; 3 it waits for approval.
    """
    from milango.flows.words import speak

    row, code = _payment(payment), receipt or ""
    word, settled = speak(row, outcome, reason=reason, actor=actor(), receipt=code)
    _say(word, settled)


@payments.command()
@click.argument("payment")
@click.argument("receipt")
@click.option("--reason", required=True, help="How you know: it is kept and audited.")
@with_django
def match(payment: str, receipt: str, reason: str) -> None:
    """Say that unmatched money is this payment's: what came in, or what went back.

    What waits: milango shortcodes unmatched. Limits and exit codes are those of mark.
    """
    from milango.flows import matching

    word, settled = matching.match(_payment(payment), receipt, reason=reason, actor=actor())
    _say(word, settled)


def _say(word: OperatorWord, settled: Settled | None) -> None:
    from milango.flows.words import outweighed

    if settled is None:
        click.echo(f"Noted. A second person has to run: milango payments approve {word.public_id}")
        raise click.exceptions.Exit(3)
    if problem := outweighed(word, settled):
        raise click.ClickException(problem)
    click.echo(f"It counts: the payment is {settled.status}.")


@payments.command()
@click.argument("word")
@with_django
def approve(word: str) -> None:
    """Agree with another person's word (wrd_…) about a payment. One's own is refused."""
    from milango.flows.words import approve as agree

    row = _word(word)
    _say(row, agree(row, actor=actor()))


@payments.command()
@click.argument("word")
@with_django
def withdraw(word: str) -> None:
    """Take back a word (wrd_…) that waits, one's own or another person's. It never counts then."""
    from milango.flows.words import withdraw as take_back

    taken = take_back(_word(word), actor=actor())
    click.echo(f"Withdrawn: {taken.public_id} never counts. The payment is as it was.")


def _word(text: str) -> OperatorWord:
    from milango.models import OperatorWord

    rows = OperatorWord.objects.all()
    return row_named(rows, text, "WORD", "They are in: milango payments waiting")


@payments.command()
@with_django
def waiting() -> None:
    """List what waits for a second person."""
    from milango.flows import words

    rows = words.waiting().select_related("payment", "merchant").order_by("id")
    for row in rows:
        click.echo(
            f"{row.public_id}  {row.merchant.name}: {row.payment.public_id} KES {row.amount} "
            f"{row.outcome}, said by {row.spoken_by}: {row.reason}"
        )
    if not rows:
        click.echo("Nothing waits.")
