"""What has its hour: begun once in each period, whatever the number of workers and machines.

The time is the database's, so that a machine whose clock is wrong starts nothing too early and
holds nothing back (decision 0023). Periods are counted in UTC.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from django.db import connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from milango.models import ClockRound, clock
from milango.models.clock import now as now

logger = logging.getLogger(__name__)

LOOK: Final = 10.0
"""Seconds after which a process asks the database again what time it is."""

TOO_WRONG: Final = timedelta(seconds=60)
"""A clock of ours that differs more is complained of."""

START: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Hour(NamedTuple):
    """Something that is begun once in each period."""

    name: str
    begin: Callable[[], None]
    """Within the transaction that notes it: both happen, or neither."""
    every: timedelta
    after: timedelta = timedelta()
    """How long after the period's beginning: an hour of the night, for one that lasts a day."""

    def following(self, now: datetime) -> datetime:
        """The first due time after `now`."""
        gone = (now - START - self.after) // self.every
        return START + self.after + (gone + 1) * self.every


def tick(hours: Sequence[Hour]) -> int:
    """Begin what has its hour and nobody has begun. Returns how many that were."""
    rows = {row.name: row for row in ClockRound.objects.annotate(now=Now())}
    return sum(_begin(hour, rows.get(hour.name)) for hour in hours)


def database_now() -> datetime:
    """The database's time: one clock for all machines, whatever theirs say. UTC."""
    if connection.vendor != "postgresql":
        return clock.now()  # embedded: the database has no clock but this machine's
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        at: datetime = cursor.fetchone()[0]
    ahead = clock.hear(at)
    if abs(ahead) > TOO_WRONG and not _heard.complained:
        logger.error(
            "this machine's clock is wrong by %+.0f seconds; Milango goes by the database's, but "
            "Daraja and TLS may refuse it: set the clock",
            ahead.total_seconds(),
        )
    _heard.at, _heard.complained = time.monotonic(), abs(ahead) > TOO_WRONG
    return at


def look() -> None:
    """Hear the database's time, where that was long ago. A query now and then."""
    if time.monotonic() - _heard.at > LOOK:
        database_now()


def heard() -> datetime:
    """The shared time, in UTC, of a process that may have asked nobody yet, such as a command.

    For what a person or the clock starts, where the database may be asked.
    """
    look()
    return now()


class _Heard:
    """When this process last heard the time, and whether it has said that its own is wrong."""

    at = float("-inf")
    complained = False


_heard: Final = _Heard()


def after_commit(work: Callable[[], object]) -> None:
    """Do something once this transaction is committed; without one, now."""
    transaction.on_commit(work)


def _begin(hour: Hour, row: ClockRound | None) -> bool:
    if row is None:
        # Due from its birth on: a worker that starts sweeps what was left before.
        born = ClockRound(name=hour.name, due_at=START)
        ClockRound.objects.bulk_create([born], ignore_conflicts=True)
        return False
    now: datetime = row.now  # type: ignore[attr-defined]  # annotated above
    following = hour.following(now)
    # A time beyond the next one comes from a clock that was wrong, or from a longer period.
    if now < row.due_at <= following:
        return False
    mine = ClockRound.objects.filter(pk=row.pk, due_at=row.due_at)
    with transaction.atomic():
        won = mine.update(due_at=following, begun_at=Now(), times=F("times") + 1)
        if won:
            hour.begin()
    return bool(won)
