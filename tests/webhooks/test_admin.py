"""The admin: an endpoint's secret is shown once, its answers are text, and replaying is scoped."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from milango.flows import endpoints
from milango.models import Membership, Merchant, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from tests.people import make_merchant, seen

pytestmark = pytest.mark.django_db

LIST = reverse("admin:milango_webhookdelivery_changelist")


def staff(merchant: Merchant, *rights: str) -> Client:
    user = User.objects.create_user("keeper", password="x", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=rights))
    Membership.objects.create(user=user, merchant=merchant)
    client = Client()
    client.force_login(user)
    return client


def delivery_of(name: str) -> WebhookDelivery:
    merchant = make_merchant(name)
    endpoints.add(merchant, f"https://{name.lower()}.example/hook", actor="test")
    endpoints.trigger(merchant, "ping")
    row = WebhookDelivery.objects.get(merchant=merchant)
    row.state = "given_up"
    row.save()
    return row


def test_a_new_secret_is_shown_once(db) -> None:
    merchant = make_merchant("Duka")
    client = staff(merchant, "add_webhookendpoint", "change_webhookendpoint")
    given = {"merchant": merchant.pk, "url": "https://shop.example/hook", "event_types": ["ping"]}
    page = client.post(reverse("admin:milango_webhookendpoint_add"), given)
    endpoint = WebhookEndpoint.objects.get()
    assert endpoint.secret.startswith("whsec_")
    assert endpoint.secret in page.content.decode()
    assert "no-store" in page["Cache-Control"]
    url = reverse("admin:milango_webhookendpoint_change", args=[endpoint.pk])
    assert endpoint.secret not in client.get(url).content.decode()
    form = {"url": "https://shop.example/other", "event_types": []} | seen(client, url)
    client.post(url, form)
    assert WebhookEndpoint.objects.get().secret == endpoint.secret
    assert WebhookEndpoint.objects.get().event_types == []


@pytest.mark.parametrize(
    "wrong", [{"url": "http://127.0.0.1/"}, {"url": "https://a@shop.example/"}, {"secret": "abc"}]
)
def test_what_nothing_could_be_sent_to_is_refused(db, wrong) -> None:
    merchant = make_merchant("Duka")
    given = {"merchant": merchant.pk, "url": "https://shop.example/hook", **wrong}
    client = staff(merchant, "add_webhookendpoint", "change_webhookendpoint")
    page = client.post(reverse("admin:milango_webhookendpoint_add"), given)
    assert page.status_code == 200
    assert not WebhookEndpoint.objects.exists()


def test_one_endpoint_too_many_is_refused_in_words(db, monkeypatch) -> None:
    monkeypatch.setattr(endpoints, "MOST", 1)
    merchant = make_merchant("Duka")
    client = staff(merchant, "add_webhookendpoint", "change_webhookendpoint")
    first = endpoints.add(merchant, "https://duka.example/first", actor="test")
    endpoints.disable(first, actor="test")
    endpoints.add(merchant, "https://duka.example/second", actor="test")
    given = {"merchant": merchant.pk, "url": "https://duka.example/third"}
    page = client.post(reverse("admin:milango_webhookendpoint_add"), given)
    assert "1 active webhook endpoints at most" in page.content.decode()
    chosen = {"action": "enable", "_selected_action": [str(first.pk)]}
    page = client.post(reverse("admin:milango_webhookendpoint_changelist"), chosen, follow=True)
    assert "1 active webhook endpoints at most" in page.content.decode()
    assert WebhookEndpoint.objects.filter(active=True).count() == 1


def test_what_an_endpoint_answered_is_shown_as_text(db) -> None:
    row = delivery_of("Duka")
    WebhookAttempt.objects.create(
        delivery=row,
        merchant=row.merchant,
        status=500,
        ms=3,
        answer="<script>alert(1)</script>",
        at=timezone.now(),
    )
    client = staff(row.merchant, "view_webhookdelivery")
    page = client.get(reverse("admin:milango_webhookdelivery_change", args=[row.pk]))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.content.decode()
    assert "<script>alert(1)" not in page.content.decode()


def test_deliveries_are_replayed_within_ones_own_merchants(db) -> None:
    mine, foreign = delivery_of("Duka"), delivery_of("Hoteli")
    client = staff(mine.merchant, "view_webhookdelivery", "change_webhookendpoint")
    chosen = {"action": "replay", "_selected_action": [mine.pk, foreign.pk]}
    client.post(LIST, chosen)
    mine.refresh_from_db()
    foreign.refresh_from_db()
    assert (mine.state, foreign.state) == ("due", "given_up")


def test_who_may_only_look_cannot_replay(db) -> None:
    row = delivery_of("Duka")
    client = staff(row.merchant, "view_webhookdelivery")
    client.post(LIST, {"action": "replay", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.state == "given_up"
