"""Numbers that a process counts while it works, in the form that Prometheus reads.

Several processes of one server write theirs into files of one folder (PROMETHEUS_MULTIPROC_DIR),
so that each of them can answer for all. What the database knows is not counted here but read when
somebody asks: `flows.gauges`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes put what they counted. Read when this module is imported first."""

REGISTRY: Final = CollectorRegistry()

_APP: Final = ("call", "environment", "short_code")

DARAJA_SECONDS: Final = Histogram(
    "milango_daraja_request_seconds",
    "How long Daraja took to answer, by call and credential.",
    _APP,
    buckets=(0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30),
    registry=REGISTRY,
)
DARAJA_ERRORS: Final = Counter(
    "milango_daraja_errors_total",
    "Requests to Daraja that were refused, put off, or not answered.",
    (*_APP, "error"),
    registry=REGISTRY,
)
BATCH_SIZE: Final = Histogram(
    "milango_inbox_batch_size",
    "How many items were written in one transaction.",
    ("verb",),
    buckets=(1, 2, 4, 8, 16, 32, 64, 128),
    registry=REGISTRY,
)
BATCH_SECONDS: Final = Histogram(
    "milango_inbox_batch_seconds",
    "How long one batch took, its commit included.",
    ("verb",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5),
    registry=REGISTRY,
)
INBOX_WAITING: Final = Gauge(
    "milango_inbox_waiting",
    "Items that wait for the next batch.",
    registry=REGISTRY,
    multiprocess_mode="livesum",
)
REQUESTS: Final = Counter(
    "milango_requests_total",
    "Requests answered, by method, route and status.",
    ("method", "route", "status"),
    registry=REGISTRY,
)

METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def count_request(method: str, route: str, status: int, times: int = 1) -> None:
    """Count an answer. Anybody may invent a method, so unknown ones are one."""
    known = method if method in METHODS else "other"
    REQUESTS.labels(known, route, str(status)).inc(times)


def batch_done(verb: str, size: int, seconds: float, waiting: int) -> None:
    """Count a batch that was written."""
    BATCH_SIZE.labels(verb).observe(size)
    BATCH_SECONDS.labels(verb).observe(seconds)
    INBOX_WAITING.set(waiting)


@contextmanager
def daraja_call(call: str, environment: str, short_code: str) -> Iterator[None]:
    """Time one exchange with Daraja, and count how it failed, by our name for the error."""
    began = time.perf_counter()
    try:
        yield
    except Exception as error:
        DARAJA_ERRORS.labels(call, environment, short_code, type(error).__name__).inc()
        raise
    finally:
        DARAJA_SECONDS.labels(call, environment, short_code).observe(time.perf_counter() - began)


def render(*more: Collector) -> bytes:
    """All that was counted, by this process or by all that share its folder, and what else is
    collected now."""
    counted = REGISTRY
    if folder := os.environ.get(FOLDER):
        counted = CollectorRegistry()
        MultiProcessCollector(counted, folder)  # type: ignore[no-untyped-call]
    asked = CollectorRegistry()
    for collector in more:
        asked.register(collector)
    return generate_latest(counted) + generate_latest(asked)
