"""What lists on the command line share: of whom, how many, and what is said when there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeVar

import click

from .find import merchant_named

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

    M = TypeVar("M", bound=Model)

T = TypeVar("T")

of_merchant_option = click.option(
    "--merchant", metavar="NAME", help="Of this merchant only: name or mer_ id."
)

most_option = click.option("--most", default=20, show_default=True, type=click.IntRange(1, 1_000))


def of_merchant(rows: QuerySet[M], merchant: str | None) -> QuerySet[M]:
    """Rows of the merchant that was named; all of them where none was."""
    return rows.filter(merchant=merchant_named(merchant)) if merchant else rows


def show(rows: Iterable[T], line_of: Callable[[T], str], none: str = "There is none.") -> None:
    """Print a line for each row."""
    lines = [line_of(row) for row in rows]
    for line in lines or [none]:
        click.echo(line)
