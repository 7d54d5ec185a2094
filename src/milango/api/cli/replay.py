"""`milango replay`: process again what was stored and not processed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import click

from .lazy import actor, with_django
from .times import SINCE, When, instant

if TYPE_CHECKING:
    from uuid import UUID


@click.command()
@click.option("--since", type=SINCE, help="Only what came since then: 7d, 12h or 2026-03-14.")
@click.option(
    "--verdict",
    "verdicts",
    multiple=True,
    help="Those with this verdict; otherwise poisoned and orphan. Repeat it.",
)
@click.option("--id", "ids", multiple=True, metavar="cbk_…", help="This one. Repeat it.")
@with_django
def replay(since: When | None, verdicts: tuple[str, ...], ids: tuple[str, ...]) -> None:
    """Process stored callbacks again, from the bytes as they arrived.

    What was settled already stays as it is: a callback counts once, however often it is
    processed. Exit code 1 if some could not be processed.
    """
    from rich.console import Console
    from rich.progress import track

    from milango.flows import audit
    from milango.flows import replay as replays

    start = instant(since) if since is not None else None
    rows = replays.chosen(ids=[_callback(text) for text in ids], verdicts=verdicts, since=start)
    found = list(rows.values_list("pk", flat=True))
    console = Console(stderr=True)
    shown = track(
        found, "Replaying", console=console, transient=True, disable=not console.is_terminal
    )
    became = [replays.again(callback_id) for callback_id in shown]
    counts = Counter((each.was, each.verdict) for each in became)
    for (was, verdict), count in sorted(counts.items()):
        click.echo(f"{count:>6}  {was} -> {verdict}")
    left = sum(not each.is_processed for each in became)
    if became:
        audit.record(actor(), "callbacks.replayed", f"{len(became)} callbacks", left=left)
    if not became:
        click.echo("There is nothing to process again.")
        return
    click.echo(f"{len(became) - left} of {len(became)} are processed.")
    if left:
        click.echo("What became of the others: milango check --money")
        raise click.exceptions.Exit(1)


def _callback(text: str) -> UUID:
    from milango.models.ids import parse_public_id

    found = parse_public_id(text.strip(), "cbk")
    if found is None:
        message = f"{text!r} is no callback's id; milango check names them (cbk_…)."
        raise click.BadParameter(message, param_hint="--id")
    return found
