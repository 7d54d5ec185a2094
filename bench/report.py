"""Figures against targets: a table for people, a flat JSON for machines, pictures for the docs."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Final, NamedTuple

from rich.console import Console
from rich.table import Table


class Target(NamedTuple):
    """A figure's name in the JSON, what it is, what it should be."""

    name: str
    what: str
    least: float | None = None
    most: float | None = None

    def holds(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most
        )

    @property
    def wanted(self) -> str:
        return f"≥ {self.least:g}" if self.least is not None else f"≤ {self.most:g}"


TARGETS: Final = (
    Target("callbacks_postgres_per_s", "callbacks a second, PostgreSQL, 64 connections", 6_000),
    Target("callbacks_postgres_p99_ms", "their p99, ms", most=50),
    Target("callbacks_postgres_256_per_s", "callbacks a second at 256 connections", 6_000),
    Target("callbacks_postgres_256_p99_ms", "their p99, ms", most=50),
    Target("callbacks_postgres_vs_pgbench", "× one statement a callback, by pgbench", 0.5),
    Target("callbacks_postgres_vs_drf", "× a plain REST framework view", 14),
    Target("callbacks_slow_disk_per_s", "callbacks a second, commits taking 5 ms longer"),
    Target("callbacks_slow_disk_vs_pgbench", "× one statement a callback, by pgbench there", 1),
    Target("callbacks_sqlite_per_s", "callbacks a second, SQLite", 6_000),
    Target("pushes_per_s", "prompts a second, 500 at a time, Daraja taking 500 ms", 850),
    Target("pushes_vs_sync", "× the sync way", 9),
    Target("push_added_p99_ms_at_50", "ms added at p99, 50 at a time", most=60),
    Target("push_burst_ms_at_50", "ms added at most, 50 in the same instant"),
    Target("streams_10k_mb", "MB for 10,000 open streams", most=200),
    Target("streams_wake_p99_ms", "ms from commit to a waiting stream, p99", most=100),
    Target("webhooks_per_s", "webhooks a second, one worker, 50 fast endpoints", 2_000),
    Target("webhook_first_ms", "ms from commit to webhook, the worker being idle"),
    Target("webhook_first_ms_p99", "their p99, ms", most=100),
    Target("webhook_worker_us", "µs of the worker's CPU a webhook"),
    Target("statuses_per_s", "status reads a second at one process, 64 connections"),
    Target("status_growth", "a status read: long history ÷ none", 0.85),
    Target("growth_callbacks", "callbacks: long history ÷ none", 0.85),
    Target("growth_pushes", "prompts: long history ÷ none", 0.85),
    Target("demo_rest_mb", "MB of the demo at rest", most=200),
    Target("help_s", "seconds for milango --help", most=0.3),
    Target("callback_cpu_us", "µs of CPU a callback, all together", most=333),
    Target("callback_generator_us", "of which the generator", most=20),
    Target("callback_server_us", "of which the server"),
    Target("callback_database_us", "of which PostgreSQL"),
)


def middle(runs: Sequence[dict[str, float]], name: str) -> float:
    """The median of a figure over several runs."""
    return median(run[name] for run in runs)


def ratio(one: float, other: float) -> float:
    """One figure as a multiple of another; 0 when there is nothing to compare with."""
    return one / other if other else 0.0


def table(figures: dict[str, float], machine: str) -> Table:
    """What was measured beside what was wanted."""
    found = Table(title=f"Milango on {machine}", title_justify="left")
    for name, justify in (
        ("figure", "left"),
        ("measured", "right"),
        ("wanted", "right"),
        ("", "left"),
    ):
        found.add_column(name, justify=justify)  # type: ignore[arg-type]
    for target in TARGETS:
        value = figures.get(target.name)
        if value is None:
            continue
        bound = target.least is not None or target.most is not None
        mark = ("[green]✓[/]" if target.holds(value) else "[red]✗[/]") if bound else ""
        found.add_row(target.what, f"{value:,.4g}", target.wanted if bound else "", mark)
    return found


def show(figures: dict[str, float], machine: str) -> None:
    """Print the table."""
    Console().print(table(figures, machine))


# --- pictures -------------------------------------------------------------------------------

WIDTH: Final = 640
HEIGHT: Final = 300
COLOURS: Final = ("#107a43", "#b45309", "#4b5563", "#1d4ed8")


def bars(title: str, groups: dict[str, dict[str, float]], unit: str) -> str:
    """An SVG of bars: for each group, one bar for each series."""
    series = list(dict.fromkeys(name for values in groups.values() for name in values))
    top = max(value for values in groups.values() for value in values.values()) or 1.0
    step = (WIDTH - 80) / len(groups)
    thick = step * 0.7 / len(series)
    parts = [_text(20, 28, title, 16)]
    for n, (group, values) in enumerate(groups.items()):
        left = 60 + n * step
        parts.append(_text(left + step * 0.35, HEIGHT - 34, group, 12, "middle"))
        for m, name in enumerate(series):
            tall = values.get(name, 0.0) / top * (HEIGHT - 120)
            x, y = left + m * thick, HEIGHT - 52 - tall
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{thick * 0.9:.1f}" height="{tall:.1f}" '
                f'rx="2" fill="{COLOURS[m % len(COLOURS)]}"/>'
            )
            if name in values:
                parts.append(_text(x + thick * 0.45, y - 5, f"{values[name]:,.4g}", 11, "middle"))
    for m, name in enumerate(series):
        x = 60 + m * 190
        parts.append(
            f'<rect x="{x}" y="{HEIGHT - 22}" width="10" height="10" fill="{COLOURS[m]}"/>'
        )
        parts.append(_text(x + 15, HEIGHT - 13, name, 12))
    parts.append(_text(WIDTH - 20, 28, unit, 12, "end"))
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" role="img"><title>{title}</title>\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>\n{body}\n</svg>\n'
    )


def _text(x: float, y: float, text: str, size: int, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
        f'fill="#111827">{text}</text>'
    )
