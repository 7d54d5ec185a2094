"""Prove that the books are right: walk the tables page by page, and hold each row to `INVARIANTS`.

Each page is one snapshot of the database, read only: what is settled meanwhile is seen whole or
not at all, and nobody waits for us. Memory is that of one page, and a run that was cut off goes on
where it was. Nothing is repaired: what is wrong is for a person.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
from django.db import connection, transaction

from milango import __version__
from milango.conf import conf
from milango.core import payments as policy
from milango.core.payments import Outcome
from milango.models import CheckRun, InboundCallback, Receipt
from milango.models.ids import first_uuid7

from . import doubts, hours
from .invariants import (
    INVARIANTS,
    LOOKS,
    NAMED,
    PAGE,
    TABLES,
    Invariant,
    Kept,
    Row,
    Walked,
)
from .receive import evidence_of
from .replay import original_of_row

logger = logging.getLogger(__name__)

SIZE: Final = 5_000
"""Rows of one page: one snapshot, a few tens of milliseconds."""

MOST_EXAMPLES: Final = 20
"""Of what breaks one invariant, so many are named; the others are counted."""

RECENT: Final = timedelta(days=7)
"""What is younger is looked at every night: by then each payment's schedule has run out."""

UNDER_WAY: Final = timedelta(minutes=15)
BEHIND: Final = timedelta(hours=6)
"""So long after its due time nobody asks any more: there is no worker."""

BUDGET: Final = 1_200.0
"""Seconds that a night looks at older payments; the next night goes on."""

KINDS: Final = ("all", "recent", "nightly")
"""How much was looked at: everything, what `--since` says, or a night's part."""

EAT: Final = ZoneInfo("Africa/Nairobi")


class Example(msgspec.Struct):
    """One row that breaks an invariant. Public ids only."""

    name: str
    merchant: str
    said: str


class Broken(msgspec.Struct):
    """An invariant that does not hold."""

    count: int = 0
    examples: list[Example] = []


class Report(msgspec.Struct):
    """What a look at the books found."""

    payments: int = 0
    """How many were looked at."""
    seconds: float = 0.0
    broken: dict[str, Broken] = {}
    """By the invariant's name, in the order of the table."""

    @property
    def is_clean(self) -> bool:
        return not self.broken

    def add(self, name: str, subject: str, merchant: str, said: str) -> None:
        """One more row that breaks an invariant."""
        broken = self.broken.setdefault(name, Broken())
        broken.count += 1
        if len(broken.examples) < MOST_EXAMPLES:
            broken.examples.append(Example(subject, merchant, said))


Progress = Callable[[str, int], None]
"""Told of each page: the table's name, and how many rows it had."""


def check(
    *,
    since: datetime | None = None,
    resume: bool = False,
    progress: Progress = lambda table, rows: None,
) -> Report:
    """Look at all of it, or at what began `since`; what was found is kept as a `CheckRun`.

    `resume`: where the last look at all of it was cut off. Raises the database's own errors.
    """
    kind = "recent" if since else "all"
    last = CheckRun.objects.filter(kind=kind, finished_at=None).order_by("-id").first()
    run = last if resume and last else _new_run(kind)
    walk = Walk(run, progress)
    walk.whole_tables()
    walk.pages(since=since, after=run.mark)
    return walk.finish()


def nightly() -> Report:
    """The clock's own look: all that is recent, and as much of the older as one night has time for.

    Writes a line to the log for each merchant with open doubts, and one if anything is wrong.
    """
    now = hours.heard()
    last = CheckRun.objects.filter(kind="nightly").exclude(finished_at=None)
    before = last.order_by("-id").first()
    run = _new_run("nightly")
    walk = Walk(run)
    walk.whole_tables()
    walk.pages(since=now - RECENT)
    run.mark = before.mark if before else ""
    walk.pages(until=now - RECENT, after=run.mark, seconds=BUDGET)
    report = walk.finish()
    doubts.notice(now)
    if not report.is_clean:
        logger.error("the books are not right: %s: milango check", ", ".join(report.broken))
    return report


