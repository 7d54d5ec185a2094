"""Merchants are told: signed, once per event, of the payment as it is now, whatever breaks."""

from __future__ import annotations

import base64
import time
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from milango.core.webhooks import RETRY_AFTER
from milango.flows import deliver, endpoints, letters
from milango.flows.settle import settle_many
from milango.models import AuditEntry, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from milango.signals import endpoint_disabled
from tests.flows.conftest import accepted, failed, make_payment, paid
from tests.webhooks.conftest import make_due, receiving, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def settle(payment, *evidence) -> None:
    from django.db import transaction

    with transaction.atomic():
        settle_many(list(evidence))


def states() -> list[str]:
    return sorted(WebhookDelivery.objects.values_list("state", flat=True))


def all_delivered() -> bool:
    return set(states()) == {"delivered"}


def _tried(times: int) -> bool:
    return WebhookAttempt.objects.count() == times


def hurry() -> None:
    WebhookDelivery.objects.filter(state="due").update(
        next_attempt_at=timezone.now() - timedelta(seconds=1)
    )


def test_a_commit_wakes_an_idle_worker(credential, endpoint, shop, worker, monkeypatch) -> None:
    """Not by a look now and then. How soon it is told is for `make bench` to say."""
    monkeypatch.setattr(deliver, "PAUSE", 600.0)
    endpoints.trigger(credential.merchant, "ping")
    shop.wait(1)
    wait_for(all_delivered)
    time.sleep(0.7)  # longer than the pause that the worker may have begun before
    payment = make_payment(credential)
    for number, evidence in enumerate((accepted(payment), paid(payment)), start=2):
        settle(payment, evidence)
        shop.wait(number)
    assert [each["type"] for each in shop.documents][1:] == [
        "payment.prompted",
        "payment.succeeded",
    ]
    wait_for(all_delivered)


def test_every_library_verifies_what_we_sign(credential, endpoint, shop, worker) -> None:
    payment = make_payment(credential)
    settle(payment, accepted(payment))
    shop.wait()
    headers, body, _ = shop.got[0]
    assert Webhook(endpoint.secret).verify(body, headers)["type"] == "payment.prompted"
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoints.new_secret()).verify(body, headers)
    event = payment.events.get(type="payment.prompted")
    assert headers["webhook-id"] == event.public_id


def test_during_a_rotation_both_secrets_verify_and_afterwards_only_the_new_one(
    credential, endpoint, shop, worker
) -> None:
    old = endpoint.secret
    endpoints.rotate(endpoint, actor="test", keep=timedelta(hours=1))
    new = WebhookEndpoint.objects.get().secret
    assert old != new
    endpoints.trigger(credential.merchant, "ping")
    shop.wait()
    for secret in (old, new):
        Webhook(secret).verify(shop.got[0][1], shop.got[0][0])
    endpoint.old_secret_until = timezone.now()
    endpoint.save()
    endpoints.trigger(credential.merchant, "ping")
    shop.wait(2)
    Webhook(new).verify(shop.got[1][1], shop.got[1][0])
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(shop.got[1][1], shop.got[1][0])


def test_an_ed25519_signature_is_added_on_request(merchant, shop, worker) -> None:
    endpoint = endpoints.add(merchant, shop.url, actor="test", ed25519=True)
    endpoints.trigger(merchant, "ping")
    shop.wait()
    headers, body, _ = shop.got[0]
    (signature,) = [
        each[4:] for each in headers["webhook-signature"].split() if each.startswith("v1a,")
    ]
    public = letters.public_key(endpoint.ed25519_key)
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public.removeprefix("whpk_")))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key.verify(base64.b64decode(signature), signed)
    Webhook(endpoint.secret).verify(body, headers)


def test_the_phone_is_masked_unless_the_endpoint_asked_for_it(
    credential, merchant, shop, other_shop, worker
) -> None:
    endpoints.add(merchant, shop.url, actor="test")
    endpoints.add(merchant, other_shop.url, actor="test", full_phone=True)
    payment = make_payment(credential, checkout_request_id=None)
    settle(payment, accepted(payment, f"ws_CO_2411202610153120{payment.phone[3:]}"))
    shop.wait()
    other_shop.wait()
    assert payment.phone.encode() not in shop.got[0][1]
    assert payment.phone[3:].encode() not in shop.got[0][1]
    assert other_shop.documents[0]["data"]["payment"]["phone_number"] == payment.phone
    told = shop.documents[0]
    assert (told["livemode"], told["version"], told["object"]) == (True, 1, "event")


