"""Asking Daraja again, and what time decides."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone

from milango import tasks
from milango.core.schedule import CONFIRM_AFTER, first_check, following_check
from milango.flows import reconcile
from milango.flows.settle import settle_many
from milango.models import InboundCallback, MpesaCredential, Payment
from tests.people import OTHER_PAYER

from .conftest import accepted, original, paid


def test_a_claim_is_asked_about_at_the_published_times() -> None:
    now = timezone.now()
    at = first_check(claimed=True, now=now, prompt_until=now)
    times = [0.0]
    while nxt := following_check(claimed=True, checks=len(times), now=at):
        at = nxt
        times.append((at - now).total_seconds())
    assert tuple(times) == CONFIRM_AFTER


@pytest.mark.django_db(transaction=True)
def test_a_credential_that_cannot_be_opened_stops_no_other_payment(pay, settings) -> None:
    broken = pay()
    settle_many([accepted(broken), paid(broken, listed=False)])
    settings.MILANGO = settings.MILANGO | {"KEYS": ["0a:" + "A" * 43 + "="]}
    assert reconcile.ask_due() == 1
    broken.refresh_from_db()
    assert (broken.status, broken.checks) == ("Pending", 1)
    assert broken.next_check_at is not None
    assert MpesaCredential.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_the_worker_survives_what_breaks_it(monkeypatch, caplog) -> None:
    stop = threading.Event()
    calls = []

    def break_once(*args: object) -> int:
        calls.append(args)
        if len(calls) == 1:
            raise RuntimeError("a row of ours")
        stop.set()
        return 0

    monkeypatch.setattr(reconcile, "ask_due", break_once)
    monkeypatch.setattr(tasks, "BACK_OFF", 0.01)
    tasks.run(stop)
    assert len(calls) == 2
    assert "RuntimeError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_two_workers_ask_about_a_payment_once(pay, monkeypatch) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, listed=False)])
    seen = list(Payment.objects.select_related("credential", "merchant"))
    assert [reconcile._take(row) for row in seen * 2] == [True, False]


@pytest.mark.django_db(transaction=True)
def test_raw_bodies_go_after_their_time_and_the_verdict_stays(pay) -> None:
    payment, young = pay(), pay(phone=OTHER_PAYER)
    for row in (payment, young):
        body = original(row, row.pk.hex.encode())
        settle_many([accepted(row), paid(row, f"R{row.pk.hex[:8]}".upper(), original=body)])
    old = timezone.now() - timedelta(days=91)
    InboundCallback.objects.filter(payment=payment).update(received_at=old)
    assert reconcile.sweep()["raw_bodies"] == 1
    kept = InboundCallback.objects.get(payment=payment)
    assert (kept.body, kept.peer, kept.verdict) == (None, "", "settled")
    assert InboundCallback.objects.get(payment=young).body is not None
