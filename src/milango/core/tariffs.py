"""How many minutes of Wi-Fi an amount buys. Pure: whole KES in, whole minutes out."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal
from functools import lru_cache
from math import gcd
from typing import Any, Final, Literal

import msgspec

from .errors import InvalidAmount, InvalidRequest

Mode = Literal["exact", "pro_rata", "best_fit"]
Remainder = Literal["credit", "pro_rata", "ignore"]

LONGEST: Final = 366 * 24 * 60
"""Minutes. No plan is longer than a year."""


class Plan(msgspec.Struct, frozen=True):
    """So many minutes for a price in whole KES."""

    price: int
    minutes: int
    name: str = ""
    group: str = ""
    """Plans of one group (same clock, speed, devices) may be combined in one purchase."""


class Tariff(msgspec.Struct, frozen=True, kw_only=True):
    """What a merchant sells, and what becomes of money that fits no plan.

    Modes: `best_fit` buys the most minutes that the amount reaches, plans being reusable; `exact`
    sells a plan only at its price; `pro_rata` sells time at the rate of the best plan.
    Remainder: `credit` keeps it for the payer, `pro_rata` turns it into minutes, `ignore` drops it.
    """

    plans: tuple[Plan, ...]
    mode: Mode = "best_fit"
    remainder: Remainder = "credit"
    minimum: int = 1
    """KES below which `pro_rata` sells nothing."""
    maximum_minutes: int = LONGEST
    """The most minutes that one `pro_rata` purchase makes."""

    @staticmethod
    def from_json(document: Any) -> Tariff:
        """A tariff as a merchant stores it. Raises InvalidRequest that says what is wrong."""
        try:
            tariff = msgspec.convert(document, Tariff)
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"The tariff is wrong: {error}.", field="tariff") from None
        _check(tariff)
        return tariff

    def to_json(self) -> Any:
        """The same tariff as JSON can hold it."""
        return msgspec.to_builtins(self)


def _check(tariff: Tariff) -> None:
    prices = [plan.price for plan in tariff.plans]
    wrong = {
        "it needs at least one plan": not prices,
        "every price must be from 1 to 250000 KES": any(not 1 <= p <= 250_000 for p in prices),
        f"every plan must have 1 to {LONGEST} minutes": any(
            not 1 <= plan.minutes <= LONGEST for plan in tariff.plans
        ),
        "two plans have the same price": len(set(prices)) != len(prices),
        "it has more than 50 plans": len(prices) > 50,
        "minimum and maximum_minutes must be positive": tariff.minimum < 1
        or tariff.maximum_minutes < 1,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise InvalidRequest(f"The tariff is wrong: {what}.", field="tariff")


DEFAULT_TARIFF: Final = Tariff(plans=(Plan(50, 120),))
"""50 KES for 120 minutes."""


class Line(msgspec.Struct, frozen=True):
    """One plan, so many times."""

    plan: Plan
    count: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What an amount buys: `spent` and `remainder` are KES and add up to the amount."""

    minutes: int = 0
    """All of them, `remainder_minutes` included."""
    lines: tuple[Line, ...] = ()
    spent: int = 0
    remainder: int = 0
    remainder_minutes: int = 0


def calculate_access_time(amount: Decimal | int | str, tariff: Tariff = DEFAULT_TARIFF) -> int:
    """Minutes that an amount in KES buys: 50 → 120 by default.

    Raises InvalidAmount for what is no amount, or a negative one. Cents buy nothing.
    """
    return quote_access(amount, tariff).minutes


def quote_access(amount: Decimal | int | str, tariff: Tariff = DEFAULT_TARIFF) -> Quote:
    """What an amount buys, line by line. Raises InvalidAmount."""
    return _quote(_whole(amount), tariff)


def missing_for_a_plan(amount: Decimal | int | str, tariff: Tariff = DEFAULT_TARIFF) -> int:
    """KES that are missing to the cheapest plan; 0 when the amount buys something."""
    return max(0, _cheapest(tariff).price - _whole(amount))


def _whole(amount: Decimal | int | str) -> int:
    try:
        value = Decimal(amount) if not isinstance(amount, bool) else Decimal("NaN")
    except (ArithmeticError, TypeError, ValueError):
        value = Decimal("NaN")
    if not value.is_finite() or not 0 <= value < 10**12:
        raise InvalidAmount("Minutes are sold for an amount of 0 KES or more.")
    return int(value.to_integral_value(ROUND_FLOOR))


