"""`milango shortcodes`: what Milango may ask Daraja about a short code beside its prompts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from . import lists
from .credentials import from_file
from .find import credential_named, shortcode_options
from .lazy import actor, with_django
from .lists import most_option, of_merchant, of_merchant_option
from .receipts import RECEIPT

if TYPE_CHECKING:
    from milango.models import MpesaCredential as Credential
    from milango.models import StatusQuestion


@click.group()
def shortcodes() -> None:
    """Set up C2B, Pull and Transaction Status of a short code, and ask about a receipt."""


@shortcodes.command()
@shortcode_options
@click.option("--name", required=True, help="The API operator's user name.")
@click.option("--password-file", type=click.Path(path_type=Path), help="Otherwise it is asked for.")
@click.option(
    "--certificate-file",
    type=click.Path(path_type=Path),
    required=True,
    help="Daraja's certificate for this environment (PEM), from the developer portal.",
)
@with_django
def initiator(
    merchant: str,
    shortcode: str,
    environment: str,
    name: str,
    password_file: Path | None,
    certificate_file: Path,
) -> None:
    """Store the API operator that Transaction Status is asked with.

    It needs the role "Transaction Status query ORG API". After one refusal by Daraja it is not
    used again until it is stored anew: more tries would lock it.
    """
    from milango.daraja.security import security_credential
    from milango.flows.credentials import change_credential

    credential = credential_named(merchant, shortcode, environment)
    password = (
        from_file(password_file, "--password-file")
        if password_file
        else click.prompt("The operator's password", hide_input=True).strip()
    )
    certificate = from_file(certificate_file, "--certificate-file")
    security_credential(password, certificate)  # raises for a certificate that cannot be used
    change_credential(
        credential,
        actor=actor(),
        initiator_name=name,
        initiator_password=password,
        initiator_certificate=certificate,
    )
    click.echo(f"Stored. Transaction Status is asked for {credential}.")


@shortcodes.command("register-urls")
@shortcode_options
@click.option(
    "--response-type",
    type=click.Choice(["Completed", "Cancelled"]),
    default="Completed",
    help="What M-Pesa does when the validation address does not answer.",
)
@click.option("--version", type=click.Choice(["v1", "v2"]), default="v2")
@with_django
def register_urls(
    merchant: str, shortcode: str, environment: str, response_type: str, version: str
) -> None:
    """Tell Daraja where payments to the short code are confirmed.

    Production takes this once. To change it, delete the addresses in Safaricom's portal first.
    """
    from milango.flows.confirmations import register

    credential = credential_named(merchant, shortcode, environment)
    register(credential, response_type=response_type, version=version, actor=actor())
    click.echo(f"Registered. Every payment to {credential} is confirmed to Milango from now on.")


@shortcodes.command()
@shortcode_options
@click.option("--number", help="The phone number on its papers: registers Pull with Daraja.")
@click.option("--off", is_flag=True, help="Ask no longer.")
@with_django
def pull(merchant: str, shortcode: str, environment: str, number: str | None, off: bool) -> None:
    """Ask hourly for what reached the short code, in case a callback was lost."""
    from milango.flows.pulls import switch

    credential = credential_named(merchant, shortcode, environment)
    switch(credential, on=not off, number=number, actor=actor())
    click.echo(f"Pull is {'off' if off else 'on'} for {credential}.")


@shortcodes.command()
@shortcode_options
@click.argument("receipt", type=RECEIPT)
@with_django
def ask(merchant: str, shortcode: str, environment: str, receipt: str) -> None:
    """Ask Transaction Status about a receipt. The answer comes to Milango's own address."""
    from milango.flows.questions import ask_by_receipt, why_not_ask

    credential = credential_named(merchant, shortcode, environment)
    reason = why_not_ask(credential, receipt)
    question = None if reason else ask_by_receipt(credential, receipt, why="operator")
    if question is None:
        raise click.ClickException(f"It was not asked, and nothing has changed. {reason}".rstrip())
    click.echo(
        f"Asked. What Daraja answers about {question.receipt} is settled when it comes, mostly "
        "within a minute: milango shortcodes asked"
    )


@shortcodes.command()
@click.option("--receipt", type=RECEIPT, help="About this receipt only.")
@most_option
@with_django
def asked(receipt: str | None, most: int) -> None:
    """List what Transaction Status was asked about, the newest first, and what it answered."""
    from milango.models import StatusQuestion

    rows = StatusQuestion.objects.select_related("credential", "payment").order_by("-pk")
    if receipt:
        rows = rows.filter(receipt=receipt)
    lists.show(rows[:most], _line, none="Nothing was asked.")


def _line(row: StatusQuestion) -> str:
    about = f" ({row.payment.public_id})" if row.payment else ""
    return (
        f"{row.receipt}{about}  {row.credential.short_code}  asked "
        f"{row.asked_at:%Y-%m-%d %H:%M:%S}Z, for a {row.why}: {row.verdict or 'no answer yet'}"
    )


@shortcodes.command()
@click.argument("number", type=int)
@click.option("--prefix", default="", help="Two capital letters or more, without I, L and O.")
def reference(number: int, prefix: str) -> None:
    """Make the account number of customer or order NUMBER, with two check digits.

    One wrong digit, or two that changed places, is then refused instead of paying for somebody
    else. Switch it on with `checked references` of the short code in the admin.
    """
    from milango.core.references import checked_reference

    click.echo(checked_reference(number, prefix))


@shortcodes.command()
@of_merchant_option
@click.option("--shortcode", metavar="NUMBER", help="Of this paybill or till only.")
@click.option("--environment", default="", help="Of this environment only.")
@with_django
def unmatched(merchant: str | None, shortcode: str | None, environment: str) -> None:
    """List money that may be several payments', and waits for a source that names one.

    What went back has a minus sign. A person may know better: milango payments match.
    """
    waits = (
        f"{line}  {credential.merchant.name}, {credential.short_code}"
        for credential in _credentials(merchant, shortcode, environment)
        for line in _waiting(credential)
    )
    lists.show(waits, str)


def _credentials(merchant: str | None, shortcode: str | None, environment: str) -> list[Credential]:
    from milango.models import MpesaCredential

    if merchant and shortcode:
        return [credential_named(merchant, shortcode, environment)]
    rows = MpesaCredential.objects.select_related("merchant").order_by("merchant__name", "id")
    given = {"short_code": shortcode and shortcode.strip(), "environment": environment}
    rows = rows.filter(**{name: value for name, value in given.items() if value})
    rows = of_merchant(rows, merchant)
    if shortcode and not rows:
        message = "nobody has it (see: milango credentials list)."
        raise click.BadParameter(message, param_hint="--shortcode")
    return list(rows)


def _waiting(credential: Credential) -> Iterator[str]:
    from milango.flows import matching

    for row in matching.receipts(credential).order_by("created_at"):
        yield f"{row.code}  KES {row.amount}  {row.paid_at:%Y-%m-%d %H:%M:%S}Z  {row.source}"
    for back in matching.reversals(credential).order_by("created_at"):
        at = f"{back.reversed_at:%Y-%m-%d %H:%M:%S}Z"
        yield f"{back.code}  KES -{back.amount}  {at}  {back.source}"
