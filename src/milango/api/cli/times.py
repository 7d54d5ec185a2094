"""Instants as a person writes them on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

AGO: Final = re.compile(r"([0-9]{1,4})([mhd])")
UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Since(click.ParamType[datetime]):
    """`7d`, `12h`, `30m`: so long ago; or a date or time (ISO 8601), UTC where it says no zone."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: Any) -> datetime:
        if isinstance(value, datetime):
            return value
        if ago := AGO.fullmatch(value.strip()):
            return datetime.now(UTC) - int(ago[1]) * UNITS[ago[2]]
        try:
            at = datetime.fromisoformat(value.strip())
        except ValueError:
            self.fail(f"{value!r}: write 7d, 12h, 30m or 2026-03-14.", param, ctx)
        return at if at.tzinfo else at.replace(tzinfo=UTC)


SINCE: Final = Since()
