"""A merchant's programs look after its webhook endpoints: their own, and a secret is shown once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest
from django.utils import timezone

from milango.api import schemas
from milango.core.webhooks import STATES
from milango.flows import endpoints
from milango.models import (
    AuditEntry,
    Merchant,
    MpesaCredential,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.flows.conftest import accepted, make_payment
from tests.people import make_key

from .conftest import Api, problem

pytestmark = pytest.mark.django_db

URL = "https://shop.example/hook"
AT = "webhook-endpoints"


@pytest.fixture
def shop(merchant: Merchant) -> Api:
    """The merchant's server, with a key that may manage."""
    return Api(make_key(merchant, scopes=["read", "manage"])[1])


@pytest.fixture
def endpoint(merchant: Merchant) -> WebhookEndpoint:
    return endpoints.add(merchant, URL, actor="test", events=["payment.succeeded"])


def test_an_endpoint_is_added_and_its_secret_is_shown_once(shop: Api) -> None:
    answer = shop.send("POST", AT, {"url": URL, "event_types": ["ping"], "ed25519": True})
    assert answer.status_code == 201
    assert answer.headers["Cache-Control"] == "no-store"
    made = answer.json()
    row = WebhookEndpoint.objects.get()
    assert (made["id"], made["secret"]) == (row.public_id, row.secret)
    assert made["public_key"].startswith("whpk_")
    for path in (AT, f"{AT}/{row.public_id}"):
        again = shop.get(path).content.decode()
        assert row.public_id in again
        assert row.secret not in again
        assert '"secret"' not in again
    entry = AuditEntry.objects.get(action="webhook.added")
    assert entry.actor.startswith("key sk_")
    assert row.secret not in str(entry.detail)


def test_the_same_key_adds_one_endpoint_and_shows_no_secret_again(shop: Api) -> None:
    wish = {"url": URL}
    first = shop.send("POST", AT, wish, **{"Idempotency-Key": "shop-1"}).json()
    again = shop.send("POST", AT, wish, **{"Idempotency-Key": "shop-1"})
    assert (again.status_code, again.json()["id"]) == (201, first["id"])
    assert "secret" in first
    assert "secret" not in again.json()
    other = shop.send("POST", AT, {"url": URL + "2"}, **{"Idempotency-Key": "shop-1"})
    problem(other, 409, "idempotency_conflict", "Idempotency-Key")
    refused = shop.send("POST", AT, {"url": "http://x"}, **{"Idempotency-Key": "shop-2"})
    problem(refused, 400, "invalid_url", "url")
    assert WebhookEndpoint.objects.count() == 1
    kept = shop.send("POST", AT, wish, **{"Idempotency-Key": "shop-2"})
    assert "secret" in kept.json(), "what was refused has used no key up"


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"url": "http://shop.example/"}, "invalid_url", "url"),
        ({"url": "https://10.0.0.1/"}, "invalid_url", "url"),
        ({"url": "https://[::ffff:127.0.0.1]/"}, "invalid_url", "url"),
        ({"url": "https://pay.example.test/"}, "invalid_url", "url"),
        ({"url": "https://me@shop.example/"}, "invalid_url", "url"),
        ({"url": "https://shop.example:8443/"}, "invalid_url", "url"),
        ({"url": "https://shop.example/" + "x" * 500}, "invalid_url", "url"),
        ({"url": 5}, "invalid_url", "url"),
        ({}, "missing_field", "url"),
        ({"url": URL, "event_types": ["paid"]}, "invalid_event_type", "event_types"),
        ({"url": URL, "event_types": "ping"}, "invalid_event_type", "event_types"),
        ({"url": URL, "full_phone": "yes"}, "invalid_request", "full_phone"),
        ({"url": URL, "secret": "whsec_mine"}, "unknown_field", "secret"),
    ],
)
def test_what_nothing_could_be_sent_to_is_refused(
    shop: Api, endpoint: WebhookEndpoint, wrong: dict[str, Any], code: str, field: str
) -> None:
    problem(shop.send("POST", AT, wrong), 400, code, field)
    if code != "missing_field":
        change = shop.send("PATCH", f"{AT}/{endpoint.public_id}", wrong)
        problem(change, 400, code, field)
    assert WebhookEndpoint.objects.get().url == URL


