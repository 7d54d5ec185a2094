"""Idempotency keys when the first request is given up in the moment of its replay."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from milango.core.errors import Declined
from milango.flows import charge, opening
from milango.models import IdempotencyKey, MpesaCredential, Payment
from tests.people import make_credential, make_merchant

from .conftest import make_payment

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payment() -> Payment:
    """A payment whose prompt has not been sent, and its key."""
    credential: MpesaCredential = make_credential(make_merchant("Duka"))
    payment = make_payment(credential, idempotency_key="order-1")
    IdempotencyKey.objects.create(
        **opening.key_of(payment), body_hash="0" * 64, payment=payment, created_at=timezone.now()
    )
    return payment


@pytest.mark.postgres
def test_a_payment_that_a_replay_is_being_told_of_is_not_taken_away(payment: Payment) -> None:
    abandoned = threading.Thread(target=_abandon, args=[payment])
    with transaction.atomic():
        IdempotencyKey.objects.select_for_update().get()
        abandoned.start()
        abandoned.join(0.5)
        IdempotencyKey.objects.update(replayed=True)
    abandoned.join(10)
    kept = Payment.objects.get()
    assert (kept.status, kept.reason) == ("Failed", "not_sent")


def _abandon(payment: Payment) -> None:
    try:
        charge.abandon(payment)
    finally:
        connection.close()


def test_a_key_that_was_let_go_in_this_moment_is_not_now(payment: Payment) -> None:
    IdempotencyKey.objects.all().delete()
    again: Any = type("Opening", (), {"payment": payment})
    with transaction.atomic():
        outcome = opening._replay(again)
    assert isinstance(outcome, Declined)
    assert outcome.code == "database_unavailable"