def last_runs() -> list[CheckRun]:
    """Of each kind of look the last one that came to its end: for metrics.

    Not the last of all: a look at an hour that found nothing would hide what a night has found.
    """
    done = CheckRun.objects.filter(finished_at__isnull=False).order_by("-id")
    found = [done.filter(kind=kind).first() for kind in KINDS]
    return [run for run in found if run]


def _new_run(kind: str) -> CheckRun:
    return CheckRun(kind=kind, version=__version__, started_at=hours.heard())


# --- a walk through the tables --------------------------------------------------------------


class Walk:
    """One look: its run, its report, and the sums so far."""

    def __init__(self, run: CheckRun, progress: Progress = lambda table, rows: None) -> None:
        self._run = run
        self._progress = progress
        self._began = time.monotonic()
        self._report = Report(payments=run.payments)
        for name, kept in run.findings.items():
            self._report.broken[name] = msgspec.convert(kept, Broken)
        now = hours.heard()
        self._times = {
            "recent": _moment(now - UNDER_WAY),
            "behind": _moment(now - BEHIND),
            "overdue": _moment(now - doubts.OVERDUE),
        }

    def whole_tables(self) -> None:
        """What is few, and found by an index of its own."""
        for table, walked in TABLES.items():
            if walked.whole:
                # They are looked at anew, also by a run that goes on.
                for invariant in _of(table):
                    self._report.broken.pop(invariant.name, None)
                with snapshot():
                    self._queries(table, "TRUE", {})
                self._progress(table, 0)

    def pages(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str = "",
        seconds: float = float("inf"),
    ) -> None:
        """The other tables, page by page, from the mark `after` on, as long as there is time."""
        names = [name for name, walked in TABLES.items() if not walked.whole]
        mark, _, key = after.partition(":")
        for name in names[names.index(mark) if mark in names else 0 :]:
            low = key if name == mark else _border(TABLES[name], since)
            high = _border(TABLES[name], until) if until else ""
            while keys := self._page(name, low, high):
                low = keys[-1]
                self._keep(f"{name}:{low}")
                if time.monotonic() - self._began > seconds:
                    return
        self._keep("")

    def finish(self) -> Report:
        """Keep what was found; gives it, in the order of the table."""
        order = [invariant.name for invariant in INVARIANTS]
        found = self._report.broken
        self._report.broken = {name: found[name] for name in order if name in found}
        self._report.seconds = round(time.monotonic() - self._began, 3)
        self._run.finished_at = hours.heard()
        self._keep(self._run.mark)
        return self._report

    def _keep(self, mark: str) -> None:
        run, report = self._run, self._report
        run.mark = mark
        run.payments = report.payments
        run.wrong = sum(broken.count for broken in report.broken.values())
        run.findings = msgspec.to_builtins(report.broken)
        run.save()

    def _page(self, name: str, low: str, high: str) -> list[str]:
        """Look at some rows after `low`; gives their keys, in order."""
        with snapshot():
            keys = _keys(TABLES[name], low, high)
            if not keys:
                return []
            bounds = {"low": _key(TABLES[name], low), "high": _key(TABLES[name], keys[-1])}
            alias = TABLES[name].alias
            page = f"{alias}.id > %(low)s AND {alias}.id <= %(high)s"
            self._queries(name, page, bounds)
            READ.get(name, _nothing)(self._report, page, bounds)
        self._progress(name, len(keys))
        return keys

    def _queries(self, table: str, page: str, bounds: dict[str, Any]) -> None:
        prefix = TABLES[table].prefix
        for invariant in _of(table):
            if not invariant.query:
                continue
            query = invariant.query.replace("{page}", page)
            for subject, merchant, *said in _rows(query, self._times | bounds):
                self._report.add(
                    invariant.name,
                    _public(prefix, subject),
                    _public("mer", merchant),
                    invariant.said.format(*said),
                )


