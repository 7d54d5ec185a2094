"""Commands about the installation as a whole: its address and its encryption keys."""

from __future__ import annotations

import re

import click

from .lazy import actor, with_django


@click.command()
@with_django
def adopt() -> None:
    """Say that this database belongs to the configured public address from now on.

    A copy of a database sends no prompts under another address until somebody says this.
    """
    from milango.flows import installations

    row = installations.adopt(actor=actor())
    click.echo(f"This database belongs to {row.public_url}.")


@click.command("new-key")
@click.option("--id", "kid", default="01", show_default=True, help="Two hex digits, never reused.")
def new_key(kid: str) -> None:
    """Print a new line for MILANGO_KEYS. Keep it apart from the database and its backups."""
    from milango import sealing

    if not re.fullmatch("[0-9a-f]{2}", kid):
        raise click.BadParameter("write two lowercase hex digits, such as 02.", param_hint="--id")
    click.echo(sealing.generate_key(kid))


@click.command("rotate-keys")
@with_django
def rotate_keys() -> None:
    """Seal every stored secret with the first key of MILANGO_KEYS.

    Add the new key at the end of MILANGO_KEYS everywhere and restart; move it to the front and
    restart; run this until it reports no failure; then remove the old key.
    """
    from rich.console import Console

    from milango import sealing
    from milango.flows import audit, keys

    console = Console(stderr=True)
    with console.status("Sealing secrets anew …") as status:

        def tell(line: str) -> None:
            console.print(line, markup=False, highlight=False)
            status.update(f"Sealing secrets anew … {line}")

        counts = keys.rotate_keys(tell)
        audit.keep_keys()
        audit.record(actor(), "keys.rotated", f"key {sealing.current_key_id()}", counts=counts)
    click.echo(
        f"{counts['rotated']} sealed anew, {counts['skipped']} were already, "
        f"{counts['failed']} failed."
    )
    if counts["failed"]:
        raise click.exceptions.Exit(1)
