"""Alerts and dashboard use the numbers that there are, all of them, and no others."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from milango.flows import gauges
from milango.seen import metrics

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"\bmilango_[a-z_]+\b")


def known() -> dict[str, str]:
    """Every name that a scrape can hold, and the metric it belongs to."""
    found = {gauges.UP: gauges.UP} | {reading.name: reading.name for reading in gauges.READINGS}
    for family in metrics.REGISTRY.collect():
        tails = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("_total",)}
        for tail in tails.get(family.type, ("",)):
            found[family.name + tail] = family.name
    return found


def expressions() -> dict[str, list[str]]:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))
    board: dict[str, Any] = json.loads((ROOT / "deploy/grafana/milango.json").read_text("utf-8"))
    return {
        "alerts": [rule["expr"] for group in rules["groups"] for rule in group["rules"]],
        "dashboard": [each["expr"] for panel in board["panels"] for each in panel["targets"]],
    }


def test_alerts_and_dashboard_name_only_what_there_is() -> None:
    for where, said in expressions().items():
        assert said
        for expression in said:
            names = NAME.findall(expression)
            assert names, expression
            assert set(names) <= set(known()), where


def test_nothing_is_counted_that_nobody_looks_at() -> None:
    shown = {known()[name] for each in expressions()["dashboard"] for name in NAME.findall(each)}
    assert set(known().values()) - shown == {"milango_doubts_oldest_seconds"}, "an alert has it"


def test_the_page_explains_every_number() -> None:
    page = (ROOT / "docs/observability.md").read_text("utf-8")
    names = {name for name in known() if not name.endswith(("_bucket", "_sum", "_count"))}
    histograms = {family.name for family in metrics.REGISTRY.collect()} & set(known().values())
    plain = names | {each for each in histograms if f"{each}_count" in known()}
    assert {name for name in plain if f"`{name}`" not in page} == set()


def test_every_alert_says_what_it_is_about() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text("utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"], rule["alert"]
            assert rule["labels"]["severity"] in {"page", "ticket"}
