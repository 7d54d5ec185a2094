"""What /metrics and /readyz say, to whom, and at what cost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from milango.flows import check, gauges, heartbeats
from milango.flows.caches import forget_everything
from milango.models import (
    CheckRun,
    Doubt,
    Heartbeat,
    InboundCallback,
    OpenPrompt,
    Payment,
    WebhookDelivery,
    WebhookEndpoint,
)
from milango.models.ids import uuid7
from milango.seen import metrics
from tests.flows.conftest import make_payment
from tests.flows.test_traces import told
from tests.people import make_credential, make_merchant

pytestmark = pytest.mark.django_db

TOKEN = "a token of 24 characters"
HERE = {"HTTP_HOST": "127.0.0.1:8100"}


def numbers() -> dict[str, float]:
    """Each sample of /metrics by its name and labels, as a scraper on this machine gets them."""
    forget_everything()
    answer = Client().get("/metrics", **HERE)  # type: ignore[arg-type]
    assert answer.status_code == 200, answer.content
    return {
        "/".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


@pytest.fixture
def payment() -> Payment:
    return make_payment(make_credential(make_merchant("Duka"), environment="production"))


def callback(payment: Payment | None, **fields: Any) -> None:
    given = {"body_sha256": uuid7().hex, "verdict": "x", "received_at": timezone.now()}
    InboundCallback.objects.create(payment=payment, **given | fields)


def test_an_empty_installation_has_numbers_too(db: None) -> None:
    said = numbers()
    assert said["milango_database_up"] == 1
    assert said["milango_payments_in_doubt"] == 0
    assert "milango_match_rate" not in said, "nothing came, so there is no rate"


def test_how_late_callbacks_come_and_how_many_find_their_payment(payment: Payment) -> None:
    now = timezone.now()
    Payment.objects.update(transaction_date=now - timedelta(seconds=40))
    callback(payment, received_at=now - timedelta(seconds=30))
    callback(payment, received_at=now)
    callback(None)
    callback(payment, received_at=now - timedelta(hours=2))
    said = numbers()
    assert said["milango_callback_lag_seconds/median"] == pytest.approx(25, abs=1)
    assert said["milango_callback_lag_seconds/max"] == pytest.approx(40, abs=1)
    assert said["milango_match_rate"] == pytest.approx(2 / 3)
    assert said["milango_callback_age_seconds"] < 10


def test_payments_in_doubt_are_counted_once_and_their_age_is_in_minutes(payment: Payment) -> None:
    over = timezone.now() - timedelta(minutes=10)
    Payment.objects.update(prompt_until=over, next_check_at=timezone.now())
    OpenPrompt.objects.create(
        payment=payment, credential=payment.credential, phone=payment.phone, until=over
    )
    still_open = make_payment(payment.credential, next_check_at=timezone.now())
    assert still_open.prompt_until > timezone.now()
    said = numbers()
    assert said["milango_payments_in_doubt"] == 1
    assert said["milango_payments_in_doubt_oldest_minutes"] == pytest.approx(10, abs=0.2)


def test_queues_tell_their_length_and_their_lateness(payment: Payment) -> None:
    now = timezone.now()
    Payment.objects.update(next_check_at=now - timedelta(seconds=90))
    make_payment(payment.credential, next_check_at=now + timedelta(seconds=90))
    said = numbers()
    assert said["milango_due_rows/checks"] == 1
    assert said["milango_due_oldest_seconds/checks"] == pytest.approx(90, abs=5)
    assert said["milango_due_rows/deliveries"] == 0


def test_webhooks_that_were_tried_count_for_their_success(payment: Payment) -> None:
    endpoint = WebhookEndpoint.objects.create(
        merchant=payment.merchant, url="https://duka.example/hook", secret="x"
    )
    for state, attempts in (("delivered", 1), ("delivered", 2), ("given_up", 9), ("due", 1)):
        deliver(endpoint, state, attempts)
    deliver(endpoint, "due", 0)
    said = numbers()
    assert said["milango_webhook_success_ratio"] == 0.5
    assert said["milango_due_rows/deliveries"] == 2


def deliver(endpoint: WebhookEndpoint, state: str, attempts: int) -> None:
    WebhookDelivery.objects.create(
        endpoint=endpoint,
        merchant=endpoint.merchant,
        event_id=uuid7(),
        event_type="payment.succeeded",
        state=state,
        attempts=attempts,
        next_attempt_at=timezone.now() - timedelta(seconds=1),
    )


def test_what_waits_for_a_person_has_an_age(payment: Payment) -> None:
    Doubt.objects.create(
        merchant=payment.merchant,
        payment=payment,
        kind="refund_due",
        amount=50,
        owner="merchant",
        raised_at=timezone.now() - timedelta(hours=1),
    )
    said = numbers()
    assert said["milango_doubts_open"] == 1
    assert said["milango_doubts_oldest_seconds"] == pytest.approx(3600, abs=5)


def test_a_confirmation_is_matched_by_its_receipt(payment: Payment) -> None:
    row = told(payment.credential)
    assert row.payment_id is None
    assert numbers()["milango_match_rate"] == 1


def test_the_last_look_at_the_books_is_told_by_its_kind(payment: Payment) -> None:
    assert not any("check_" in name for name in numbers())
    Payment.objects.update(status="Failed")
    check.nightly()
    check.check(since=timezone.now() + timedelta(hours=1))
    unfinished = CheckRun.objects.create(kind="nightly", version="1", started_at=timezone.now())
    CheckRun.objects.create(kind="reread", version="1", started_at=timezone.now(), wrong=9)
    said = numbers()
    ended = CheckRun.objects.filter(kind="nightly").exclude(pk=unfinished.pk).get()
    assert said["milango_check_wrong/nightly"] == ended.wrong > 0
    assert said["milango_check_wrong/recent"] == 0
    at = said["milango_check_ended_timestamp_seconds/nightly"]
    assert ended.finished_at
    assert at == pytest.approx(ended.finished_at.timestamp())
    assert not any(name.endswith(("/all", "/reread")) for name in said if "check_" in name)


def test_a_worker_is_seen_while_it_lives(db: None) -> None:
    assert "milango_worker_heartbeat_age_seconds" not in numbers()
    heartbeats.beat()
    heartbeats.beat()
    said = numbers()
    assert said["milango_workers"] == 1
    assert said["milango_worker_heartbeat_age_seconds"] < 5
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    assert numbers()["milango_workers"] == 0


class Planner:
    """Asks SQLite how it would answer each query."""

    def __init__(self) -> None:
        self.plans: list[str] = []

    def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("SELECT"):
            cursor = connection.connection.cursor()
            cursor.execute(f"EXPLAIN QUERY PLAN {sql.replace('%s', '?')}", params)
            self.plans += [row[-1] for row in cursor.fetchall()]
        return execute(sql, params, many, context)


def test_no_reading_goes_over_a_table_that_grows(payment: Payment) -> None:
    if connection.vendor != "sqlite":
        return
    planner = Planner()
    with connection.execute_wrapper(planner):
        assert list(gauges.Gauges().collect())
    whole = [plan for plan in planner.plans if plan.startswith("SCAN") and "INDEX" not in plan]
    # One row for each phone that is busy, or that nobody has answered for: not history.
    assert {plan for plan in whole if "subquery" not in plan} == {"SCAN milango_openprompt"}
    assert any("payment_checks_due" in plan for plan in planner.plans)
    assert any("deliveries_due" in plan for plan in planner.plans)


# --- who may look ---------------------------------------------------------------------------


@pytest.fixture
def token(settings: Any) -> None:
    settings.MILANGO = settings.MILANGO | {"METRICS_TOKEN": TOKEN}


ASKING: dict[str, tuple[dict[str, str], int]] = {
    "this machine": ({}, 200),
    "this machine, IPv6": ({"REMOTE_ADDR": "::1", "HTTP_HOST": "[::1]:8100"}, 200),
    "another machine": ({"REMOTE_ADDR": "192.0.2.7"}, 401),
    "through a proxy here": ({"HTTP_X_FORWARDED_FOR": "192.0.2.7"}, 401),
    "through a proxy that lies": ({"HTTP_X_FORWARDED_FOR": "127.0.0.1"}, 401),
    "through a plain proxy": ({"HTTP_HOST": "pay.example.test"}, 401),
    "a page in a browser here": ({"HTTP_HOST": "evil.example"}, 401),
    "the token": ({"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": f"Bearer {TOKEN}"}, 200),
    "a wrong token": ({"HTTP_AUTHORIZATION": "Bearer guess"}, 401),
}


@pytest.mark.parametrize("who", ASKING)
def test_numbers_are_for_this_machine_or_for_the_token(db: None, token: None, who: str) -> None:
    given, status = ASKING[who]
    answer = Client().get("/metrics", **HERE | given)  # type: ignore[arg-type]
    assert answer.status_code == status
    ready = Client().get("/readyz", **HERE | given)  # type: ignore[arg-type]
    assert ready.status_code == 503, "no worker"
    assert ("checks" in ready.json()) is (status == 200)


def test_without_a_token_set_no_bearer_is_let_in(db: None) -> None:
    given = {"REMOTE_ADDR": "192.0.2.7", "HTTP_AUTHORIZATION": "Bearer "}
    assert Client().get("/metrics", **HERE | given).status_code == 401  # type: ignore[arg-type]


# --- ready ----------------------------------------------------------------------------------


def ready() -> tuple[int, dict[str, str]]:
    answer = Client().get("/readyz", **HERE)  # type: ignore[arg-type]
    return answer.status_code, answer.json()["checks"]


def test_ready_is_when_everything_works(db: None) -> None:
    assert ready()[1]["worker"].startswith("none has been heard of")
    heartbeats.beat()
    assert ready() == (200, {"database": "ok", "migrations": "ok", "worker": "ok"})
    Heartbeat.objects.update(at=timezone.now() - timedelta(minutes=5))
    status, checks = ready()
    assert status == 503
    assert "300 seconds ago" in checks["worker"]


@pytest.fixture
def broken_database(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from django.db import OperationalError

    def away(*args: Any) -> Any:
        raise OperationalError("postgres://canary@db is away")

    with connection.execute_wrapper(away):
        yield


def test_a_database_that_is_away_is_said_and_not_raised(broken_database: None) -> None:
    status, checks = ready()
    assert status == 503
    assert checks["database"] == "cannot be asked (OperationalError)"
    assert numbers()["milango_database_up"] == 0


# --- counted while working ------------------------------------------------------------------


def test_answers_are_counted_by_route_and_never_by_address(settings: Any) -> None:
    settings.MIDDLEWARE = ["milango.api.middleware.seen", *settings.MIDDLEWARE]
    before = numbers()
    Client().get("/api/v1/payments/status/canary-one")
    Client().get("/api/v1/payments/status/canary-two")
    Client().generic("BREW", "/canary")
    said = numbers()
    name = "milango_requests_total/GET//api/v1/payments/status/*/401"
    assert said[name] - before.get(name, 0) == 2
    assert said["milango_requests_total/other/(none)/404"] >= 1
    assert "canary" not in repr(said)


def test_a_failing_call_of_daraja_is_timed_and_named(db: None) -> None:
    labels = {"call": "push", "environment": "sandbox", "short_code": "600999"}
    with pytest.raises(TimeoutError), metrics.daraja_call("push", "sandbox", "600999"):
        raise TimeoutError
    with metrics.daraja_call("push", "sandbox", "600999"):
        pass
    found = metrics.REGISTRY.get_sample_value
    assert found("milango_daraja_request_seconds_count", labels) == 2
    errors = labels | {"error": "TimeoutError"}
    assert found("milango_daraja_errors_total", errors) == 1