def test_a_stale_failure_that_is_delivered_late_says_success(
    credential, endpoint, shop, worker
) -> None:
    shop.status = 503
    payment = make_payment(credential)
    settle(payment, accepted(payment), failed(payment))
    shop.wait(2)
    wait_for(lambda: WebhookAttempt.objects.count() >= 2)
    shop.status = 200
    settle(payment, paid(payment))
    wait_for(lambda: "delivered" in states())
    hurry()
    wait_for(all_delivered)
    late = [each for each in shop.documents if each["type"] == "payment.failed"]
    assert late[0]["data"]["payment"]["status"] == "Failed"
    assert late[-1]["data"]["payment"]["status"] == "Success"
    assert late[-1]["sequence"] > late[0]["sequence"]
    assert late[0]["id"] == late[-1]["id"]
    (success,) = [each for each in shop.documents if each["type"] == "payment.succeeded"]
    assert success["data"]["event"]["data"]["late"] is True
    assert success["data"]["event"]["data"]["failed_before"] == "cancelled"


def test_it_tries_again_by_the_schedule_and_gives_up_at_its_end(
    credential, endpoint, shop, worker
) -> None:
    shop.status = 500
    endpoints.trigger(credential.merchant, "ping")
    for attempt in range(1, len(RETRY_AFTER) + 2):
        wait_for(partial(_tried, attempt))
        delivery = WebhookDelivery.objects.get()
        if delivery.next_attempt_at:
            wait = (delivery.next_attempt_at - timezone.now()).total_seconds()
            assert RETRY_AFTER[attempt - 1] - 5 < wait <= RETRY_AFTER[attempt - 1] * 1.2
        hurry()
    assert states() == ["given_up"]
    assert len({headers["webhook-id"] for headers, _, _ in shop.got}) == 1
    assert WebhookEndpoint.objects.get().failing_since


def test_a_410_disables_the_endpoint_at_once_and_its_merchants_others_are_told(
    credential, merchant, shop, other_shop, worker
) -> None:
    gone = endpoints.add(merchant, shop.url, actor="test", events=["ping"])
    endpoints.add(merchant, other_shop.url, actor="test", events=["endpoint.disabled"])
    heard = []

    def receive(**given: Any) -> None:
        heard.append(given["endpoint_id"])

    endpoint_disabled.connect(receive)
    shop.status = 410
    endpoints.trigger(merchant, "ping")
    other_shop.wait()
    endpoint_disabled.disconnect(receive)
    gone.refresh_from_db()
    assert (gone.active, gone.disabled_reason) == (False, "gone")
    assert heard == [gone.pk]
    assert other_shop.documents[0]["data"]["subject"] == gone.public_id
    assert AuditEntry.objects.get(action="webhook.disabled").actor == "milango"
    assert endpoints.trigger(merchant, "ping") == 0


def test_who_took_nothing_for_five_days_is_disabled_and_one_success_resets_the_count(
    credential, endpoint, shop, worker
) -> None:
    old = timezone.now() - timedelta(days=5, minutes=1)
    WebhookEndpoint.objects.update(failing_since=old)
    endpoints.trigger(credential.merchant, "ping")
    wait_for(lambda: WebhookEndpoint.objects.get().failing_since is None)
    shop.status = 404
    WebhookEndpoint.objects.update(failing_since=old)
    endpoints.trigger(credential.merchant, "ping")
    wait_for(lambda: not WebhookEndpoint.objects.get().active)
    assert WebhookEndpoint.objects.get().disabled_reason == "failing"
    shop.status = 200
    hurry()
    time.sleep(0.7)
    told = len(shop.got)
    endpoints.enable(WebhookEndpoint.objects.get(), actor="test")
    shop.wait(told + 1)  # what has waited is told


def test_what_the_endpoint_says_is_kept_as_four_kilobytes_of_readable_text(
    credential, endpoint, shop, worker
) -> None:
    shop.status = 500
    shop.body = b"<script>alert(1)</script>\0\x1b[31m\xff \xe2\x80\xae" + b"x" * 5_000_000
    endpoints.trigger(credential.merchant, "ping")
    wait_for(lambda: WebhookAttempt.objects.exists())
    kept = WebhookAttempt.objects.get()
    assert kept.status == 500
    assert kept.answer.startswith("<script>alert(1)</script>  [31m\ufffd x")
    assert len(kept.answer) <= 4_096


