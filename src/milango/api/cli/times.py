"""Instants as a person writes them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import click

AGO: Final = re.compile(r"([0-9]{1,4})([mhd])")
UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


When: TypeAlias = datetime | timedelta
"""A point in time, or how long ago it is."""


class Since(click.ParamType[When]):
    """`7d`, `12h`, `30m`: so long ago; or a date or time (ISO 8601), UTC where it says no zone.

    So long ago before when is the database's to say, which nobody may ask while words are read:
    the command does, with `instant`.
    """

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> When:
        if isinstance(value, datetime | timedelta):
            return value
        if ago := AGO.fullmatch(value.strip()):
            return int(ago[1]) * UNITS[ago[2]]
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(f"{value!r}: write 7d, 12h, 30m or 2026-03-14.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


SINCE: Final = Since()


def instant(said: When) -> datetime:
    """What was said, as a point in time, by the clock that stored rows go by."""
    from milango.flows import hours

    return said if isinstance(said, datetime) else hours.heard() - said
