"""What the clock or a person starts, as tasks of Django's Tasks API.

A task takes row ids at most, may run twice, and is lost without harm: what is to be done stands in
rows, and the next run finds it there. The backend is the one named `milango` in `TASKS`, or else
`default`; without either, Django runs tasks at once, where they are enqueued.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, Final, ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings

from milango.flows import book, check, deliver, errands, hours, reconcile, reversals
from milango.flows import sweep as sweeping
from milango.flows.problems import log_unexpected

from .compat import Task, task, task_backends

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

BACKEND: Final = "milango" if "milango" in getattr(settings, "TASKS", {}) else "default"


class TaskFailed(RuntimeError):
    """A task ended with an error. What it was to do is still due, and is tried again."""


def _discreet(work: Callable[P, T]) -> Callable[P, T]:
    """Errors by their names alone: engines keep and log what a task raises, with its text, and the
    text of a database's error may hold a payer's number."""

    @wraps(work)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return work(*args, **kwargs)
        except Exception as error:
            said = f"{work.__name__} ended with {type(error).__name__}; it is tried again later"
            logger.error(said)
            log_unexpected(error)
            raise TaskFailed(said) from None

    return run


@task(backend=BACKEND)
@_discreet
def sweep() -> dict[str, int]:
    """Put away what time has decided."""
    done = sweeping.sweep() | deliver.sweep()
    for errand_id in errands.overdue():
        begin_errand(errand_id)
    return done


@task(backend=BACKEND)
@_discreet
def run_errand(errand_id: str) -> None:
    """Do what a person asked for: the row says what."""
    errands.run(UUID(hex=errand_id))


def begin_errand(errand_id: UUID) -> None:
    """Enqueue an errand with this transaction."""
    enqueue(run_errand, errand_id.hex)


@task(backend=BACKEND)
@_discreet
def retry_unmatched() -> None:
    """Look again for the payments of receipts and reversals that had none."""
    now = hours.database_now()
    book.retry_unmatched(now)
    reversals.retry(now)
    reconcile.ask_about_reversals(now)


@task(backend=BACKEND)
@_discreet
def nightly_check() -> None:
    """Prove the books of the last week, and go on with the older ones."""
    check.nightly()


@task(backend=BACKEND)
@_discreet
def tidy() -> None:
    """Give tasks of workers that died to others, and forget old ones, where we bring the engine."""
    if work := getattr(task_backends[BACKEND], "tidy", None):
        work()


def enqueue(job: Task[..., Any], *args: Any) -> None:
    """Enqueue with this transaction: if it is rolled back, nothing was enqueued.

    Where the engine keeps its jobs elsewhere, or runs them at once, this is done after the commit.
    """
    if getattr(job.get_backend(), "transactional", False):
        job.enqueue(*args)
    else:
        hours.after_commit(partial(job.enqueue, *args))
