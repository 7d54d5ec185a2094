"""`make bench`: runs everything, interleaved, and reports."""

from __future__ import annotations

import json
import os
import platform
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from . import report, scenarios
from .postgres import running
from .processes import ROOT
from .scenarios import FOLDER, Bench, Figures

Scenario = Callable[[Bench], Figures]

ROUNDS: Final[dict[str, Scenario]] = {
    # Milango and what it is compared with, one after the other, and the whole again.
    "callbacks": lambda bench: scenarios.callbacks(bench, connections=64),
    "pgbench": scenarios.callbacks_by_pgbench,
    "drf": scenarios.callbacks_by_drf,
    "pushes": lambda bench: scenarios.pushes(bench, connections=500),
    "sync": scenarios.pushes_the_sync_way,
    "callbacks_grown": lambda bench: scenarios.callbacks(
        bench, connections=64, template=f"bench_{bench.rows}"
    ),
    "pushes_grown": lambda bench: scenarios.pushes(
        bench, connections=500, template=f"bench_{bench.rows}"
    ),
}
SLOWLY: Final[dict[str, Scenario]] = {
    # On a disk whose commits take five milliseconds longer. Not in a quick run.
    "callbacks_slow": lambda bench: scenarios.callbacks(
        bench, connections=64, commit_ms=scenarios.SLOW_DISK_MS
    ),
    "pgbench_slow": lambda bench: scenarios.callbacks_by_pgbench(
        bench, commit_ms=scenarios.SLOW_DISK_MS
    ),
}
TOLD: Final[dict[str, Scenario]] = {
    # Not in a quick run either.
    "webhooks": scenarios.webhooks,
}
ONCE: Final[dict[str, Scenario]] = {
    "callbacks_256": lambda bench: scenarios.callbacks(bench, connections=256),
    "sqlite": lambda bench: scenarios.callbacks(bench, connections=64, sqlite=True),
    "pushes_50": lambda bench: scenarios.pushes(bench, connections=scenarios.BURST),
    "streams": scenarios.streams,
    "statuses_grown": lambda bench: scenarios.statuses(bench, template=f"bench_{bench.rows}"),
    "statuses": lambda bench: scenarios.statuses(bench, template="bench_10000"),
    "rest": scenarios.rest,
}

GROWN: Final = {"callbacks_grown", "pushes_grown", "statuses_grown", "statuses"}
"""What needs a history to run on."""

Runs = dict[str, list[Figures]]


