"""`milango merchants`: the tenants of this installation."""

from __future__ import annotations

import click

from .lazy import actor, with_django


@click.group()
def merchants() -> None:
    """Add and list merchants."""


@merchants.command()
@click.argument("name")
@click.option(
    "--origin",
    "origins",
    multiple=True,
    metavar="URL",
    help="A web page's origin that may use publishable keys, e.g. https://shop.example. Repeat it.",
)
@with_django
def add(name: str, origins: tuple[str, ...]) -> None:
    """Add a merchant called NAME."""
    from milango.flows.merchants import add_merchant

    merchant = add_merchant(name, actor=actor(), origins=origins)
    click.echo(f"Added {merchant.name} ({merchant.public_id}).")
    click.echo(f'Next: milango credentials add --merchant "{merchant.name}"')


@merchants.command("list")
@with_django
def list_all() -> None:
    """List all merchants."""
    from milango.models import Merchant

    rows = Merchant.objects.order_by("name").prefetch_related("credentials", "origins")
    for merchant in rows:
        codes = ", ".join(str(code) for code in merchant.credentials.all()) or "no credentials yet"
        state = "" if merchant.active else " (not active)"
        click.echo(f"{merchant.public_id}  {merchant.name}{state}: {codes}")
        for origin in merchant.origins.all():
            click.echo(f"    {origin.origin}")
    if not rows:
        click.echo("There are none. Add one with: milango merchants add NAME")
