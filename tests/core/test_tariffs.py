"""How many minutes an amount buys."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milango.core.errors import InvalidAmount, InvalidRequest
from milango.core.tariffs import (
    DEFAULT_TARIFF,
    LONGEST,
    MOST_MINUTES,
    Mode,
    Plan,
    Remainder,
    Tariff,
    calculate_access_time,
    missing_for_a_plan,
    quote_access,
)

FIVE = Tariff(plans=(Plan(10, 60), Plan(20, 180), Plan(50, 720), Plan(100, 1440), Plan(300, 10080)))


@pytest.mark.parametrize(
    ("amount", "minutes", "remainder"),
    [(50, 120, 0), (49, 0, 49), (55, 120, 5), (75, 120, 25), (100, 240, 0), (0, 0, 0)],
)
def test_by_default_fifty_shillings_buy_two_hours(amount, minutes, remainder) -> None:
    quote = quote_access(amount)
    assert (quote.minutes, quote.remainder) == (minutes, remainder)
    assert calculate_access_time(amount) == minutes


@pytest.mark.parametrize(
    ("amount", "minutes", "remainder"),
    [(70, 900, 0), (45, 360, 5), (310, 10140, 0), (9, 0, 9), (300, 10080, 0)],
)
def test_best_fit_buys_the_most_minutes(amount, minutes, remainder) -> None:
    quote = quote_access(amount, FIVE)
    assert (quote.minutes, quote.remainder) == (minutes, remainder)


def test_among_equal_minutes_there_are_fewer_packages() -> None:
    tariff = Tariff(plans=(Plan(50, 120), Plan(100, 240)))
    (line,) = quote_access(100, tariff).lines
    assert (line.plan.price, line.count) == (100, 1)


@pytest.mark.parametrize(
    ("tariff", "amount", "minutes", "remainder", "remainder_minutes"),
    [
        (Tariff(plans=(Plan(50, 120),), mode="exact"), 50, 120, 0, 0),
        (Tariff(plans=(Plan(50, 120),), mode="exact"), 100, 0, 100, 0),
        (Tariff(plans=(Plan(50, 120),), mode="exact", remainder="pro_rata"), 100, 240, 0, 240),
        (Tariff(plans=(Plan(50, 120),), mode="exact", remainder="pro_rata"), 49, 0, 49, 0),
        (Tariff(plans=(Plan(50, 120),), remainder="pro_rata"), 55, 132, 0, 12),
        (Tariff(plans=(Plan(50, 120),), remainder="pro_rata"), 49, 0, 49, 0),
        (Tariff(plans=(Plan(50, 120),), remainder="ignore"), 55, 120, 5, 0),
        (Tariff(plans=(Plan(50, 120),), mode="pro_rata"), 25, 60, 0, 0),
        (Tariff(plans=(Plan(50, 121),), mode="pro_rata"), 1, 3, 0, 0),
        (Tariff(plans=(Plan(50, 120),), mode="pro_rata", minimum=10), 9, 0, 9, 0),
        (Tariff(plans=(Plan(50, 120),), mode="pro_rata", maximum_minutes=200), 500, 200, 417, 0),
        (Tariff(plans=(Plan(50, 120), Plan(100, 300)), mode="pro_rata"), 100, 300, 0, 0),
    ],
)
def test_modes_and_remainders(tariff, amount, minutes, remainder, remainder_minutes) -> None:
    quote = quote_access(amount, tariff)
    found = (quote.minutes, quote.remainder, quote.remainder_minutes)
    assert found == (minutes, remainder, remainder_minutes)


def test_plans_of_different_groups_are_not_combined() -> None:
    tariff = Tariff(plans=(Plan(20, 60, group="slow"), Plan(50, 120, group="fast")))
    quote = quote_access(90, tariff)
    assert (quote.minutes, quote.remainder) == (120, 40)


def test_a_remainder_is_sold_at_the_rate_of_the_group_that_was_bought() -> None:
    plans = (Plan(20, 200, group="slow"), Plan(50, 300, group="fast"))
    quote = quote_access(60, Tariff(plans=plans, remainder="pro_rata"))
    assert (quote.minutes, quote.remainder_minutes) == (360, 60)


@pytest.mark.parametrize(
    "amount",
    [
        *(-1, "-1", "NaN", "fifty", "", " 50", "1e3", "1_000", "٥٠", "50.001", "9" * 5000),
        *(True, None, [], (0, (5,), 0), 50.5, float("nan"), float("inf"), 10**12),
        *("1e999", Decimal("Infinity"), Decimal("sNaN")),
    ],
)
def test_what_is_no_amount_is_refused(amount) -> None:
    with pytest.raises(InvalidAmount):
        calculate_access_time(amount)


def test_cents_buy_nothing() -> None:
    assert calculate_access_time(Decimal("50.99")) == 120
    assert calculate_access_time("49.99") == 0


@pytest.mark.parametrize("amount", [50, "50", "50.00", 50.0, Decimal("50.00")])
def test_fifty_shillings_are_fifty_however_they_are_written(amount) -> None:
    assert quote_access(amount).spent == 50


def test_what_is_missing_is_known() -> None:
    assert missing_for_a_plan(40) == 10
    assert missing_for_a_plan(60) == 0


def test_the_largest_amount_with_awkward_prices_is_quoted_at_once() -> None:
    tariff = Tariff(plans=(Plan(97, 101), Plan(89, 91), Plan(13, 11)))
    quote = quote_access(250_000, tariff)
    assert quote.spent + quote.remainder == 250_000


def test_a_quote_is_never_so_long_that_its_end_is_no_date() -> None:
    tariff = Tariff(plans=(Plan(1, LONGEST),))
    assert calculate_access_time(250_000, tariff) == MOST_MINUTES


def test_what_no_m_pesa_payment_can_be_is_remainder() -> None:
    quote = quote_access(250_075)
    assert (quote.minutes, quote.spent, quote.remainder) == (600_000, 250_000, 75)


plans = st.lists(
    st.builds(Plan, st.integers(1, 12), st.integers(1, 30)),
    min_size=1,
    max_size=3,
    unique_by=lambda plan: plan.price,
).map(tuple)


@settings(max_examples=60)
@given(plans, st.integers(0, 60))
def test_best_fit_equals_trying_everything(plans, amount) -> None:
    ways = product(*(range(amount // plan.price + 1) for plan in plans))
    most = max(
        (sum(n * p.minutes for n, p in zip(way, plans, strict=True)), -sum(way))
        for way in ways
        if sum(n * p.price for n, p in zip(way, plans, strict=True)) <= amount
    )
    quote = quote_access(amount, Tariff(plans=plans))
    assert (quote.minutes, -sum(line.count for line in quote.lines)) == most


@settings(max_examples=60)
@given(plans, st.integers(500, 3_000))
def test_large_amounts_equal_the_plain_recurrence(plans, amount) -> None:
    best = [0]
    for money in range(1, amount + 1):
        reached = [best[money - p.price] + p.minutes for p in plans if p.price <= money]
        best.append(max(reached, default=0))
    assert calculate_access_time(amount, Tariff(plans=plans)) == best[amount]


@given(
    plans,
    st.integers(0, 2_000),
    st.sampled_from(get_args(Mode)),
    st.sampled_from(get_args(Remainder)),
    st.integers(1, 50),
)
def test_no_shilling_is_lost_between_spent_and_remainder(
    plans, amount, mode, remainder, most
) -> None:
    tariff = Tariff(plans=plans, mode=mode, remainder=remainder, maximum_minutes=most)
    quote = quote_access(amount, tariff)
    assert quote.spent + quote.remainder == amount
    assert quote.spent >= 0
    assert quote.remainder >= 0


@given(plans, st.integers(0, 500), st.integers(0, 100), st.integers(1, 50))
def test_at_a_rate_more_money_never_buys_less(plans, amount, more, most) -> None:
    tariff = Tariff(plans=plans, mode="pro_rata", maximum_minutes=most)
    assert calculate_access_time(amount, tariff) <= calculate_access_time(amount + more, tariff)


@given(plans, st.integers(1, 500), st.integers(1, 50))
def test_the_maximum_is_reached_with_the_least_money(plans, amount, most) -> None:
    tariff = Tariff(plans=plans[:1], mode="pro_rata", maximum_minutes=most)
    quote = quote_access(amount, tariff)
    if quote.remainder:
        assert calculate_access_time(quote.spent, tariff) == most
        assert calculate_access_time(quote.spent - 1, tariff) < most


@given(plans, st.integers(0, 500), st.integers(0, 100))
def test_more_money_never_buys_less(plans, amount, more) -> None:
    tariff = Tariff(plans=plans)
    assert calculate_access_time(amount, tariff) <= calculate_access_time(amount + more, tariff)


@given(plans)
def test_a_tariff_survives_its_json(plans) -> None:
    tariff = Tariff(plans=plans, mode="exact", remainder="ignore")
    assert Tariff.from_json(tariff.to_json()) == tariff


@pytest.mark.parametrize(
    "document",
    [
        {"plans": []},
        {"plans": [{"price": 0, "minutes": 1}]},
        {"plans": [{"price": 50, "minutes": 0}]},
        {"plans": [{"price": 50, "minutes": 1}, {"price": 50, "minutes": 2}]},
        {"plans": [{"price": 50, "minutes": 1}], "mode": "guess"},
        {"plans": [{"price": 50, "minutes": 1}], "remaindr": "ignore"},
        {"plans": [{"price": 50, "minutes": 1, "minuten": 2}]},
        {"plans": [{"price": "50", "minutes": 1}]},
        {"plans": [{"price": 50.5, "minutes": 1}]},
        {"plans": [{"price": True, "minutes": 1}]},
        {"plans": [{"price": price, "minutes": 1} for price in range(1, 52)]},
        {"plans": "none"},
        [],
    ],
)
def test_a_wrong_tariff_is_refused_by_name(document) -> None:
    with pytest.raises(InvalidRequest, match="tariff"):
        Tariff.from_json(document)


def test_the_default_tariff_is_valid() -> None:
    assert Tariff.from_json(DEFAULT_TARIFF.to_json()) == DEFAULT_TARIFF


DOCS = Path(__file__).parents[2] / "docs" / "access-time.md"


def rows_of(heading: str) -> list[list[int]]:
    section = DOCS.read_text(encoding="utf-8").split(f"## {heading}")[1].split("\n## ")[0]
    cells = [re.findall(r"[0-9]+", row) for row in section.splitlines() if row.startswith("| ")]
    return [[int(cell) for cell in row] for row in cells if row]


@pytest.mark.parametrize(
    ("heading", "tariff"), [("The default", DEFAULT_TARIFF), ("Best fit", FIVE)]
)
def test_the_examples_in_the_docs_are_true(heading, tariff) -> None:
    rows = rows_of(heading)
    assert rows
    for amount, minutes, remainder in rows:
        quote = quote_access(amount, tariff)
        assert (amount, quote.minutes, quote.remainder) == (amount, minutes, remainder)
