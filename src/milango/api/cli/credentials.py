"""`milango credentials`: what Daraja gave a merchant for a paybill or a till.

Secrets come from a file, from the environment or from a hidden question, never from the command's
own words: those stand in the shell's history and in every list of processes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import click

from .find import merchant_named, merchant_option
from .lazy import actor, with_django
from .lists import of_merchant, of_merchant_option

KINDS: Final = ("paybill", "till")
ENVIRONMENTS: Final = ("sandbox", "production", "simulator")

SECRETS: Final = {
    # column: (the question, the environment's name for it)
    "consumer_key": ("Consumer key", "MILANGO_CONSUMER_KEY"),
    "consumer_secret": ("Consumer secret", "MILANGO_CONSUMER_SECRET"),
    "passkey": ("Passkey (Lipa na M-Pesa Online)", "MILANGO_PASSKEY"),
}

NUMBER_PAYERS_SEE: Final = {
    "paybill": "The paybill number payers see",
    "till": "The till number payers see",
}


@click.group()
def credentials() -> None:
    """Add and list tills and paybills."""


def _file_option(column: str) -> str:
    return f"--{column.replace('_', '-')}-file"


@credentials.command()
@merchant_option
@click.option("--kind", type=click.Choice(KINDS), help="What the merchant has.")
@click.option("--shortcode", metavar="NUMBER", help="The number payers see.")
@click.option("--store-number", metavar="NUMBER", help="Tills only: its store or head office.")
@click.option("--environment", type=click.Choice(ENVIRONMENTS), help="Which Daraja is asked.")
@click.option("--consumer-key-file", type=click.Path(path_type=Path))
@click.option("--consumer-secret-file", type=click.Path(path_type=Path))
@click.option("--passkey-file", type=click.Path(path_type=Path))
@with_django
def add(
    merchant: str,
    kind: str | None,
    shortcode: str | None,
    store_number: str | None,
    environment: str | None,
    **files: Path | None,
) -> None:
    """Add a paybill or a till, with its Daraja credentials.

    Asks for what is not given. The three secrets come from a file (--consumer-key-file,
    --consumer-secret-file, --passkey-file), from the environment (MILANGO_CONSUMER_KEY,
    MILANGO_CONSUMER_SECRET, MILANGO_PASSKEY), or from a question whose answer is not shown.
    """
    from milango.flows.credentials import add_credential

    owner = merchant_named(merchant)
    kind = kind or _ask_kind()
    shortcode = shortcode or click.prompt(NUMBER_PAYERS_SEE[kind])
    if kind == "till" and not store_number:
        store_number = click.prompt("The till's store number (or head office number)")
    environment = environment or click.prompt(
        "Which environment", type=click.Choice(ENVIRONMENTS), default=ENVIRONMENTS[0]
    )
    secrets = {column: _secret(column, files[f"{column}_file"]) for column in SECRETS}
    credential = add_credential(
        owner,
        actor=actor(),
        kind=kind,
        short_code=shortcode,
        store_number=store_number or "",
        environment=environment,
        **secrets,
    )
    click.echo(f"Added {credential} for {owner.name} ({credential.public_id}).")
    if kind == "till":
        signs, receives = credential.business_short_code, credential.party_b
        click.echo(f"Prompts are signed by store {signs}, and the money goes to till {receives}.")
    click.echo(f'Next: milango keys create --merchant "{owner.name}"')


def _ask_kind() -> str:
    click.echo("A paybill asks payers for an account number; a till (Buy Goods) does not.")
    answer: str = click.prompt("What is it", type=click.Choice(KINDS), default=KINDS[0])
    return answer


def _secret(column: str, file: Path | None) -> str:
    question, name = SECRETS[column]
    if file is not None:
        return from_file(file, _file_option(column))
    answer: str = os.environ.get(name) or click.prompt(question, hide_input=True)
    return answer.strip()


def from_file(file: Path, option: str) -> str:
    """The text of a file that the option names. Raises click.BadParameter."""
    try:
        return file.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        # Only the option is named: who mistakes it for the secret itself has put that in `file`.
        message = "this file cannot be read. Write the path of a file that holds the secret."
        raise click.BadParameter(message, param_hint=option) from None


@credentials.command("list")
@of_merchant_option
@with_django
def list_all(merchant: str | None) -> None:
    """List tills and paybills. Their secrets are never shown."""
    from milango.models import MpesaCredential

    rows = MpesaCredential.objects.select_related("merchant").order_by("merchant__name", "id")
    rows = of_merchant(rows, merchant)
    for row in rows:
        store = f", store {row.store_number}" if row.store_number else ""
        state = "" if row.active else ", not active"
        click.echo(
            f"{row.public_id}  {row.merchant.name}: {row.get_kind_display()} {row.short_code}"
            f"{store}, {row.environment}{state}, version {row.version}"
        )
    if not rows:
        click.echo("There are none. Add one with: milango credentials add --merchant NAME")