@click.command()
@click.option("--quick", is_flag=True, help="Under three minutes: short runs, a million payments.")
@click.option("--rows", type=int, help="Payments in the long history.")
@click.option("--seconds", type=float, help="Of each run.")
@click.option("--rounds", type=int, help="How often each is run.")
@click.option("--only", default="", help="Scenarios, separated by commas.")
@click.option("--json", "file", type=click.Path(path_type=Path), help="Write the figures here.")
@click.option("--pictures", is_flag=True, help="Draw docs/images/speed-*.svg.")
def main(
    quick: bool,
    rows: int | None,
    seconds: float | None,
    rounds: int | None,
    only: str,
    file: Path | None,
    pictures: bool,
) -> None:
    """Measure Milango and its baselines on this machine, with a PostgreSQL of their own."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    console = Console()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with running(FOLDER / "postgres") as server, Progress(*columns, console=console) as progress:
        task = progress.add_task("starting")
        bench = Bench(
            server,
            seconds or (2.5 if quick else 10),
            rows or (1_000_000 if quick else 10_000_000),
            lambda text: progress.update(task, description=text),
        )
        named = set(filter(None, only.split(",")))
        runs = measure(bench, rounds or (1 if quick else 3), named, slowly=bool(named or not quick))
    scenarios.clean()
    figures = summary(runs)
    report.show(figures, machine())
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n")
    if pictures:
        draw(runs, figures)


def measure(bench: Bench, rounds: int, only: set[str], *, slowly: bool) -> Runs:
    """Run everything that is asked for; `slowly`: what is not in a quick run too."""
    scenarios.prepare_databases(bench, grown=not only or bool(only & GROWN))
    runs: Runs = defaultdict(list)
    repeated = ROUNDS | SLOWLY | TOLD if slowly else ROUNDS
    plan = [*repeated.items()] * rounds + [*ONCE.items()]
    for name, scenario in plan:
        if only and name not in only:
            continue
        if name.startswith("pgbench") and not bench.server.pgbench:
            continue
        bench.say(f"{name}, {len(runs[name]) + 1}")
        runs[name].append(scenario(bench))
    return runs


def summary(runs: Runs) -> dict[str, float]:
    """The flat figures: medians, and ratios of medians."""
    found: dict[str, float] = {}

    def take(name: str, scenario: str, figure: str) -> None:
        if runs.get(scenario):
            found[name] = round(report.middle(runs[scenario], figure), 3)

    def compare(name: str, one: str, other: str) -> None:
        if runs.get(one) and runs.get(other):
            figures = report.middle(runs[one], "per_s"), report.middle(runs[other], "per_s")
            found[name] = round(report.ratio(*figures), 3)

    take("callbacks_postgres_per_s", "callbacks", "per_s")
    take("callbacks_postgres_p99_ms", "callbacks", "p99_ms")
    take("callbacks_postgres_256_per_s", "callbacks_256", "per_s")
    take("callbacks_postgres_256_p99_ms", "callbacks_256", "p99_ms")
    compare("callbacks_postgres_vs_pgbench", "callbacks", "pgbench")
    compare("callbacks_postgres_vs_drf", "callbacks", "drf")
    take("callbacks_slow_disk_per_s", "callbacks_slow", "per_s")
    compare("callbacks_slow_disk_vs_pgbench", "callbacks_slow", "pgbench_slow")
    take("callbacks_sqlite_per_s", "sqlite", "per_s")
    take("pgbench_per_s", "pgbench", "per_s")
    take("drf_per_s", "drf", "per_s")
    take("pushes_per_s", "pushes", "per_s")
    take("pushes_sync_per_s", "sync", "per_s")
    compare("pushes_vs_sync", "pushes", "sync")
    take("push_added_p99_ms_at_50", "pushes_50", "added_p99_ms")
    take("push_burst_ms_at_50", "pushes_50", "burst_ms")
    take("statuses_per_s", "statuses_grown", "per_s")
    compare("status_growth", "statuses_grown", "statuses")
    compare("growth_callbacks", "callbacks_grown", "callbacks")
    compare("growth_pushes", "pushes_grown", "pushes")
    take("streams_10k_mb", "streams", "mb")
    take("streams_wake_p99_ms", "streams", "wake_p99_ms")
    take("webhooks_per_s", "webhooks", "per_s")
    take("webhook_first_ms", "webhooks", "first_p50_ms")
    take("webhook_first_ms_p99", "webhooks", "first_p99_ms")
    take("webhook_worker_us", "webhooks", "worker_us")
    take("demo_rest_mb", "rest", "mb")
    take("help_s", "rest", "help_s")
    for part in ("generator", "server", "database"):
        take(f"callback_{part}_us", "callbacks", f"{part}_us")
        take(f"push_{part}_us", "pushes", f"{part}_us")
    parts = [found.get(f"callback_{part}_us") for part in ("generator", "server", "database")]
    if all(part is not None for part in parts):
        found["callback_cpu_us"] = round(sum(part for part in parts if part), 1)
    return found


def machine() -> str:
    """The processor and how many of it there are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor()
    return f"{os.cpu_count()} × {name}, Python {platform.python_version()}"


def draw(runs: Runs, figures: dict[str, float]) -> None:
    """The pictures of docs/speed.md."""
    folder = ROOT / "docs" / "images"
    intake = {
        "64 connections": {"callbacks/s": figures.get("callbacks_postgres_per_s", 0)},
        "256 connections": {"callbacks/s": figures.get("callbacks_postgres_256_per_s", 0)},
        "SQLite": {"callbacks/s": figures.get("callbacks_sqlite_per_s", 0)},
        "plain view": {"callbacks/s": figures.get("drf_per_s", 0)},
        "pgbench": {"callbacks/s": figures.get("pgbench_per_s", 0)},
    }
    picture = report.bars("Callbacks stored and settled", intake, "per second")
    (folder / "speed-callbacks.svg").write_text(picture)
    growth = {
        "callbacks": {"no history": 1.0, "long history": figures.get("growth_callbacks", 0)},
        "prompts": {"no history": 1.0, "long history": figures.get("growth_pushes", 0)},
        "status reads": {"no history": 1.0, "long history": figures.get("status_growth", 0)},
    }
    picture = report.bars("What a long history costs", growth, "of the speed without it")
    (folder / "speed-growth.svg").write_text(picture)


if __name__ == "__main__":
    main()
