"""`milango worker`: the background work as a process of its own."""

from __future__ import annotations

import os
import signal
import threading
from importlib import import_module

import click

from .lazy import with_django


@click.command()
@with_django
def worker() -> None:
    """Do the background work, until stopped.

    Asks Daraja about payments in doubt, tells merchants what happened (webhooks), and sweeps.
    Start as many as you like, on any machine. SIGTERM ends one within a few seconds; what one
    leaves undone is done by the others.
    """
    from milango.flows import installations
    from milango.seen import spans

    installations.require_adopted()
    spans.start(os.environ)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo("Working. Ctrl-C ends it.", err=True)
    # By name: doors do not import each other, and the clock has one of its own.
    tasks = import_module("milango.tasks")
    tasks.run(stop)
    tasks.leave()
