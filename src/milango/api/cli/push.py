"""`milango push`: one prompt from the command line, followed to its end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import click

from .find import merchant_named, merchant_option
from .lazy import actor, with_django

if TYPE_CHECKING:
    from milango.core.inputs import PushRequest
    from milango.models import Payment

PAID: Final = 0
FAILED: Final = 1
OPEN: Final = 2
"""Still pending or being confirmed: nobody may assume either way."""

NOT_SENT: Final = 3
"""This request sent no prompt."""

LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the payment's row."""


@click.command()
@merchant_option
@click.option("--shortcode", required=True, metavar="NUMBER", help="The paybill or till.")
@click.option("--phone", required=True, metavar="NUMBER", help="The payer, e.g. 0712345678.")
@click.option("--amount", required=True, metavar="KES", help="Whole shillings, 1 to 250000.")
@click.option("--reference", default="", help="Account reference, up to 12 characters.")
@click.option("--service-type", default="", help="captive_portal sells Wi-Fi time.")
@click.option("--environment", default="", help="Where one short code has several.")
@click.option("--no-wait", is_flag=True, help="Do not follow the prompt.")
@with_django
def push(merchant: str, no_wait: bool, **given: str) -> None:
    """Send a prompt, and follow it until it is settled or its life on the phone is over.

    Exit codes: 0 paid; 1 failed; 2 still pending or being confirmed; 3 no prompt was sent.
    """
    from milango.core.errors import MilangoError
    from milango.core.phones import mask
    from milango.flows import audit, charge
    from milango.flows.callers import owner_of

    caller = owner_of(merchant_named(merchant))
    try:
        request = _request(given)
        payment = charge.charge(caller, request)
    except MilangoError as error:
        for each in getattr(error, "errors", [error]):
            click.echo(f"Error: {each}", err=True)
        click.echo("This request sent no prompt.", err=True)
        raise click.exceptions.Exit(NOT_SENT) from None
    asked = {"amount": str(request.amount), "short_code": payment.short_code}
    audit.record(actor(), "prompt.sent", payment.public_id, merchant=payment.merchant, **asked)
    click.echo(
        f"{payment.public_id}: KES {request.amount} asked of {mask(request.phone_number)} "
        f"for {payment.short_code} by {actor()}."
    )
    payment = payment if no_wait else follow(payment)
    click.echo(sentence(payment))
    raise click.exceptions.Exit(exit_code(payment))


def _request(given: dict[str, str]) -> PushRequest:
    """The same reading, and so the same refusals, as a request over HTTP."""
    import msgspec

    from milango.core.inputs import read_push

    names = {"phone": "phone_number", "reference": "account_reference"}
    body = {names.get(name, name): value for name, value in given.items() if value}
    return read_push(msgspec.json.encode(body))


def follow(payment: Payment) -> Payment:
    """Wait, with a line of progress, until the payment is settled or its prompt is over."""
    from rich.console import Console

    from milango.flows import hours

    console = Console(stderr=True)
    with console.status("") as status:
        while _is_open(payment):
            left = (payment.prompt_until - hours.now()).total_seconds()
            if left <= 0:
                break
            what = "Received, confirming" if payment.confirming else "Waiting for the PIN"
            status.update(f"{what} … {left:.0f} s")
            time.sleep(LOOK_EVERY)
            payment.refresh_from_db()
    return payment


def _is_open(payment: Payment) -> bool:
    return payment.status == "Pending" or payment.confirming


def sentence(payment: Payment) -> str:
    """How the payment stands, in one line."""
    from milango.flows.present import message_of

    told = message_of(payment)["en"]
    if payment.status == "Success":
        minutes = payment.access_duration_minutes
        time_bought = f", {minutes} minutes of Wi-Fi" if minutes else ""
        return f"Paid: receipt {payment.receipt_number or 'not known yet'}{time_bought}."
    if payment.status == "Pending" and not payment.confirming:
        return (
            "Still pending: nobody has said yet what became of it. Do not assume either way. "
            f"Milango goes on asking; see: milango payments show {payment.public_id}"
        )
    return f"{payment.status}: {told}"


def exit_code(payment: Payment) -> int:
    """0 paid, 1 failed (or reversed, or voided), 2 not known yet."""
    if _is_open(payment):
        return OPEN
    return PAID if payment.status == "Success" else FAILED
