"""Traces for those who collect them: request → flow → Daraja call. Off unless switched on.

Needs `milango[otel]`. A span has names and ids only: never a payer's number, a body or an address,
and of an error nothing but its kind.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer, TracerProvider

logger = logging.getLogger(__name__)

ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""OpenTelemetry's own names: where spans are sent. With neither of them there are no spans."""

_OFF: Final[AbstractContextManager[None]] = nullcontext()
_tracer: Tracer | None = None


def use(provider: TracerProvider | None) -> None:
    """Give spans to this provider; None switches them off. For projects that trace already."""
    global _tracer
    _tracer = provider.get_tracer("milango") if provider else None


def start(environment: Mapping[str, str]) -> bool:
    """Send spans to the collector that the environment names, if it names one.

    Without the package a warning is all that happens: payments do not wait for traces.
    """
    if not any(environment.get(name) for name in ENDPOINTS):
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        logger.warning("no traces: OpenTelemetry is not installed (pip install 'milango[otel]')")
        return False
    named = environment.get("OTEL_SERVICE_NAME") or "milango"
    provider = TracerProvider(resource=Resource.create({"service.name": named}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)
    return True


def span(name: str, **attributes: str | int) -> AbstractContextManager[Span | None]:
    """A span around what happens within, below the one that is open. Costs nothing when off."""
    if _tracer is None:
        return _OFF
    return _open(_tracer, name, attributes)


@contextmanager
def _open(tracer: Tracer, name: str, attributes: Mapping[str, str | int]) -> Iterator[Span]:
    from opentelemetry.trace import Status, StatusCode

    told = {f"milango.{key}": value for key, value in attributes.items() if value != ""}
    with tracer.start_as_current_span(
        name, attributes=told, record_exception=False, set_status_on_exception=False
    ) as opened:
        try:
            yield opened
        except Exception as error:
            # Messages and tracebacks may hold what a trace must not.
            opened.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