def test_a_dead_endpoint_does_not_slow_the_others(merchant, shop, worker) -> None:
    with receiving() as dead:
        dead.drip, dead.body = 1.0, b"nothing at all"
        slow = endpoints.add(merchant, dead.url, actor="test")
        fast = endpoints.add(merchant, shop.url, actor="test")
        make_due(merchant, [slow], 300, seconds_ago=60)
        make_due(merchant, [fast], 300)
        began = time.monotonic()
        endpoints.trigger(merchant, "ping")
        shop.wait(301)
        assert time.monotonic() - began < 5
        assert len(dead.got) <= 16
        dead.drip = 0.0  # nobody waits for the rest


def test_more_dead_endpoints_than_places_keep_nobody_waiting_long(merchant, shop, worker) -> None:
    with receiving() as dead:
        dead.drip, dead.body = 1.0, b"nothing at all"
        slow = [
            endpoints.add(merchant, f"{dead.url}/{number}", actor="test")
            for number in range(deliver.BRISK // 16 + 4)
        ]
        make_due(merchant, slow, 20, seconds_ago=60)
        wait_for(lambda: len(dead.got) >= deliver.BRISK)
        began = time.monotonic()
        make_due(merchant, [endpoints.add(merchant, shop.url, actor="test")], 100)
        shop.wait(100)
        assert time.monotonic() - began < 5
        dead.drip = 0.0  # nobody waits for the rest


@pytest.fixture
def four_are_brisk(monkeypatch) -> None:
    """Set before the worker starts, which reads it ahead of each turn."""
    monkeypatch.setattr(deliver, "BRISK", 4)


def test_no_more_attempts_begin_side_by_side_than_are_brisk(
    four_are_brisk, merchant, shop, worker
) -> None:
    shop.drip, shop.body = 0.03, b"ok"
    make_due(merchant, [endpoints.add(merchant, shop.url, actor="test")], 40)
    wait_for(lambda: len(shop.got) == 40 and all_delivered())
    assert shop.most_at_once == 4


def test_a_replay_has_the_same_id_and_a_range_also_what_was_never_told(
    credential, endpoint, shop, worker
) -> None:
    began = timezone.now() - timedelta(seconds=5)
    payment = make_payment(credential)
    settle(payment, accepted(payment))
    shop.wait()
    wait_for(all_delivered)
    endpoints.replay(WebhookDelivery.objects.get(), actor="test")
    shop.wait(2)
    assert shop.got[0][0]["webhook-id"] == shop.got[1][0]["webhook-id"]
    endpoints.disable(endpoint, actor="test")
    settle(payment, paid(payment))
    endpoints.enable(endpoint, actor="test")
    assert not WebhookDelivery.objects.filter(event_type="payment.succeeded").exists()
    count = endpoints.replay_range(
        endpoint, began, timezone.now() + timedelta(seconds=1), actor="test"
    )
    assert count == 2
    shop.wait(4)
    assert [each["type"] for each in shop.documents][2:].count("payment.succeeded") == 1
    again = endpoints.replay_range(endpoint, began, timezone.now(), actor="t", types=["ping"])
    assert again == 0


def test_a_changed_credential_is_told(credential, endpoint, shop, worker) -> None:
    from milango.flows.credentials import change_credential

    change_credential(credential, actor="test", passkey="another")
    shop.wait()
    (told,) = shop.documents
    assert (told["type"], told["data"]["fields"]) == ("credential.changed", ["passkey"])
    assert told["data"]["subject"] == credential.public_id


def test_a_copy_of_the_database_tells_nobody(credential, endpoint, shop, settings) -> None:
    from milango.core.errors import Declined
    from milango.flows import installations

    installations.current()
    endpoints.trigger(credential.merchant, "ping")
    settings.MILANGO = settings.MILANGO | {"PUBLIC_URL": "https://copy.example"}
    with pytest.raises(Declined, match="belongs to"):
        deliver.turn([], {}, 10)
    assert WebhookDelivery.objects.get().attempts == 0


def test_a_damaged_secret_costs_its_own_endpoint_alone(merchant, shop, endpoint, worker) -> None:
    broken = endpoints.add(merchant, shop.url, actor="test")
    WebhookEndpoint.objects.filter(pk=broken.pk).update(
        secret=WebhookEndpoint._meta.get_field("secret").to_python("mse1:01:AAAA")
    )
    endpoints.trigger(merchant, "ping")
    wait_for(lambda: WebhookAttempt.objects.count() == 2)
    told = WebhookAttempt.objects.get(status=None)
    assert "secret cannot be used" in told.error
    assert len(shop.got) == 1
