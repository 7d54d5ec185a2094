"""Tasks on the engine of each database: with the transaction, in a worker, and never lost."""

from __future__ import annotations

import signal
import time

import pytest

from .conftest import Installed, until

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.slow,
    pytest.mark.xdist_group("work"),
]

COUNT = """
from django.db import connection
from django.db import transaction
from tests.work import jobs
postgres = connection.vendor == "postgresql"
def count():
    with connection.cursor() as cursor:
        table = "procrastinate_jobs" if postgres else "django_tasks_database_dbtaskresult"
        cursor.execute(f"SELECT count(*) FROM {table}")
        return cursor.fetchone()[0]
"""


def test_a_task_is_rolled_back_with_the_transaction_that_enqueued_it(installed: Installed) -> None:
    counted = installed.run(
        COUNT
        + """
counts = [count()]
try:
    with transaction.atomic():
        jobs.note.enqueue("/nowhere", "never")
        counts.append(count())
        raise ZeroDivisionError
except ZeroDivisionError:
    counts.append(count())
with transaction.atomic():
    jobs.note.enqueue("/nowhere", "once")
print(json.dumps([*counts, count()]))
"""
    )
    assert counted == [0, 1, 0, 1]


ASKED = """
import time
from milango.flows import errands
from milango.models import Errand
from tests.people import make_credential, make_merchant
from tests.work import jobs
for line in ("one", "two"):
    jobs.note.enqueue({path!r}, line)
credential = make_credential(make_merchant("Duka"))
errands.upload_statement(credential, b"no statement", filename="x.csv", actor="test")
for _ in range(200):
    errand = Errand.objects.get()
    if errand.ended_at:
        break
    time.sleep(0.1)
print(json.dumps(errand.state))
"""


def test_a_worker_runs_what_was_enqueued_and_ends_when_it_is_told_to(installed: Installed) -> None:
    path = installed.folder / "noted"
    worker = installed.start("worker")
    assert installed.run(ASKED.format(path=str(path))) == "refused"
    until(lambda: path.exists() and path.read_text() == "one\ntwo\n", 20, installed.said())
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0, installed.said()
    assert time.monotonic() - began < 6
    assert "rror" not in installed.said()


def test_a_task_that_hangs_does_not_keep_the_worker_from_ending(installed: Installed) -> None:
    path = installed.folder / "noted"
    worker = installed.start("worker")
    installed.run(f"from tests.work import jobs\njobs.hang.enqueue({str(path)!r})")
    until(path.exists, 20, installed.said())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(10) == 0, installed.said()


STALLED = {
    True: "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'",
    False: "UPDATE django_tasks_database_dbtaskresult SET started_at = '2026-01-01 00:00:00'",
}


def test_the_task_of_a_killed_worker_is_run_by_another(installed: Installed) -> None:
    path = installed.folder / "noted"
    installed.run(f"from tests.work import jobs\njobs.die_once.enqueue({str(path)!r})")
    assert installed.start("worker").wait(30) == -signal.SIGKILL, installed.said()
    installed.run(
        COUNT + f"with connection.cursor() as cursor: cursor.execute({STALLED!r}[postgres])"
    )
    installed.start("worker")
    until(lambda: path.read_text() == "begun\nbegun\n", 30, installed.said())


A_DAY_AHEAD = """
import time
from datetime import timedelta
from django.utils import timezone
from milango.flows import hours
from milango.tasks import jobs as ours
now, nanoseconds = timezone.now, time.time_ns
timezone.now = lambda: now() + timedelta(days=1)
time.time_ns = lambda: nanoseconds() + 86_400 * 10**9
hours.database_now()
ours.tidy.call()
with connection.cursor() as cursor:
    cursor.execute("SELECT status, scheduled_at <= now() FROM procrastinate_jobs "
                   "WHERE args->>'task' LIKE '%%die_once'")
    print(json.dumps(cursor.fetchall()))
"""


@pytest.mark.postgres
def test_a_task_that_a_machine_with_a_wrong_clock_gives_back_is_due_at_once(
    installed: Installed,
) -> None:
    path = installed.folder / "noted"
    installed.run(f"from tests.work import jobs\njobs.die_once.enqueue({str(path)!r})")
    assert installed.start("worker").wait(30) == -signal.SIGKILL, installed.said()
    stall = f"with connection.cursor() as cursor: cursor.execute({STALLED[True]!r})\n"
    assert installed.run(COUNT + stall + A_DAY_AHEAD) == [["todo", True]]


def test_what_a_task_raises_is_kept_without_its_text(installed: Installed) -> None:
    kept = installed.run(
        COUNT
        + """
from milango.flows import sweep
from milango.tasks import jobs as ours
def break_(): raise ValueError("254712345678")
sweep.sweep = break_
import traceback
try:
    ours.sweep.call()
except ours.TaskFailed as error:
    print(json.dumps("".join(traceback.format_exception(error))))
"""
    )
    assert "ValueError" in kept
    assert "254712345678" not in kept
