"""How many minutes of Wi-Fi an amount buys. Pure: whole KES in, whole minutes out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
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

MOST_MINUTES: Final = 10 * LONGEST
"""No quote is longer, whatever a tariff says: a grant's end must stay a date."""

MOST_KES: Final = 250_000
"""The largest M-Pesa payment. What is above it is remainder."""

MOST_PLANS: Final = 50

WRITTEN: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,2})?")


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many minutes for a price in whole KES."""

    price: int
    minutes: int
    name: str = ""
    group: str = ""
    """Plans of one group (same clock, speed, devices) may be combined in one purchase."""


class Tariff(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a merchant sells, and what becomes of money that fits no plan.

    Modes: `best_fit` buys the most minutes that the amount reaches, plans being reusable; `exact`
    sells a plan only at its price; `pro_rata` sells time at the rate of the best plan.
    Remainder: `credit` keeps it for the payer, `pro_rata` turns it into minutes, `ignore` drops it;
    the quote names it in every case.
    """

    plans: tuple[Plan, ...]
    mode: Mode = "best_fit"
    remainder: Remainder = "credit"
    minimum: int = 1
    """KES below which `pro_rata` sells nothing."""
    maximum_minutes: int = LONGEST
    """The most minutes that one `pro_rata` purchase makes; money beyond them is remainder."""

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
        "every price must be from 1 to 250000 KES": any(not 1 <= p <= MOST_KES for p in prices),
        f"every plan must have 1 to {LONGEST} minutes": any(
            not 1 <= plan.minutes <= LONGEST for plan in tariff.plans
        ),
        "two plans have the same price": len(set(prices)) != len(prices),
        f"it has more than {MOST_PLANS} plans": len(prices) > MOST_PLANS,
        "minimum and maximum_minutes must be positive": tariff.minimum < 1
        or tariff.maximum_minutes < 1,
    }
    for what, is_so in wrong.items():
        if is_so:
            raise InvalidRequest(f"The tariff is wrong: {what}.", field="tariff")


Amount = Decimal | int | str | float

DEFAULT_TARIFF: Final = Tariff(plans=(Plan(50, 120),))
"""50 KES for 120 minutes."""


class Line(msgspec.Struct, frozen=True):
    """One plan, so many times."""

    plan: Plan
    count: int


class Quote(msgspec.Struct, frozen=True, kw_only=True):
    """What an amount buys: `spent` and `remainder` add up to the amount, in whole KES."""

    minutes: int = 0
    """All of them, `remainder_minutes` included."""
    lines: tuple[Line, ...] = ()
    """The whole packages. Minutes at a rate have no line."""
    spent: int = 0
    remainder: int = 0
    """KES that bought no time."""
    remainder_minutes: int = 0
    """Those that money short of a package bought, at a package's rate."""


def calculate_access_time(amount: Amount, tariff: Tariff = DEFAULT_TARIFF) -> int:
    """Minutes that an amount in KES buys: 50 → 120 by default.

    Raises InvalidAmount for what is no amount, a negative one, or a float with a fraction. Cents
    (of a Decimal or a text) buy nothing.
    """
    return quote_access(amount, tariff).minutes


def quote_access(amount: Amount, tariff: Tariff = DEFAULT_TARIFF) -> Quote:
    """What an amount buys, line by line. Raises InvalidAmount."""
    return _quote(_whole(amount), tariff)


def missing_for_a_plan(amount: Amount, tariff: Tariff = DEFAULT_TARIFF) -> int:
    """KES that are missing to the cheapest plan; 0 when the amount buys something."""
    return max(0, _cheapest(tariff.plans).price - _whole(amount))


def _whole(amount: object) -> int:
    value = _number(amount)
    if value is None or not value.is_finite() or not 0 <= value < 10**12:
        raise InvalidAmount("Minutes are sold for an amount of 0 KES or more, such as 50.")
    return int(value.to_integral_value(ROUND_FLOOR))


def _number(amount: object) -> Decimal | None:
    if isinstance(amount, str):
        return Decimal(amount) if WRITTEN.fullmatch(amount) else None
    if isinstance(amount, float):
        return Decimal(amount) if amount.is_integer() else None
    if isinstance(amount, int | Decimal) and not isinstance(amount, bool):
        return Decimal(amount)
    return None


@lru_cache(maxsize=4_096)
def _quote(amount: int, tariff: Tariff) -> Quote:
    usable = min(amount, MOST_KES)
    quote = _QUOTES[tariff.mode](usable, tariff)
    return msgspec.structs.replace(
        quote,
        minutes=min(quote.minutes, MOST_MINUTES),
        remainder=quote.remainder + amount - usable,
    )


def _quote_rate(amount: int, tariff: Tariff) -> Quote:
    """Minutes at the rate of the best plan that the amount reaches, rounded up.

    Below the cheapest plan it is that one's rate, down to the tariff's minimum.
    """
    if amount < tariff.minimum:
        return Quote(remainder=amount)
    plan = max(_reached(amount, tariff), key=_rate, default=_cheapest(tariff.plans))
    minutes = _at_rate(amount, plan)
    if minutes <= tariff.maximum_minutes:
        return Quote(minutes=minutes, spent=amount)
    # The least amount that makes the maximum; one shilling less would round up to a minute less.
    spent = (tariff.maximum_minutes - 1) * plan.price // plan.minutes + 1
    return Quote(minutes=tariff.maximum_minutes, spent=spent, remainder=amount - spent)


