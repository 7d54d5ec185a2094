"""`milango listen` and `milango trigger`: webhooks on a developer's own machine."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Final

import click

from .find import merchant_named, merchant_option
from .lazy import with_django
from .webhooks import event_option

if TYPE_CHECKING:
    from milango.flows.letters import Letter
    from milango.models import WebhookEndpoint
    from milango.outbound import Answer

SIGN_OF_LIFE: Final = 15.0
"""Seconds between two signs of life of a session."""


@click.command()
@merchant_option
@click.option(
    "--forward-to",
    "url",
    required=True,
    metavar="URL",
    help="Where your program listens, e.g. http://localhost:8000/webhooks.",
)
@event_option
@with_django
def listen(merchant: str, url: str, events: tuple[str, ...]) -> None:
    """Forward a merchant's events to a program on this machine, until stopped.

    Events are signed with a secret of this session, which is printed at the start. The merchant's
    endpoints are told as always.
    """
    from milango.flows import deliver, endpoints, installations

    installations.require_adopted()
    session = endpoints.open_session(merchant_named(merchant), url, events)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    click.echo(f"Forwarding to {url}. Ctrl-C ends it. The secret of this session:", err=True)
    click.echo(session.secret)

    def told(letter: Letter, answer: Answer) -> None:
        click.echo(line(letter, answer))

    alive = threading.Thread(target=_keep_alive, args=(session, stop), daemon=True)
    alive.start()
    try:
        deliver.run(stop, session=session.pk, told=told)
    finally:
        stop.set()
        alive.join(5)
        endpoints.close_session(session)


def line(letter: Letter, answer: Answer) -> str:
    """One event in one line: what it was, its id, and what the program said."""
    from milango.flows.letters import event_name

    taken = letter.taken
    said = f"[{answer.status}]" if answer.status else f"[{answer.error}]"
    name = event_name(taken.event_id)
    return f"{taken.event_type:<22} {name}  {said} {answer.ms} ms"


def _keep_alive(session: WebhookEndpoint, stop: threading.Event) -> None:
    from django.db import DatabaseError, connections

    from milango.flows import endpoints

    while not stop.wait(SIGN_OF_LIFE):
        try:
            endpoints.keep_session(session)
        except DatabaseError:
            connections.close_all()  # the next sign of life is soon enough
    connections.close_all()


@click.command()
@click.argument("event", default="ping")
@merchant_option
@with_django
def trigger(event: str, merchant: str) -> None:
    """Send a test EVENT to the merchant's endpoints, and to who listens. Default: ping.

    Nothing happens to any payment. The event says `livemode: false` and `data.test: true`.
    """
    from milango.flows import endpoints

    count = endpoints.trigger(merchant_named(merchant), event)
    if not count:
        message = f"Nobody is told: no endpoint of the merchant is active and wants {event}."
        raise click.ClickException(message)
    click.echo(f"{event} is due at {count} {'endpoint' if count == 1 else 'endpoints'}.")
