"""Tasks of the embedded form: kept and run by django-tasks-db, in threads of this process."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any, Final

from django.db import connections
from django.utils import timezone
from django_tasks_db.backend import DatabaseBackend
from django_tasks_db.compat import TaskResultStatus

logger = logging.getLogger(__name__)

LOOK: Final = 0.5
"""Seconds between two looks for tasks. Looking locks nobody out; taking one does, for a moment."""

STALLED: Final = timedelta(minutes=15)
"""A task that runs for so long belongs to a process that died."""

MOST_TRIES: Final = 3
"""Then it is given up: it may be what kills the processes."""

KEPT: Final = timedelta(days=7)
"""How long ended tasks are kept."""


class Queue(DatabaseBackend):
    """django-tasks-db, with a worker that a thread of ours can run and stop."""

    transactional = True
    """A task that is enqueued in a transaction is rolled back with it."""

    def work(self, stop: threading.Event) -> None:
        """Run tasks until the event is set."""
        from django_tasks_db.models import DBTaskResult

        ready = DBTaskResult.objects.ready().filter(backend_name=self.alias)
        while not stop.is_set():
            if ready.exists():
                _worker(self.alias, stop).run()
            stop.wait(LOOK)
        connections.close_all()

    def tidy(self) -> None:
        """Enqueue tasks of dead processes again, and forget old ones."""
        from django_tasks_db.models import DBTaskResult

        now = timezone.now()  # as django-tasks-db stamps them; SQLite has no other clock
        rows = DBTaskResult.objects.filter(backend_name=self.alias)
        for row in rows.running().filter(started_at__lt=now - STALLED):
            given_up = len(row.worker_ids) >= MOST_TRIES
            mine = rows.running().filter(pk=row.pk, started_at=row.started_at)
            if given_up:
                mine.update(status=TaskResultStatus.FAILED, finished_at=now)
                logger.error("task %s was given up after %s tries", row.task_path, MOST_TRIES)
            else:
                mine.update(status=TaskResultStatus.READY)
        rows.finished().filter(finished_at__lt=now - KEPT).delete()


def _worker(alias: str, stop: threading.Event) -> Any:
    """Runs what is ready and comes back; between two tasks it looks whether it may go on."""
    from django.utils.crypto import get_random_string
    from django_tasks_db.management.commands.db_worker import Worker

    class Stoppable(Worker):
        running = property(lambda self: not stop.is_set(), lambda self, value: None)

    return Stoppable(
        queue_names=["*"],
        interval=0,
        batch=True,
        backend_name=alias,
        startup_delay=False,
        max_tasks=None,
        worker_id=get_random_string(32),
        excluded_queue_names=[],
    )
