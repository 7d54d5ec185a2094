"""`milango migrate`: the database's tables, brought up to date."""

from __future__ import annotations

import click

from milango.api.cli.lazy import with_django


@click.command()
@with_django
def migrate() -> None:
    """Make or update the database's tables."""
    from django.core.management import call_command

    call_command("migrate", interactive=False)
