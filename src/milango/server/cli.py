"""The entry point `milango`: the commands over flows, and those that start something."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import click

from milango.api.cli import new_group
from milango.api.cli.lazy import Command

COMMANDS: Final = {
    "demo": Command("milango.server.demo.command:demo", "Try it: everything in one process."),
    "serve": Command("milango.server.serve:serve", "Serve in production."),
    "migrate": Command("milango.server.migrate:migrate", "Make or update the database's tables."),
    "simulate": Command("milango.server.simulate:simulate", "Run the Daraja simulator alone."),
}

SETTINGS: Final = "DJANGO_SETTINGS_MODULE"
DEMO_SETTINGS: Final = "milango.server.demo.settings"
DEMO_FOLDER: Final = "MILANGO_DEMO_DATA"


def _use_demo(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value:
        os.environ[SETTINGS] = DEMO_SETTINGS
        os.environ.setdefault(DEMO_FOLDER, str(Path(".milango", "demo").absolute()))


cli = new_group(COMMANDS)
cli.params.append(
    click.Option(
        ["--on-demo"],
        is_flag=True,
        expose_value=False,
        callback=_use_demo,
        help="Work on the data of `milango demo` in this folder.",
    )
)


def main() -> None:
    """Run the command line with the server's settings, unless the environment names others."""
    os.environ.setdefault(SETTINGS, "milango.server.settings")
    cli(prog_name="milango")
