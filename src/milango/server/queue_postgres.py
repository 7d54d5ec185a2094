"""Tasks on PostgreSQL: Django's Tasks API in front of Procrastinate.

A task becomes a row through Django's own connection, so it is enqueued with the transaction that
wanted it, or not at all. Workers hear of it at once (LISTEN), on connections of their own.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any, Final

from asgiref.sync import async_to_sync
from django.core import checks
from django.core.exceptions import SuspiciousOperation
from django.utils.module_loading import import_string
from procrastinate import exceptions, jobs
from procrastinate.contrib.django import DjangoApp
from procrastinate.contrib.django import app as procrastinate_app
from procrastinate.contrib.django.utils import connector_params
from procrastinate.psycopg_connector import PsycopgConnector
from procrastinate.tasks import configure_task

from milango.flows import hours
from milango.tasks.compat import (
    BaseTaskBackend,
    Task,
    TaskResult,
    TaskResultStatus,
    normalize_json,
)

logger = logging.getLogger(__name__)

NAME: Final = "milango.run"
"""The one task that Procrastinate knows of: it runs any task of Django's."""

SIDE_BY_SIDE: Final = 4
"""Tasks that one worker runs at the same time."""

LOOK: Final = 5.0
"""Seconds between two looks for tasks that nobody called out."""

STALLED: Final = 30.0
"""A task belongs to a dead worker once that has given no sign of life for so many seconds."""

MOST_TRIES: Final = 3
"""Then it is given up: it may be what kills the workers."""

GRACE: Final = 3.0
"""Seconds that running tasks get when the worker is told to stop."""

KEPT: Final = 7 * 24
"""Hours that ended tasks are kept."""


def run(task: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    """Run the task of Django's at this dotted path."""
    found = import_string(task)
    if not isinstance(found, Task):
        raise SuspiciousOperation(f"{task} is not a task")
    found.call(*args, **kwargs)


# A host's own `manage.py procrastinate worker` can run ours, too.
procrastinate_app.task(name=NAME)(run)


class Queue(BaseTaskBackend):
    """Enqueues on the connection in use, and runs what others enqueued.

    What a task returns is not kept: whoever wants to know reads the rows that it wrote.
    """

    transactional = True
    supports_defer = True
    supports_priority = True

    def enqueue(self, task: Any, args: Any, kwargs: Any) -> TaskResult[Any]:
        """Write the job down, in the caller's transaction."""
        self.validate_task(task)
        if task.takes_context:
            # Its first argument would have to tell of attempts, which only the worker knows.
            raise ValueError(f"{task.module_path} takes a context, which is not kept here.")
        said = normalize_json({"args": list(args), "kwargs": dict(kwargs)})
        manager = procrastinate_app.job_manager
        deferrer = configure_task(
            name=NAME,
            job_manager=manager,
            queue=task.queue_name,
            priority=task.priority,
            schedule_at=task.run_after,
        )
        number = deferrer.defer(task=task.module_path, **said)
        return TaskResult(
            task=task,
            id=str(number),
            status=TaskResultStatus.READY,
            enqueued_at=hours.now(),
            started_at=None,
            last_attempted_at=None,
            finished_at=None,
            args=said["args"],
            kwargs=said["kwargs"],
            backend=self.alias,
            errors=[],
            worker_ids=[],
        )

    def work(self, stop: threading.Event) -> None:
        """Run tasks until the event is set; those that still run after GRACE are left behind."""
        asyncio.run(self._work(stop))

    async def _work(self, stop: threading.Event) -> None:
        # An app of its own: the other one must go on enqueueing on Django's connections.
        connector = PsycopgConnector(
            kwargs=connector_params(), min_size=1, max_size=SIDE_BY_SIDE, timeout=10
        )
        app = DjangoApp(connector=connector)
        app.task(name=NAME)(run)
        async with app.open_async():
            worker = asyncio.create_task(
                app.run_worker_async(
                    queues=sorted(self.queues) or None,  # type: ignore[arg-type]  # None: all of them
                    concurrency=SIDE_BY_SIDE,
                    fetch_job_polling_interval=LOOK,
                    install_signal_handlers=False,
                    shutdown_graceful_timeout=GRACE,
                    stalled_worker_timeout=STALLED,
                )
            )
            while not stop.is_set() and not worker.done():
                await asyncio.wait([worker], timeout=0.2)
            worker.cancel()
            try:
                await worker
            except asyncio.CancelledError:
                return

    def tidy(self) -> None:
        """Give tasks of dead workers to others, and forget old ones."""
        async_to_sync(self._tidy)()

    async def _tidy(self) -> None:
        manager = procrastinate_app.job_manager
        for job in await manager.get_stalled_jobs(task_name=NAME, seconds_since_heartbeat=STALLED):
            try:
                if job.attempts >= MOST_TRIES:
                    await manager.finish_job(job, jobs.Status.FAILED, delete_job=False)
                    logger.error("task %s was given up after %s tries", job.id, job.attempts)
                else:
                    await manager.retry_job(job, retry_at=hours.now())
            except exceptions.ConnectorException:
                continue  # somebody else was faster
        await manager.prune_stalled_workers(STALLED)
        await manager.delete_old_jobs(
            KEPT, include_failed=True, include_cancelled=True, include_aborted=True
        )

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        """Its tables must be there."""
        from django.apps import apps

        if apps.is_installed("procrastinate.contrib.django"):
            return []
        hint = "Add 'procrastinate.contrib.django' to INSTALLED_APPS, before 'milango'."
        return [checks.Error("Procrastinate's tables are missing.", hint=hint, id="milango.E007")]