def _of(table: str) -> list[Invariant]:
    return [invariant for invariant in INVARIANTS if invariant.table == table]


# --- what is read row by row ----------------------------------------------------------------


def _nothing(report: Report, page: str, bounds: dict[str, Any]) -> None:
    return None


def _read_payments(report: Report, page: str, bounds: dict[str, Any]) -> None:
    query = PAGE.replace("{page}", page)
    rows = [Kept(*row) for row in _rows(query, bounds | {"size": SIZE})]
    default = conf().confirm_above
    sums: dict[tuple[str, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0)] * 2)
    flagged: dict[tuple[str, str], Kept] = {}
    for row in rows:
        standing = policy.decode_standing(row.standing)
        for name, look in LOOKS.items():
            if said := look(row, standing, default):
                report.add(name, _public("pay", row.id), _public("mer", row.merchant_id), said)
        for kind in standing.all_doubts:
            flagged[(_hex(row.id), kind)] = row
        if row.receipt_number:
            _add_up(sums, row)
    report.payments += len(rows)
    _report_sums(report, sums)
    _report_unlisted(report, flagged)


def _add_up(sums: dict[tuple[str, str, str], list[Decimal]], row: Kept) -> None:
    day = _day(row.settled_at)
    paid, received = sums[(_hex(row.merchant_id), row.short_code, day)]
    sums[(_hex(row.merchant_id), row.short_code, day)] = [
        paid + Decimal(str(row.amount_paid or 0)),
        received + Decimal(str(row.receipt_amount or 0)),
    ]


def _report_sums(report: Report, sums: dict[tuple[str, str, str], list[Decimal]]) -> None:
    for (merchant, short_code, day), (paid, received) in sorted(sums.items()):
        if paid != received:
            said = f"payments KES {paid:,.2f}, their receipts KES {received:,.2f}"
            report.add("sums_agree", f"{short_code} on {day}", f"mer_{merchant}", said)


def _report_unlisted(report: Report, flagged: dict[tuple[str, str], Kept]) -> None:
    """Contradictions in the evidence that are in no list."""
    if not flagged:
        return
    ids = sorted({UUID(hex=payment) for payment, _ in flagged})
    listed = set()
    for part in _parts(ids, 500):
        marks = ", ".join(["%s"] * len(part))
        query = f"SELECT payment_id, kind FROM milango_doubt WHERE payment_id IN ({marks})"
        listed |= {(_hex(payment), kind) for payment, kind in _rows(query, _values(part))}
    for key in sorted(flagged.keys() - listed):
        row = flagged[key]
        report.add(
            "doubt_has_row",
            _public("pay", row.id),
            _public("mer", row.merchant_id),
            f"contradicts itself ({key[1]}), and is in no list",
        )


def _read_callbacks(report: Report, page: str, bounds: dict[str, Any]) -> None:
    """Whose payment is not there, and who tells of money that nobody has booked."""
    query = (
        f"SELECT c.id FROM milango_inboundcallback c WHERE {page} "
        "AND c.verdict = 'orphan' AND c.kind = 'stk' AND c.body IS NOT NULL"
    )
    ids = [UUID(_hex(row[0])) for row in _rows(query, bounds)]
    for row in InboundCallback.objects.filter(pk__in=ids).iterator(chunk_size=500):
        said = evidence_of(UUID(int=0), original_of_row(row), False, row.received_at)
        if said.outcome is not Outcome.PAID or not said.receipt:
            continue
        if not Receipt.objects.filter(code=said.receipt).exists():
            told = f"tells of KES {said.amount} with receipt {said.receipt}, booked nowhere"
            report.add("orphan_is_booked", row.public_id, "", told)