def test_only_a_secret_key_with_the_scope_changes_anything(
    api: Api, page: Api, endpoint: WebhookEndpoint
) -> None:
    assert api.get(AT).status_code == 200
    for method, path in (("POST", AT), ("PATCH", f"{AT}/{endpoint.public_id}")):
        problem(api.send(method, path, {"url": URL}), 403, "wrong_scope")
    problem(api.send("DELETE", f"{AT}/{endpoint.public_id}"), 403, "wrong_scope")
    problem(api.send("POST", f"{AT}/{endpoint.public_id}/rotate"), 403, "wrong_scope")
    problem(page.get(AT), 403, "secret_key_required")
    assert WebhookEndpoint.objects.get().active


def test_it_is_changed_disabled_and_enabled_as_one(shop: Api, endpoint: WebhookEndpoint) -> None:
    at = f"{AT}/{endpoint.public_id}"
    changed = shop.send("PATCH", at, {"event_types": [], "active": False}).json()
    assert (changed["event_types"], changed["active"]) == ([], False)
    assert changed["disabled_reason"] == "by hand"
    assert shop.send("PATCH", at, {"active": True}).json()["disabled_reason"] is None
    both = {"active": False, "url": "https://127.0.0.1/"}
    problem(shop.send("PATCH", at, both), 400, "invalid_url", "url")
    row = WebhookEndpoint.objects.get()
    assert (row.active, row.url) == (True, URL), "all of it, or nothing"
    actions = AuditEntry.objects.order_by("number").values_list("action", flat=True)
    assert list(actions)[2:] == [f"webhook.{each}" for each in ("changed", "disabled", "enabled")]


def test_a_removed_one_is_gone_and_its_record_stays(shop: Api, endpoint: WebhookEndpoint) -> None:
    delivery = endpoints.trigger_at(endpoint, "ping")
    at = f"{AT}/{endpoint.public_id}"
    assert shop.send("DELETE", at).json()["disabled_reason"] == "removed"
    for path in (at, f"webhook-deliveries/{delivery.public_id}"):
        problem(shop.get(path), 404, "not_found")
    problem(shop.send("DELETE", at), 404, "not_found")
    assert shop.get(AT).json()["data"] == []
    delivery.refresh_from_db()
    assert (delivery.state, delivery.next_attempt_at) == ("given_up", None)
    endpoints.enable(WebhookEndpoint.objects.get(), actor="operator")
    assert shop.get(at).json()["active"] is True


def test_a_rotated_secret_is_shown_once_and_replaced_once(
    shop: Api, endpoint: WebhookEndpoint
) -> None:
    path = f"{AT}/{endpoint.public_id}/rotate"
    first = shop.send("POST", path, {"keep_hours": 2}, **{"Idempotency-Key": "r"}).json()
    row = WebhookEndpoint.objects.get()
    assert first["secret"] == row.secret != endpoint.secret == row.old_secret
    again = shop.send("POST", path, {"keep_hours": 2}, **{"Idempotency-Key": "r"}).json()
    assert "secret" not in again
    assert WebhookEndpoint.objects.get().old_secret == endpoint.secret
    assert shop.send("POST", path).json()["secret"] == WebhookEndpoint.objects.get().secret
    problem(shop.send("POST", path, {"keep_hours": 721}), 400, "invalid_request", "keep_hours")


def test_a_test_event_is_due_and_a_disabled_endpoint_gets_none(
    shop: Api, endpoint: WebhookEndpoint, merchant: Merchant
) -> None:
    endpoints.add(merchant, URL + "/other", actor="test")
    path = f"{AT}/{endpoint.public_id}/test"
    answer = shop.send("POST", path)
    assert (answer.status_code, answer.json()["event_type"]) == (202, "ping")
    told = shop.send("POST", path, {"event_type": "payment.failed"}).json()
    assert (told["state"], told["payment"]) == ("due", None)
    assert WebhookDelivery.objects.filter(endpoint=endpoint).count() == 2
    assert WebhookDelivery.objects.count() == 2, "nobody else is told"
    endpoints.disable(endpoint, actor="test")
    problem(shop.send("POST", path), 409, "endpoint_disabled")


def test_deliveries_are_paged_by_event_and_found_by_state(
    shop: Api, endpoint: WebhookEndpoint
) -> None:
    made = [endpoints.trigger_at(endpoint, "ping") for _ in range(5)]
    WebhookDelivery.objects.filter(pk=made[1].pk).update(state="given_up")
    path, seen = f"{AT}/{endpoint.public_id}/deliveries", []
    last: dict[str, str] = {}
    for _ in range(3):
        page = shop.get(path, limit="2", **last).json()
        seen += [each["id"] for each in page["data"]]
        last = {"starting_after": seen[-1]}
    assert page["has_more"] is False
    newest_first = sorted(made, key=lambda each: each.event_id, reverse=True)
    assert seen == [each.public_id for each in newest_first]
    found = shop.get(path, state="given_up").json()["data"]
    assert [each["id"] for each in found] == [made[1].public_id]
    problem(shop.get(path, state="lost"), 400, "invalid_filter", "state")
    problem(
        shop.get(path, starting_after=f"whd_{'0' * 32}"), 400, "invalid_filter", "starting_after"
    )
    assert list(STATES) == WebhookDelivery.State.values


