"""Which tasks have their hour (`flows/hours.py`), and how often."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any, Final

from milango.flows import hours
from milango.flows.hours import Hour

from . import jobs
from .compat import Task

MINUTE: Final = timedelta(minutes=1)


def enqueued(task: Task[..., Any], every: timedelta, after: timedelta = timedelta()) -> Hour:
    """The task, enqueued once in each period, `after` its beginning."""
    return Hour(task.name, partial(jobs.enqueue, task), every, after)


CLOCK: Final[list[Hour]] = [
    enqueued(jobs.sweep, MINUTE),
    enqueued(jobs.retry_unmatched, MINUTE),
    enqueued(jobs.tidy, MINUTE),
    # 02:30 in Nairobi
    enqueued(jobs.nightly_check, timedelta(days=1), after=timedelta(hours=23, minutes=30)),
]


def tick() -> int:
    """Enqueue what has its hour and nobody has enqueued. Returns how many that were."""
    return hours.tick(CLOCK)
