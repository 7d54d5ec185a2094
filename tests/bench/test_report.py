"""The benchmark's arithmetic and its words; no test measures time."""

from __future__ import annotations

from xml.etree import ElementTree

from bench import report, seed
from bench.__main__ import GROWN, ONCE, ROUNDS, SLOWLY, TOLD, summary
from bench.load import Run, percentile

WANTED = {
    "callbacks_postgres_per_s",
    "callbacks_postgres_vs_pgbench",
    "callbacks_postgres_vs_drf",
    "callbacks_sqlite_per_s",
    "pushes_per_s",
    "pushes_vs_sync",
    "push_added_p99_ms_at_50",
    "streams_10k_mb",
    "streams_wake_p99_ms",
    "growth_callbacks",
    "growth_pushes",
    "demo_rest_mb",
    "webhooks_per_s",
    "webhook_first_ms_p99",
}

FIGURES = {
    "per_s": 100.0,
    "p50_ms": 1.0,
    "p99_ms": 2.0,
    "added_p99_ms": 3.0,
    "burst_ms": 3.5,
    "generator_us": 10.0,
    "server_us": 20.0,
    "database_us": 30.0,
    "mb": 50.0,
    "wake_p99_ms": 4.0,
    "help_s": 0.1,
    "first_p50_ms": 5.0,
    "first_p99_ms": 6.0,
    "worker_us": 7.0,
}


def test_the_figures_that_others_read_are_all_there() -> None:
    runs = {name: [FIGURES] for name in (*ROUNDS, *SLOWLY, *TOLD, *ONCE)}
    assert runs.keys() >= GROWN
    found = summary(runs)
    assert found.keys() >= WANTED
    assert {target.name for target in report.TARGETS} <= found.keys()
    assert found["callback_cpu_us"] == 60.0
    assert found["callbacks_postgres_vs_drf"] == 1.0


def test_a_ratio_is_one_of_medians() -> None:
    runs = {
        "callbacks": [FIGURES | {"per_s": n} for n in (10.0, 30.0, 1000.0)],
        "drf": [FIGURES | {"per_s": n} for n in (5.0, 3.0, 1.0)],
    }
    assert summary(runs)["callbacks_postgres_vs_drf"] == 10.0
    assert report.ratio(1.0, 0.0) == 0.0


def test_percentiles_are_of_what_was_measured() -> None:
    took = [n / 1_000 for n in range(1, 101)]
    assert percentile(took, 0.5) == 51.0
    assert percentile(took, 0.99) == 100.0
    assert percentile([], 0.99) == 0.0


def test_a_target_has_one_side() -> None:
    for target in report.TARGETS:
        assert target.least is None or target.most is None
    least, most = report.Target("a", "", 5), report.Target("b", "", most=5)
    assert (least.holds(6), least.holds(4), most.holds(6), most.holds(4)) == (1, 0, 0, 1)


def test_a_picture_is_whole_and_tells_every_value() -> None:
    picture = report.bars("Speed", {"one": {"a": 1.0, "b": 2.5}, "two": {"a": 3.0}}, "per second")
    texts = [each.text for each in ElementTree.fromstring(picture).iter() if each.text]  # noqa: S314
    assert {"Speed", "one", "two", "2.5", "3", "per second"} <= {text.strip() for text in texts}


def test_the_history_is_as_long_as_wanted() -> None:
    assert "generate_series(1, 1234)" in seed.PAST.format(rows=1_234)
    for table, statement in seed.HISTORY.items():
        assert statement.strip().startswith(f"INSERT INTO {table} ")
        assert "FROM bench_past" in statement
        assert "$" not in statement


async def test_what_is_measured_lies_between_the_first_wave_and_the_last() -> None:
    run = Run(iter(()), connections=10)
    run.ended = [float(n) for n in range(100)]
    assert run.ended[run.steady()] == [float(n) for n in range(10, 90)]
    run.ended = run.ended[:30]
    assert len(run.ended[run.steady()]) == 20, "few requests, of which waves are a third"