def test_one_is_delivered_again_and_its_log_is_read(shop: Api, endpoint: WebhookEndpoint) -> None:
    delivery = endpoints.trigger_at(endpoint, "ping")
    WebhookDelivery.objects.update(state="given_up", attempts=12, next_attempt_at=None)
    WebhookAttempt.objects.create(
        delivery=delivery,
        merchant=delivery.merchant,
        status=500,
        ms=7,
        answer="<b>no</b>",
        at=timezone.now(),
    )
    path = f"webhook-deliveries/{delivery.public_id}"
    (tried,) = shop.get(path).json()["log"]
    assert (tried["status"], tried["ms"], tried["answer"]) == (500, 7, "<b>no</b>")
    again = shop.send("POST", f"{path}/replay")
    assert (again.status_code, again.json()["state"], again.json()["attempts"]) == (202, "due", 0)
    assert AuditEntry.objects.get(action="webhook.replayed").actor.startswith("key sk_")


def test_a_span_is_told_again_with_what_was_never_told(
    shop: Api, merchant: Merchant, credential: MpesaCredential
) -> None:
    from milango.flows.settle import settle_many

    payment = make_payment(credential)
    settle_many([accepted(payment)])
    endpoint = endpoints.add(merchant, URL, actor="test")
    now = timezone.now()
    path = f"{AT}/{endpoint.public_id}/replay"
    span = {"since": (now - timedelta(hours=1)).isoformat()}
    span["until"] = (now + timedelta(seconds=1)).isoformat()
    answer = shop.send("POST", path, span)
    assert (answer.status_code, answer.json()["deliveries"]) == (202, 1)
    assert WebhookDelivery.objects.get().event_type == "payment.prompted"
    too_long = {"since": (now - timedelta(days=32)).isoformat()}
    problem(shop.send("POST", path, too_long), 400, "invalid_request", "since")
    problem(shop.send("POST", path, {"since": "today"}), 400, "invalid_request", "since")
    problem(shop.send("POST", path, {}), 400, "missing_field", "since")


def test_a_merchant_has_so_many_endpoints_at_most(
    shop: Api, endpoint: WebhookEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MOST", 1)
    problem(shop.send("POST", AT, {"url": URL}), 409, "too_many_endpoints")
    endpoints.disable(endpoint, actor="test")
    assert shop.send("POST", AT, {"url": URL}).status_code == 201
    at = f"{AT}/{endpoint.public_id}"
    problem(shop.send("PATCH", at, {"active": True}), 409, "too_many_endpoints")


def test_a_session_of_listen_is_nobodys_to_manage(shop: Api, merchant: Merchant) -> None:
    session = endpoints.open_session(merchant, "http://localhost:8000/", [])
    assert shop.get(AT).json()["data"] == []
    problem(shop.send("DELETE", f"{AT}/{session.public_id}"), 404, "not_found")


def test_a_damaged_key_hides_no_other_endpoint(shop: Api, endpoint: WebhookEndpoint) -> None:
    field = WebhookEndpoint._meta.get_field("ed25519_key")
    broken = field.to_python("mse1:01:AAAA")
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(ed25519_key=broken)
    (found,) = shop.get(AT).json()["data"]
    assert found["public_key"] is None


def test_what_we_answer_is_what_is_described(shop: Api, endpoint: WebhookEndpoint) -> None:
    delivery = endpoints.trigger_at(endpoint, "ping")
    at = f"{AT}/{endpoint.public_id}"
    for answer, kind in (
        (shop.send("POST", AT, {"url": URL}), schemas.WebhookEndpoint),
        (shop.get(AT), schemas.WebhookEndpointList),
        (shop.get(at), schemas.WebhookEndpoint),
        (shop.get(f"{at}/deliveries"), schemas.WebhookDeliveryList),
        (shop.get(f"webhook-deliveries/{delivery.public_id}"), schemas.WebhookDelivery),
    ):
        read = msgspec.json.decode(answer.content, type=kind)
        assert msgspec.json.decode(answer.content) == msgspec.to_builtins(read)
