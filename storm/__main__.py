"""`make storm`: makes one, shows it, and says what held."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .databases import KINDS
from .run import FOLDER, Plan, Progress, Report, storm

LONG: Final = Plan(seed=0, payments=50_000, kills=200, rate=250, gap=3, reconcile=900)
SHORT: Final = Plan(seed=0, payments=10_000, kills=40, rate=200, gap=2.5, reconcile=150)
"""Under eight minutes, the reconciler's time included."""


@click.command()
@click.option("--short", is_flag=True, help="Under eight minutes.")
@click.option("--seed", type=int, help="Repeat the stories, kills and faults of a run.")
@click.option("--payments", type=int, help="At least so many requests for a prompt.")
@click.option("--kills", type=int, help="At least so many SIGKILLs.")
@click.option("--rate", type=float, help="Requests a second.")
@click.option("--gap", type=float, help="Seconds between two faults, on average.")
@click.option("--reconcile", type=float, help="Seconds that Milango may take afterwards.")
@click.option("--still", type=float, help="Seconds without a change that end the waiting.")
@click.option("--time-scale", type=float, help="How long stories take: 0.1 is a tenth of life.")
@click.option("--prompt-life", type=int, help="Seconds that a prompt counts as open.")
@click.option("--database", type=click.Choice(list(KINDS)), default="postgres", show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), default=FOLDER, help="For its data.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
def main(short: bool, folder: Path, file: Path | None, **wanted: object) -> None:
    """Kill Milango's processes and its database under load, then compare the books.

    Exit code 1 when a shilling, a webhook or a grant is missing or doubled.
    """
    given = {name: value for name, value in wanted.items() if value is not None}
    given.setdefault("seed", random.SystemRandom().randrange(10**6))
    plan = replace(SHORT if short else LONG, **given)  # type: ignore[arg-type]
    console = Console()
    console.print(f"storm: seed {plan.seed} (repeat it with --seed {plan.seed})", highlight=False)
    report = asyncio.run(_shown(plan, folder, console))
    if file:
        file.write_text(json.dumps(report.figures(), indent=2) + "\n")
    _tell(report, console)
    sys.exit(bool(report.failures))


async def _shown(plan: Plan, folder: Path, console: Console) -> Report:
    progress = Progress()
    task = asyncio.create_task(storm(plan, progress, folder.absolute()))
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while not task.done():
            live.update(_view(plan, progress))
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(task), 0.5)
    return task.result()


def _view(plan: Plan, progress: Progress) -> Group:
    table = Table.grid(padding=(0, 3))
    payers, weather, receiver = progress.payers, progress.weather, progress.receiver
    counts = progress.counts
    if payers and weather and receiver:
        table.add_row(
            f"asked {len(payers.asked):,} of {plan.payments:,}",
            f"unanswered {payers.under_way:,}",
            f"kills {weather.kills:,} of {plan.kills:,}",
        )
        table.add_row(
            f"succeeded {counts.succeeded:,}", f"pending {counts.pending:,}", f"due {counts.due:,}"
        )
        table.add_row(
            f"webhooks heard {receiver.heard.total():,}", f"to be sent {counts.deliveries:,}", ""
        )
    happened = Text("\n".join(progress.lines), style="dim")
    return Group(Text(progress.phase, style="bold"), table, happened)


def _tell(report: Report, console: Console) -> None:
    verdict = report.verdict
    table = Table(title=f"Storm, seed {report.plan.seed}", title_justify="left", show_header=False)
    rows = {
        "payments asked for": report.payments,
        "kills": report.kills,
        "successes in the ledger": verdict.successes_there,
        "successes here": verdict.successes_here,
        "  of which without a receipt": len(verdict.without_receipt),
        "missing here": len(verdict.missing),
        "not in the ledger": len(verdict.invented),
        "doubled": verdict.doubled + report.two_payments,
        "grants missing or invented": len(verdict.grants_missing) + len(verdict.grants_invented),
        "webhooks due": report.webhooks_due,
        "webhooks missing": report.webhooks_missing,
        "still pending (in doubt)": report.counts.pending,
        "seconds": round(sum(report.seconds)),
    }
    for what, number in rows.items():
        table.add_row(what, f"{number:,}")
    table.add_row("milango check", "clean" if report.check_clean else "complains")
    console.print(table)
    happened = ", ".join(f"{name} {times}" for name, times in sorted(report.faults.items()))
    console.print(f"Happened: {happened}", highlight=False)
    for line in report.skipped:
        console.print(f"[bold yellow]NOT DONE[/] {line}", highlight=False)
    for story, times in verdict.stories_missing.items():
        console.print(f"missing: {times} × {story}", highlight=False)
    if not report.check_clean:
        console.print(report.check_said, markup=False, highlight=False)
    for failure in report.failures:
        console.print(f"[bold red]✗[/] {failure}", highlight=False)
    if not report.failures:
        console.print("[bold green]✓[/] The books are equal; nothing is doubled or missing.")


if __name__ == "__main__":
    main()
