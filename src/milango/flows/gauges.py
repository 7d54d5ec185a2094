"""What the database can say about how things stand, read when somebody asks.

Every reading is cheap however long the history: it goes over an index that holds only what is open
or due, or looks at the newest rows, up to a fixed number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from statistics import median
from typing import Final, NamedTuple

from django.db import Error as AnyDatabaseError
from django.db.models.functions import Now
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from milango.models import Doubt, InboundCallback, OpenPrompt, Payment, WebhookDelivery
from milango.models.ids import first_uuid7

from . import check, heartbeats, hours, traces
from .caches import Remembered

MOST: Final = 10_000
"""Rows that are counted; a queue that is longer reads as this long."""

NEWEST: Final = 1_000
"""Rows of the last hour that a rate is made of."""

HOUR: Final = timedelta(hours=1)

Samples = Iterable[tuple[tuple[str, ...], float]]
"""Values, each with its labels. None at all when there is nothing to tell."""


class Reading(NamedTuple):
    """One gauge."""

    name: str
    help: str
    read: Callable[[], Samples]
    labels: tuple[str, ...] = ()


def callback_lag() -> Samples:
    """From M-Pesa's own time of the payment to our receipt of the callback."""
    newest = InboundCallback.objects.filter(received_at__gt=hours.heard() - HOUR)
    pairs = newest.order_by("-received_at").values_list("received_at", "payment__transaction_date")[
        :NEWEST
    ]
    lags = [max(0.0, (received - paid).total_seconds()) for received, paid in pairs if paid]
    if lags:
        yield ("median",), median(lags)
        yield ("max",), max(lags)


def callback_age() -> Samples:
    """Silence is a symptom too."""
    newest = InboundCallback.objects.order_by("-received_at")
    if at := newest.values_list("received_at", flat=True).first():
        yield (), max(0.0, (hours.heard() - at).total_seconds())


def match_rate() -> Samples:
    """Callbacks that found their payment."""
    newest = InboundCallback.objects.filter(received_at__gt=hours.heard() - HOUR)
    rows = traces.traced(newest).order_by("-received_at")
    owners = list(rows.values_list("about", flat=True)[:NEWEST])
    if owners:
        yield (), sum(owner is not None for owner in owners) / len(owners)


_minutes: Final = Remembered[list[float]](seconds=5, of=())


def _in_doubt() -> list[float]:
    return _minutes.get("", _minutes_in_doubt)


def _minutes_in_doubt() -> list[float]:
    """Minutes since the prompt's life was over, of each payment that nobody is sure about."""
    now = hours.heard()
    asked = Payment.objects.filter(next_check_at__isnull=False, prompt_until__lt=now)
    open_ = OpenPrompt.objects.filter(until__lt=now)
    since = dict(open_.values_list("payment_id", "until")[:MOST])
    since |= dict(asked.order_by("next_check_at").values_list("pk", "prompt_until")[:MOST])
    return [(now - each).total_seconds() / 60 for each in since.values()]


def in_doubt() -> Samples:
    """Pending although the prompt is over."""
    yield (), len(_in_doubt())


def longest_in_doubt() -> Samples:
    """How long the oldest of them has been so."""
    yield (), max(_in_doubt(), default=0.0)


def open_doubts() -> Samples:
    """What waits for a person."""
    yield (), Doubt.objects.filter(resolved_at=None)[:MOST].count()


def oldest_doubt() -> Samples:
    """The oldest of those."""
    first = Doubt.objects.filter(resolved_at=None).order_by("raised_at")
    at = first.values_list("raised_at", flat=True).first()
    yield (), (hours.heard() - at).total_seconds() if at else 0.0


QUEUES: Final = {
    "checks": (Payment.objects.filter(next_check_at__isnull=False), "next_check_at"),
    "deliveries": (
        WebhookDelivery.objects.filter(state=WebhookDelivery.State.DUE),
        "next_attempt_at",
    ),
}
"""Rows that say when they are due, and the column that says it."""


def due_rows() -> Samples:
    """Due and not taken by a worker yet."""
    for name, (rows, column) in QUEUES.items():
        yield (name,), rows.filter(**{f"{column}__lte": Now()}).order_by(column)[:MOST].count()