def _quote_exact(amount: int, tariff: Tariff) -> Quote:
    """The plan with this very price. Other amounts are remainder altogether."""
    for plan in tariff.plans:
        if plan.price == amount:
            return Quote(minutes=plan.minutes, lines=(Line(plan, 1),), spent=amount)
    if tariff.remainder == "pro_rata" and _reached(amount, tariff):
        quote = _quote_rate(amount, tariff)
        return msgspec.structs.replace(quote, remainder_minutes=quote.minutes)
    return Quote(remainder=amount)


def _quote_packages(amount: int, tariff: Tariff) -> Quote:
    """Packages, and the remainder rule for what is left over."""
    lines = _best_fit(amount, tariff)
    spent = sum(line.plan.price * line.count for line in lines)
    minutes = sum(line.plan.minutes * line.count for line in lines)
    left = amount - spent
    if not lines or tariff.remainder != "pro_rata":
        return Quote(minutes=minutes, lines=lines, spent=spent, remainder=left)
    group = lines[0].plan.group
    more = _at_rate(left, _cheapest(plan for plan in tariff.plans if plan.group == group))
    return Quote(minutes=minutes + more, lines=lines, spent=amount, remainder_minutes=more)


_QUOTES: Final[dict[Mode, Callable[[int, Tariff], Quote]]] = {
    "best_fit": _quote_packages,
    "exact": _quote_exact,
    "pro_rata": _quote_rate,
}


def _reached(amount: int, tariff: Tariff) -> list[Plan]:
    return [plan for plan in tariff.plans if plan.price <= amount]


def _at_rate(amount: int, plan: Plan) -> int:
    """Minutes for an amount at a plan's rate, rounded up."""
    return -(-amount * plan.minutes // plan.price)


def _cheapest(plans: Iterable[Plan]) -> Plan:
    return min(plans, key=lambda plan: plan.price)


def _rate(plan: Plan) -> tuple[float, int]:
    """Minutes a shilling; among equals the dearer plan, because it means fewer packages."""
    return (plan.minutes / plan.price, plan.price)


def _best_fit(amount: int, tariff: Tariff) -> tuple[Line, ...]:
    """The most minutes; among equals the fewest packages, then the least money.

    Plans of different groups cannot be combined: then it is the largest single plan.
    """
    reached = _reached(amount, tariff)
    if not reached:
        return ()
    if len({plan.group for plan in tariff.plans}) > 1:
        return (Line(max(reached, key=lambda plan: (plan.minutes, -plan.price)), 1),)
    return _combine(amount, reached)


class _Item(msgspec.Struct, frozen=True):
    price: int
    """In multiples of the prices' common divisor."""
    weight: int
    """More minutes, then fewer packages, then less money, as one integer that adds up."""
    plan: Plan


def _combine(amount: int, plans: list[Plan]) -> tuple[Line, ...]:
    """The heaviest packages for an amount, dearest first."""
    unit = gcd(*(plan.price for plan in plans))
    items = [_Item(plan.price // unit, _weight(plan), plan) for plan in plans]
    star = max(items, key=lambda item: _rate(item.plan))
    table = _table(amount // unit, items, star)
    beyond = amount // unit - (len(table) - 1)
    bulk = -(-beyond // star.price)
    counts = Counter(_taken(amount // unit - bulk * star.price, table, items))
    counts[star.plan] += bulk
    ordered = sorted(counts.items(), key=lambda item: -item[0].price)
    return tuple(Line(plan, count) for plan, count in ordered if count)


def _weight(plan: Plan) -> int:
    """Packages and KES of one purchase both stay below 2**20."""
    return (plan.minutes << 40) - (1 << 20) - plan.price


def _table(size: int, items: list[_Item], star: _Item) -> list[int]:
    """What each amount is worth at most, up to `size` or until it only repeats itself.

    Once the star, the plan with the best rate, belongs to the best purchase for as many amounts in
    a row as the dearest plan costs, it belongs to that of every larger amount: whatever else were
    bought there, one of these amounts would remain.
    """
    dearest = max(item.price for item in items)
    table, in_a_row = [0], 0
    for money in range(1, size + 1):
        reached = [table[money - i.price] + i.weight for i in items if i.price <= money]
        table.append(max(reached, default=0))
        with_star = money >= star.price and table[money] == table[money - star.price] + star.weight
        in_a_row = in_a_row + 1 if with_star else 0
        if in_a_row == dearest:
            break
    return table


def _taken(money: int, table: list[int], items: list[_Item]) -> Iterator[Plan]:
    """The packages behind an entry of the table."""
    while table[money]:
        item = next(
            item
            for item in items
            if item.price <= money and table[money - item.price] + item.weight == table[money]
        )
        yield item.plan
        money -= item.price
