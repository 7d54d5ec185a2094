"""What was stored and not processed is processed again, from its bytes, and counts once."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import DatabaseError
from django.utils import timezone

from milango import sealing
from milango.core import signing
from milango.flows import check as books
from milango.flows import confirmations, replay
from milango.flows.confirmations import receive_confirmation
from milango.flows.receive import receive_stk
from milango.flows.settle import settle_many
from milango.models import AccessGrant, CheckRun, Doubt, InboundCallback, Payment, Receipt

from .conftest import accepted
from .test_receive import LISTED, body, with_token

pytestmark = pytest.mark.django_db(transaction=True)

LATER = timedelta(days=60)


@contextmanager
def poison(
    monkeypatch: pytest.MonkeyPatch, where: str = "milango.flows.receive.settle_many"
) -> Iterator[None]:
    """The database takes nothing of this one, as with a value that no column holds."""

    def refuse(*args: object, **more: object) -> None:
        raise DatabaseError("value out of range")

    with monkeypatch.context() as patch:
        patch.setattr(where, refuse)
        yield


@pytest.fixture
def poisoned(credential, monkeypatch) -> Payment:
    payment, token = with_token(credential, service_type="captive_portal")
    settle_many([accepted(payment)])
    with poison(monkeypatch):
        receive_stk(token, body(payment), {}, LISTED)
    assert InboundCallback.objects.get().verdict == "poisoned"
    return payment


def test_a_poisoned_callback_is_settled_by_itself(poisoned) -> None:
    assert "callback_is_processed" in books.check().broken
    assert replay.replay_due(timezone.now()) == 0  # not before its time
    assert replay.replay_due(timezone.now() + timedelta(minutes=2)) == 1
    poisoned.refresh_from_db()
    row = InboundCallback.objects.get()
    assert (poisoned.status, poisoned.receipt_number) == ("Success", "UCE5K7Q2XD")
    assert (row.verdict, row.repeats, row.replays, row.replay_at) == ("settled", 0, 1, None)
    assert books.check().is_clean


def test_replaying_twice_counts_once(poisoned) -> None:
    row = InboundCallback.objects.get()
    assert [replay.again(row.pk).verdict for _ in range(3)] == ["settled", *["duplicate"] * 2]
    assert Receipt.objects.count() == 1
    assert poisoned.events.filter(type="payment.succeeded").count() == 1


def test_old_bytes_sell_no_minutes_that_are_over(poisoned) -> None:
    old = timezone.now() - timedelta(minutes=1)
    InboundCallback.objects.update(received_at=old)
    replay.again(InboundCallback.objects.get().pk)
    assert AccessGrant.objects.get().starts_at > old + timedelta(seconds=50)


def test_what_stays_poisoned_is_tried_ever_more_rarely_and_then_left_to_a_person(
    poisoned, monkeypatch
) -> None:
    with poison(monkeypatch, "milango.flows.replay.settle_many"):
        for tries in range(1, len(replay.GAPS) + 2):
            replay.replay_due(timezone.now() + LATER)
            row = InboundCallback.objects.get()
            assert (row.verdict, row.replays) == ("poisoned", tries)
    assert row.replay_at is None
    assert "callback_is_processed" in books.check().broken


def restored(credential) -> tuple[Payment, InboundCallback]:
    """A callback came while its payment was gone; then the payment is back."""
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    payment.refresh_from_db()
    payment.events.all()._raw_delete("default")
    Payment.objects.filter(pk=payment.pk)._raw_delete("default")
    receive_stk(token, body(payment), {}, LISTED)
    assert replay.replay_due(timezone.now() + timedelta(minutes=2)) == 0
    payment.event_count = 0
    payment.save(force_insert=True)
    return payment, InboundCallback.objects.get()


def test_an_orphan_is_settled_once_its_payment_is_back(credential) -> None:
    payment, row = restored(credential)
    assert set(books.check().broken) == {"callback_is_processed", "orphan_is_booked"}
    assert replay.replay_due(timezone.now() + LATER) == 1
    payment.refresh_from_db()
    row.refresh_from_db()
    assert (payment.status, row.verdict, row.payment) == ("Success", "settled", payment)
    assert row.merchant == payment.merchant
    assert books.check().is_clean


def test_an_orphan_that_came_again_meanwhile_is_not_kept_twice(credential) -> None:
    payment, row = restored(credential)
    kid = sealing.current_key_id()
    token = signing.make_callback_token(
        payment.pk, kid, sealing.derive("callback", kid), secrets.token_bytes(16)
    )
    Payment.objects.update(callback_token_hash=signing.token_hash(token))
    receive_stk(token, bytes(row.body or b""), {}, LISTED)
    InboundCallback.objects.update(token_hash=signing.token_hash(token))
    assert replay.again(row.pk).verdict == "duplicate"
    assert InboundCallback.objects.filter(payment=payment).count() == 1


def test_another_token_of_ours_settles_nothing(credential) -> None:
    payment, row = restored(credential)
    InboundCallback.objects.update(token_hash="f" * 64)
    assert replay.again(row.pk).verdict == "orphan"
    payment.refresh_from_db()
    assert payment.status == "Pending"


def test_a_poisoned_confirmation_is_booked(merchant, credential, monkeypatch) -> None:
    token = confirmations.address_of(credential, "confirm").split("/")[-2]
    said = {
        "TransID": "UCE7777777",
        "TransAmount": "75.00",
        "BusinessShortCode": credential.short_code,
        "TransTime": "20260314101530",
        "BillRefNumber": "A1",
        "MSISDN": "2547*****149",
    }
    with poison(monkeypatch, "milango.flows.confirmations.book"):
        receive_confirmation(token, json.dumps(said).encode(), {}, LISTED)
    row = InboundCallback.objects.get()
    assert (row.verdict, row.named_id) == ("poisoned", credential.pk)
    assert replay.replay_due(timezone.now() + timedelta(minutes=2)) == 1
    row.refresh_from_db()
    assert (row.verdict, row.repeats, row.merchant) == ("own", 0, merchant)
    assert Payment.objects.get().amount_paid == Decimal(75)
    assert books.check().is_clean


def test_what_an_upgrade_can_read_is_settled_without_a_word(credential, monkeypatch) -> None:
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    with monkeypatch.context() as patch:

        def stumble(body: bytes) -> None:
            raise RuntimeError("a fault of an earlier release")

        patch.setattr("milango.daraja.callbacks.read_stk_callback", stumble)
        receive_stk(token, body(payment), {}, LISTED)
        replay.replay_due(timezone.now())
    assert InboundCallback.objects.get().verdict == "doubt:unreadable"
    assert replay.replay_due(timezone.now()) == 0  # this release has looked already
    CheckRun.objects.update(version="0.0.9")
    assert replay.replay_due(timezone.now()) == 1
    payment.refresh_from_db()
    assert payment.status == "Success"
    assert InboundCallback.objects.get().verdict == "settled"
    assert Doubt.objects.get().kind == "unreadable"  # a person may still want to look
    assert replay.replay_due(timezone.now()) == 0


def test_the_sweep_replays(poisoned) -> None:
    from milango.flows.sweep import sweep

    assert sweep(timezone.now() + timedelta(minutes=2))["replayed"] == 1


def test_bytes_that_are_forgotten_are_not_tried(poisoned) -> None:
    InboundCallback.objects.update(body=None)
    assert replay.replay_due(timezone.now() + timedelta(minutes=2)) == 0
    assert InboundCallback.objects.get().replay_at is None
