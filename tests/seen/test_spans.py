"""Spans run from the request to Daraja, say nothing personal, and are off by default."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from opentelemetry.sdk.trace import ReadableSpan, Tracer, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from milango.seen import spans
from tests.api.conftest import PUSH, _simulator, daraja  # noqa: F401 - fixtures
from tests.doors import FrontClient
from tests.people import PAYER, make_credential, make_key, make_merchant


@pytest.fixture
def told() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    spans.use(provider)
    yield exporter
    spans.use(None)


def path_of(span: ReadableSpan, by_id: dict[int, ReadableSpan]) -> list[str]:
    above = by_id.get(span.parent.span_id) if span.parent else None
    return [*(path_of(above, by_id) if above else []), span.name]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("door", [Client, FrontClient], ids=["django", "front"])
def test_a_push_is_followed_from_the_request_to_daraja(
    door: Any,
    daraja: Any,  # noqa: F811 - the fixture
    told: InMemorySpanExporter,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if door is FrontClient:
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    settings.MIDDLEWARE = ["milango.api.middleware.seen", *settings.MIDDLEWARE]
    credential = make_credential(make_merchant("Duka"))
    daraja.register(credential)
    headers = {"Authorization": f"Bearer {make_key(credential.merchant)[1]}", "X-Request-ID": "r1"}
    wish = {"phone_number": PAYER, "amount": 50, "shortcode": credential.short_code}
    answer = door().post(PUSH, wish, content_type="application/json", headers=headers)
    assert answer.status_code == 202, answer.content
    found = told.get_finished_spans()
    by_id = {span.context.span_id: span for span in found if span.context}
    paths = {" > ".join(path_of(span, by_id)) for span in found}
    request = f"POST {PUSH}"
    assert f"{request} > charge > daraja push" in paths
    assert f"{request} > charge > write payments" in paths
    (root,) = (span for span in found if span.name == request)
    assert root.attributes == {"milango.request_id": "r1"}
    said = "".join(span.to_json() for span in found)
    assert PAYER[3:] not in said
    assert "ws_CO_" not in said


def test_of_an_error_only_its_kind_is_told(told: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="canary"), spans.span("x", payment="pay_1"):
        raise ValueError("canary 254708374149")
    (span,) = told.get_finished_spans()
    assert span.status.description == "ValueError"
    assert "canary" not in span.to_json()


def test_they_are_off_unless_the_environment_names_a_collector() -> None:
    assert spans.start({}) is False
    with spans.span("nothing") as opened:
        assert opened is None


def test_a_collector_that_is_named_is_used() -> None:
    try:
        assert spans.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is True
        assert isinstance(spans._tracer, Tracer)  # nothing is sent: nobody listens there
    finally:
        spans.use(None)


def test_without_the_package_payments_go_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    assert spans.start({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}) is False
    assert "milango[otel]" in caplog.text
