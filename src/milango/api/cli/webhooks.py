"""`milango webhooks`: the addresses of merchants that want to be told, and telling them again."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from . import lists
from .find import merchant_named, merchant_option, row_named
from .lazy import actor, with_django
from .lists import most_option, of_merchant, of_merchant_option
from .times import SINCE, When, instant

if TYPE_CHECKING:
    from milango.models import WebhookDelivery, WebhookEndpoint

event_option = click.option(
    "--event",
    "events",
    multiple=True,
    metavar="TYPE",
    help="Only this event, e.g. payment.succeeded. Repeat it. Default: all of them.",
)


@click.group()
def webhooks() -> None:
    """Add, rotate and disable webhook endpoints; deliver again."""


@webhooks.command()
@click.argument("url")
@merchant_option
@event_option
@click.option("--full-phone", is_flag=True, help="Send the payer's whole number, not a masked one.")
@click.option("--ed25519", is_flag=True, help="Sign with a key pair too; prints the public key.")
@with_django
def add(url: str, merchant: str, events: tuple[str, ...], full_phone: bool, ed25519: bool) -> None:
    """Tell URL what happens. Its secret is printed this once."""
    from milango.flows import endpoints, letters

    row = endpoints.add(
        merchant_named(merchant),
        url,
        actor=actor(),
        events=events,
        full_phone=full_phone,
        ed25519=ed25519,
    )
    click.echo(f"Added {row.public_id}. Keep its secret now, it is not shown again:", err=True)
    click.echo(row.secret)
    if row.ed25519_key:
        click.echo(letters.public_key(row.ed25519_key))
    # A ping would reach nobody where only other events are wanted.
    wanted = events[0] if events and "ping" not in events else "ping"
    click.echo(
        f"Try it with: milango trigger {wanted} --merchant {shlex.quote(merchant)}", err=True
    )


@webhooks.command("list")
@of_merchant_option
@with_django
def list_all(merchant: str | None) -> None:
    """List endpoints, and how they do. Secrets are never shown."""
    from milango.models import WebhookEndpoint

    rows = WebhookEndpoint.objects.select_related("merchant").order_by("merchant__name", "id")
    rows = of_merchant(rows.filter(session_until=None), merchant)
    for row in rows:
        events = ", ".join(row.event_types) or "all events"
        click.echo(f"{row.public_id}  {row.merchant.name}: {row.url} ({events}), {_state(row)}")
    if not rows:
        click.echo("There are none. Add one with: milango webhooks add URL --merchant NAME")


@webhooks.command()
@of_merchant_option
@click.option("--state", type=click.Choice(["due", "delivered", "given_up"]), help="Only these.")
@most_option
@with_django
def deliveries(merchant: str | None, state: str | None, most: int) -> None:
    """List what was or is to be delivered (whd_…), the newest first."""
    from milango.models import WebhookDelivery

    rows = WebhookDelivery.objects.select_related("endpoint", "merchant", "payment")
    rows = of_merchant(rows, merchant)
    if state:
        rows = rows.filter(state=state)
    lists.show(rows.order_by("-pk")[:most], _line)


def _line(row: WebhookDelivery) -> str:
    about = f" of {row.payment.public_id}" if row.payment else ""
    return (
        f"{row.public_id}  {row.created_at:%Y-%m-%d %H:%M:%S}Z  {row.event_type}{about}: "
        f"{row.get_state_display().lower()}, attempts: {row.attempts}, {row.endpoint.url}"
    )


def _state(row: WebhookEndpoint) -> str:
    if not row.active:
        since = f" on {row.disabled_at:%Y-%m-%d %H:%M} UTC" if row.disabled_at else ""
        why = f" ({row.disabled_reason})" if row.disabled_reason else ""
        return f"disabled{since}{why}"
    if row.failing_since:
        return f"failing since {row.failing_since:%Y-%m-%d %H:%M} UTC"
    return "well"


@webhooks.command()
@click.argument("endpoint")
@click.option(
    "--keep-hours",
    default=24,
    show_default=True,
    type=click.IntRange(0, 24 * 30),
    help="How long the secret before signs too. 0: it leaked.",
)
@with_django
def rotate(endpoint: str, keep_hours: int) -> None:
    """Make a new secret for ENDPOINT (whe_…). It is printed this once."""
    from milango.flows import endpoints

    row = endpoints.rotate(
        _endpoint_named(endpoint), actor=actor(), keep=timedelta(hours=keep_hours)
    )
    before = f"signs too for {keep_hours} hours" if keep_hours else "is void from now on"
    click.echo(f"The secret before {before}. The new one:", err=True)
    click.echo(row.secret)


@webhooks.command()
@click.argument("endpoint")
@with_django
def disable(endpoint: str) -> None:
    """Tell ENDPOINT (whe_…) nothing any more. What is due for it waits."""
    from milango.flows import endpoints

    row = _endpoint_named(endpoint)
    endpoints.disable(row, actor=actor())
    click.echo(f"{row.url} is told nothing any more.")


@webhooks.command()
@click.argument("endpoint")
@with_django
def remove(endpoint: str) -> None:
    """Disable ENDPOINT (whe_…) for good: what is due for it is given up. Its log stays."""
    from milango.flows import endpoints

    row = _endpoint_named(endpoint)
    endpoints.remove(row, actor=actor())
    click.echo(f"{row.url} is removed. `milango webhooks enable {row.public_id}` brings it back.")


@webhooks.command()
@click.argument("endpoint")
@with_django
def enable(endpoint: str) -> None:
    """Tell ENDPOINT (whe_…) again, beginning with what has waited.

    What happened while it was disabled was never meant for it: replay that with --since.
    """
    from milango.flows import endpoints

    row = _endpoint_named(endpoint)
    endpoints.enable(row, actor=actor())
    click.echo(f"{row.url} is told again.")


@webhooks.command()
@click.argument("what")
@click.option(
    "--since", type=SINCE, help="For an endpoint: from when, e.g. 7d or 2026-11-26T08:00."
)
@click.option("--until", type=SINCE, help="Up to when. Default: now.")
@event_option
@with_django
def replay(what: str, since: When | None, until: When | None, events: tuple[str, ...]) -> None:
    """Deliver again. WHAT is one delivery (whd_…), or an endpoint (whe_…) with --since.

    Ids stay as they were, and the payment is told as it is now. For an endpoint, what happened
    while it was disabled, or before it was added, is told too.
    """
    from milango.flows import endpoints

    if what.startswith("whd_"):
        if since is not None or until is not None or events:
            raise click.UsageError("--since, --until and --event are for an endpoint (whe_…).")
        endpoints.replay(_delivery_named(what), actor=actor())
        count = 1
    else:
        row = _endpoint_named(what)
        if since is None:
            raise click.UsageError("Say from when, for example: --since 2026-11-26T08:00")
        start, end = instant(since), instant(timedelta() if until is None else until)
        count = endpoints.replay_range(row, start, end, actor=actor(), types=events)
    click.echo(f"{count} {'delivery is' if count == 1 else 'deliveries are'} due again.")


def _endpoint_named(text: str) -> WebhookEndpoint:
    """The endpoint with this id (`whe_…`). Raises click.BadParameter."""
    from milango.models import WebhookEndpoint

    rows = WebhookEndpoint.objects.select_related("merchant")
    return row_named(rows, text, "ENDPOINT", "They are in: milango webhooks list")


def _delivery_named(text: str) -> WebhookDelivery:
    from milango.models import WebhookDelivery

    rows = WebhookDelivery.objects.select_related("endpoint__merchant")
    return row_named(rows, text, "WHAT", "They are in the admin, under deliveries.")
