"""Limits with exact counts: one row per scope and window, raised in the caller's transaction."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db.models import F

from milango.core.errors import Declined
from milango.models import Counter


def count_or_decline(scope: str, limit: tuple[int, int], now: datetime) -> None:
    """Count one more for the scope; beyond `limit` (count, seconds) raise Declined `too_many`.

    The row stays locked until the transaction ends, so that no two callers share the last place;
    a declined request is rolled back with its count.
    """
    allowed, seconds = limit
    start = int(now.timestamp()) // seconds * seconds
    window = datetime.fromtimestamp(start, UTC)
    Counter.objects.bulk_create([Counter(scope=scope, window=window)], ignore_conflicts=True)
    row = Counter.objects.filter(scope=scope, window=window)
    row.update(count=F("count") + 1)
    if row.values_list("count", flat=True)[0] > allowed:
        wait = max(1, start + seconds - int(now.timestamp()))
        message = "Too many prompts were asked for; wait before asking again. None was sent."
        raise Declined("too_many", message, retry_after=wait)


def forget_before(moment: datetime) -> int:
    """Delete counters of windows that are over. Returns how many."""
    return Counter.objects.filter(window__lt=moment).delete()[0]