@lru_cache(maxsize=4_096)
def _quote(amount: int, tariff: Tariff) -> Quote:
    if tariff.mode == "pro_rata":
        return _quote_rate(amount, tariff)
    lines = _exact(amount, tariff) if tariff.mode == "exact" else _best_fit(amount, tariff)
    spent = sum(line.plan.price * line.count for line in lines)
    minutes = sum(line.plan.minutes * line.count for line in lines)
    return _with_remainder(amount, spent, minutes, lines, tariff)


def _quote_rate(amount: int, tariff: Tariff) -> Quote:
    """Minutes at the rate of the dearest plan that the amount reaches, rounded up."""
    if amount < tariff.minimum:
        return Quote(remainder=amount)
    reached = [plan for plan in tariff.plans if plan.price <= amount]
    plan = max(reached, key=_rate, default=_cheapest(tariff))
    minutes = min(-(-amount * plan.minutes // plan.price), tariff.maximum_minutes)
    return Quote(minutes=minutes, spent=amount)


def _with_remainder(
    amount: int, spent: int, minutes: int, lines: tuple[Line, ...], tariff: Tariff
) -> Quote:
    """Apply the remainder rule; below the cheapest plan there is nothing to add to."""
    left = amount - spent
    if lines and tariff.remainder == "pro_rata":
        plan = _cheapest(tariff)
        more = -(-left * plan.minutes // plan.price)
        return Quote(minutes=minutes + more, lines=lines, spent=amount, remainder_minutes=more)
    return Quote(minutes=minutes, lines=lines, spent=spent, remainder=left)


def _cheapest(tariff: Tariff) -> Plan:
    return min(tariff.plans, key=lambda plan: plan.price)


def _rate(plan: Plan) -> tuple[float, int]:
    """Minutes a shilling; among equals the dearer plan, because it means fewer packages."""
    return (plan.minutes / plan.price, plan.price)


def _exact(amount: int, tariff: Tariff) -> tuple[Line, ...]:
    return tuple(Line(plan, 1) for plan in tariff.plans if plan.price == amount)


def _best_fit(amount: int, tariff: Tariff) -> tuple[Line, ...]:
    """The most minutes; among equals the fewest packages, then the least money.

    Plans of different groups cannot be combined: then it is the largest single plan.
    """
    reached = [plan for plan in tariff.plans if plan.price <= amount]
    if not reached:
        return ()
    if len({plan.group for plan in tariff.plans}) > 1:
        return (Line(max(reached, key=lambda plan: (plan.minutes, -plan.price)), 1),)
    return _combine(amount, reached)


def _combine(amount: int, plans: list[Plan]) -> tuple[Line, ...]:
    """Fill most of a large amount with the best plan, and solve the rest exactly.

    Fewer than `best.price` packages of other plans are ever needed: among that many, some add up
    to a multiple of its price, and the best plan gives at least as much for it.
    """
    best = max(plans, key=_rate)
    reach = best.price * max(plan.price for plan in plans)
    bulk = max(0, (amount - reach) // best.price)
    counts = _fill(amount - bulk * best.price, plans)
    counts[best] = counts.get(best, 0) + bulk
    ordered = sorted(counts.items(), key=lambda item: -item[0].price)
    return tuple(Line(plan, count) for plan, count in ordered if count)


def _fill(amount: int, plans: list[Plan]) -> dict[Plan, int]:
    """Integer dynamic programme over multiples of the prices' common divisor."""
    unit = gcd(*(plan.price for plan in plans))
    size = amount // unit
    best: list[tuple[int, int]] = [(0, 0)] * (size + 1)
    taken: list[Plan | None] = [None] * (size + 1)
    for money in range(1, size + 1):
        best[money], taken[money] = best[money - 1], None
        for plan in plans:
            before = money - plan.price // unit
            if before >= 0:
                candidate = (best[before][0] + plan.minutes, best[before][1] - 1)
                if candidate > best[money]:
                    best[money], taken[money] = candidate, plan
    counts: dict[Plan, int] = {}
    money = size
    while money > 0:
        plan_taken = taken[money]
        if plan_taken is None:
            money -= 1
            continue
        counts[plan_taken] = counts.get(plan_taken, 0) + 1
        money -= plan_taken.price // unit
    return counts