def due_oldest() -> Samples:
    """How long the first in the queue has been waiting."""
    for name, (rows, column) in QUEUES.items():
        due = rows.filter(**{f"{column}__lte": Now()}).order_by(column)
        at = due.values_list(column, flat=True).first()
        yield (name,), max(0.0, (hours.heard() - at).total_seconds()) if at else 0.0


def webhook_success() -> Samples:
    """Of the deliveries of the last hour that were tried: how many arrived."""
    tried = WebhookDelivery.objects.filter(pk__gte=first_uuid7(hours.heard() - HOUR))
    states = [
        state
        for state, attempts in tried.order_by("-pk").values_list("state", "attempts")[:NEWEST]
        if attempts or state != WebhookDelivery.State.DUE
    ]
    if states:
        yield (), states.count(WebhookDelivery.State.DELIVERED.value) / len(states)


def workers() -> Samples:
    """Processes that do the background work."""
    yield (), heartbeats.alive()


def heartbeat_age() -> Samples:
    """Since any of them was heard of."""
    if at := heartbeats.last():
        yield (), max(0.0, (hours.heard() - at).total_seconds())


def check_ended() -> Samples:
    """When somebody last looked at the books: a check that no longer runs finds nothing."""
    for run in check.last_runs():
        if run.finished_at:
            yield (run.kind,), run.finished_at.timestamp()


def check_wrong() -> Samples:
    """What they found then."""
    for run in check.last_runs():
        yield (run.kind,), run.wrong


READINGS: Final = (
    Reading(
        "milango_callback_lag_seconds",
        "From M-Pesa's time of a payment to its callback, in the last hour.",
        callback_lag,
        ("stat",),
    ),
    Reading("milango_callback_age_seconds", "Since the newest callback.", callback_age),
    Reading("milango_match_rate", "Share of the last hour's callbacks with a payment.", match_rate),
    Reading("milango_payments_in_doubt", "Payments still pending after their prompt.", in_doubt),
    Reading(
        "milango_payments_in_doubt_oldest_minutes",
        "Minutes since the oldest of them should have been known.",
        longest_in_doubt,
    ),
    Reading(
        "milango_doubts_open", "Contradictions and refunds that wait for a person.", open_doubts
    ),
    Reading("milango_doubts_oldest_seconds", "Age of the oldest of those.", oldest_doubt),
    Reading("milango_due_rows", "Rows that are due and not taken.", due_rows, ("queue",)),
    Reading("milango_due_oldest_seconds", "How late the first of them is.", due_oldest, ("queue",)),
    Reading(
        "milango_webhook_success_ratio",
        "Share of the last hour's webhooks that arrived.",
        webhook_success,
    ),
    Reading(
        "milango_check_ended_timestamp_seconds",
        "When a look at the books last came to its end, in seconds since 1970.",
        check_ended,
        ("kind",),
    ),
    Reading(
        "milango_check_wrong", "What that look found to be wrong, in rows.", check_wrong, ("kind",)
    ),
    Reading("milango_workers", "Processes that do the background work.", workers),
    Reading("milango_worker_heartbeat_age_seconds", "Since a worker was heard of.", heartbeat_age),
)

UP: Final = "milango_database_up"
"""1 while the database answers. Without it there are no other readings."""

_read: Final = Remembered[list[GaugeMetricFamily]](seconds=5, of=())
"""Whoever asks more often gets the same answer."""


class Gauges(Collector):
    """All readings, for Prometheus."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Read them. A database that is away is a reading, not an error."""
        try:
            found = _read.get("", lambda: [_family(reading) for reading in READINGS])
        except AnyDatabaseError:
            found = []
        yield GaugeMetricFamily(UP, "Whether the database answers.", value=float(bool(found)))
        yield from found

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing beforehand: registering must not read."""
        return []


def _family(reading: Reading) -> GaugeMetricFamily:
    family = GaugeMetricFamily(reading.name, reading.help, labels=reading.labels)
    for labels, value in reading.read():
        family.add_metric(labels, value)
    return family
