"""`milango keys`: the API keys of merchants."""

from __future__ import annotations

import click

from .find import merchant_named, merchant_option
from .lazy import actor, with_django
from .lists import of_merchant, of_merchant_option

SCOPES = ("read", "charge", "manage")


@click.group()
def keys() -> None:
    """Create, revoke and list API keys."""


@keys.command()
@merchant_option
@click.option("--publishable", is_flag=True, help="A key that web pages may hold (pk_).")
@click.option("--open-amount", is_flag=True, help="Publishable: the page may choose the amount.")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(SCOPES),
    help="What a secret key may do. Repeat it. Default: read and charge.",
)
@click.option("--name", default="", help="A name to know it by.")
@with_django
def create(
    merchant: str, publishable: bool, open_amount: bool, scopes: tuple[str, ...], name: str
) -> None:
    """Create a key. It is shown this once: only its hash is kept."""
    from milango.flows.callers import create_key

    if publishable and scopes:
        raise click.UsageError("A publishable key has no scopes: it asks for prompts and reads.")
    if open_amount and not publishable:
        raise click.UsageError("--open-amount is for publishable keys; others may always choose.")
    key, plain = create_key(
        merchant_named(merchant),
        "publishable" if publishable else "secret",
        actor=actor(),
        name=name,
        scopes=list(scopes),
        open_amount=open_amount,
    )
    click.echo(f"Created {key.public_id}. Keep it now, it is not shown again:", err=True)
    click.echo(plain)


@keys.command()
@click.argument("key")
@with_django
def revoke(key: str) -> None:
    """Make KEY useless from now on. KEY is its id (key_…) or its first ten characters."""
    from milango.flows.callers import revoke_key
    from milango.models import ApiKey
    from milango.models.ids import parse_public_id

    known = ApiKey.objects.select_related("merchant")
    if key_id := parse_public_id(key, "key"):
        found = list(known.filter(pk=key_id))
    else:
        found = list(known.filter(hint=key[:10])) if len(key) >= 10 else []
    if len(found) != 1:
        what = "several keys begin like that; name its id" if found else "there is no such key"
        raise click.BadParameter(f"{what} (see: milango keys list).", param_hint="KEY")
    revoke_key(found[0], actor=actor())
    click.echo(f"Revoked {found[0].public_id} of {found[0].merchant.name}.")


@keys.command("list")
@of_merchant_option
@with_django
def list_all(merchant: str | None) -> None:
    """List keys by their first characters; the keys themselves are not kept."""
    from milango.models import ApiKey

    rows = ApiKey.objects.select_related("merchant").order_by("merchant__name", "id")
    rows = of_merchant(rows, merchant)
    for row in rows:
        click.echo(f"{row.public_id}  {row.hint}…  {row.merchant.name}: {_may(row)}{_state(row)}")
    if not rows:
        click.echo("There are none. Create one with: milango keys create --merchant NAME")


def _may(row: object) -> str:
    from milango.models import ApiKey

    assert isinstance(row, ApiKey)
    if row.kind == ApiKey.Kind.PUBLISHABLE:
        return "publishable, any amount" if row.open_amount else "publishable"
    return f"secret ({', '.join(row.scopes)})"


def _state(row: object) -> str:
    from milango.models import ApiKey

    assert isinstance(row, ApiKey)
    name = f" “{row.name}”" if row.name else ""
    if row.revoked_at:
        return f"{name}, revoked {row.revoked_at:%Y-%m-%d}"
    return name + (f", last used {row.last_used_at:%Y-%m-%d}" if row.last_used_at else "")