READ: Final[dict[str, Callable[[Report, str, dict[str, Any]], None]]] = {
    "payments": _read_payments,
    "callbacks": _read_callbacks,
}


# --- the database ---------------------------------------------------------------------------


@contextmanager
def snapshot() -> Iterator[None]:
    """What is read in here is one instant's state, and nobody waits for it."""
    if connection.in_atomic_block:  # the caller's transaction is the snapshot
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            # A page is few rows of big tables: by index, whatever the statistics say.
            for way in ("hashjoin", "mergejoin", "seqscan"):
                cursor.execute(f"SET LOCAL enable_{way} = off")
            cursor.execute("SET LOCAL jit = off")
            yield
    else:
        # Not `atomic`: that would take SQLite's only place for a writer.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


def _rows(query: str, parameters: Any) -> list[Row]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        found: list[Row] = cursor.fetchall()
    return found


def _keys(walked: Walked, low: str, high: str) -> list[str]:
    """The keys of one page after `low`, in order."""
    below = " AND id <= %(high)s" if high else ""
    query = f"SELECT id FROM {walked.name} WHERE id > %(low)s{below} ORDER BY id LIMIT {SIZE}"
    found = _rows(query, {"low": _key(walked, low), "high": _key(walked, high) if high else None})
    return [_hex(row[0]) if walked.by_time else str(row[0]) for row in found]


def _border(walked: Walked, at: datetime | None) -> str:
    """The key up to which rows are older than the instant; without one, before all of them."""
    if walked.by_time:
        return (first_uuid7(at) if at else UUID(int=0)).hex
    return str(_number_before(walked, at)) if at else "0"


def _number_before(walked: Walked, since: datetime) -> int:
    """Rows are counted in the order in which they come: the number before the first one `since`.

    Orders keep no time: they are looked at as a whole, or not at all.
    """
    (last,) = _rows(f"SELECT COALESCE(MAX(id), 0) FROM {walked.name}", None)[0]
    low, high = 0, int(last)
    if walked.name != Receipt._meta.db_table:
        return high
    rows = Receipt.objects.order_by("pk")
    while low < high:
        middle = (low + high) // 2
        row = rows.filter(pk__gt=middle).first()
        if row and row.created_at < since:
            low = row.pk
        else:
            high = middle
    return low


def _key(walked: Walked, text: str) -> Any:
    return _uuid(UUID(hex=text)) if walked.by_time else int(text)


def _uuid(value: UUID) -> Any:
    return value if connection.features.has_native_uuid_field else value.hex


def _values(ids: Sequence[UUID]) -> list[Any]:
    return [_uuid(each) for each in ids]


def _moment(at: datetime) -> Any:
    return connection.ops.adapt_datetimefield_value(at)


def _parts(values: Sequence[UUID], size: int) -> Iterable[Sequence[UUID]]:
    return (values[at : at + size] for at in range(0, len(values), size))


def _hex(value: Any) -> str:
    return value.hex if isinstance(value, UUID) else str(value)


def _public(prefix: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{prefix}_{_hex(value)}" if prefix else str(value)


def _day(at: Any) -> str:
    """The day in Kenya of an instant as the database gives it."""
    if not isinstance(at, datetime):
        return "no day"
    known = at if at.tzinfo else at.replace(tzinfo=UTC)
    return known.astimezone(EAT).date().isoformat()


# --- as a document --------------------------------------------------------------------------


def document(report: Report) -> dict[str, Any]:
    """The report for machines: the same words, by invariant."""
    return {
        "clean": report.is_clean,
        "payments": report.payments,
        "seconds": report.seconds,
        "findings": [
            {
                "invariant": name,
                "sentence": NAMED[name].sentence,
                "count": broken.count,
                "means": NAMED[name].means,
                "next": NAMED[name].next,
                "examples": msgspec.to_builtins(broken.examples),
            }
            for name, broken in report.broken.items()
        ],
    }
