"""`milango simulate`: the Daraja simulator as a server of its own."""

from __future__ import annotations

import sys
from importlib import import_module

import click


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    add_help_option=False,
)
@click.pass_context
def simulate(ctx: click.Context) -> None:
    """A Daraja in a box, on its own. Its options are its own too: milango simulate --help."""
    # By name: nothing of ours imports the simulator, so that it cannot share our mistakes.
    simulator = import_module("milango.simulator.__main__")
    sys.argv = ["milango simulate", *ctx.args]
    simulator.main()
