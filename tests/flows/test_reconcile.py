"""Asking Daraja again, and what time decides."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from milango import tasks
from milango.core.schedule import (
    ASK_AFTER,
    ASK_AFTER_PROMPT,
    CONFIRM_AFTER,
    LONGEST_GAP,
    check_of_claim,
    check_of_silence,
)
from milango.flows import reconcile, sweep
from milango.flows.settle import settle_many
from milango.flows.store import store
from milango.models import Doubt, InboundCallback, MpesaCredential, OpenPrompt
from milango.models.ids import first_uuid7, uuid7
from milango.tasks import rounds
from tests.people import OTHER_PAYER, make_credential, make_merchant

from .conftest import accepted, original, paid


def test_a_claim_is_asked_about_at_the_published_times() -> None:
    now = at = timezone.now()
    times = [0.0]
    while nxt := check_of_claim(checks=len(times), now=at, chance=0.0):
        at = nxt
        times.append((at - now).total_seconds())
    assert tuple(times) == CONFIRM_AFTER


def test_silence_is_asked_about_at_the_published_times_and_then_given_to_a_person() -> None:
    sent = at = timezone.now()
    until = sent + timedelta(seconds=180)
    times = []
    while nxt := check_of_silence(asked_at=sent, prompt_until=until, now=at, chance=0.0):
        at = nxt
        times.append(round((at - sent).total_seconds()))
    assert times == [*ASK_AFTER, *(180 + after for after in ASK_AFTER_PROMPT)]


@given(
    chance=st.floats(0, 1),
    late=st.floats(0, 400_000),
    life=st.integers(1, 600),
    checks=st.integers(1, len(CONFIRM_AFTER)),
)
def test_every_next_time_lies_ahead_and_within_the_longest_gap(chance, late, life, checks) -> None:
    sent = timezone.now()
    now = sent + timedelta(seconds=late)
    until = sent + timedelta(seconds=life)
    found = [
        check_of_silence(asked_at=sent, prompt_until=until, now=now, chance=chance),
        check_of_claim(checks=checks, now=now, chance=chance),
    ]
    assert all(now < at <= now + LONGEST_GAP for at in found if at)


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
    monkeypatch.setattr(rounds, "BACK_OFF", 0.01)
    tasks.run(stop)
    assert len(calls) == 2
    assert "RuntimeError" in caplog.text


@pytest.mark.django_db(transaction=True)
def test_two_workers_ask_about_a_payment_once(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, listed=False)])
    now = timezone.now()
    turns = [reconcile.take(payment.credential, now) for _ in range(2)]
    assert [[row.pk for row in turn] for turn in turns] == [[payment.pk], []]


@pytest.mark.django_db(transaction=True)
def test_raw_bodies_go_after_their_time_and_the_verdict_stays(pay) -> None:
    payment, young = pay(), pay(phone=OTHER_PAYER)
    for row in (payment, young):
        body = original(row, row.pk.hex.encode())
        settle_many([accepted(row), paid(row, f"R{row.pk.hex[:8]}".upper(), original=body)])
    old = timezone.now() - timedelta(days=91)
    InboundCallback.objects.filter(payment=payment).update(received_at=old)
    assert sweep.sweep()["raw_bodies"] == 1
    kept = InboundCallback.objects.get(payment=payment)
    assert (kept.body, kept.peer, kept.verdict) == (None, "", "settled")
    assert InboundCallback.objects.get(payment=young).body is not None


@pytest.mark.django_db(transaction=True)
def test_a_prompt_without_a_callback_is_noticed_after_its_time(pay) -> None:
    ago = timezone.now() - timedelta(seconds=30)
    silent = pay(id=first_uuid7(ago), prompt_open=True)
    fresh = pay(id=uuid7(), phone=OTHER_PAYER, prompt_open=True)
    assert reconcile.notice(timezone.now()) == 1
    for row in (silent, fresh):
        row.refresh_from_db()
    assert (silent.next_check_at is None, fresh.next_check_at) == (False, None)
    assert silent.prompt_open, "asking frees no phone"


@pytest.mark.django_db(transaction=True)
def test_the_many_silent_prompts_of_one_merchant_hide_nobody_elses(pay, monkeypatch) -> None:
    monkeypatch.setattr(reconcile, "MOST_NOTICED", 3)
    ago = timezone.now() - timedelta(hours=1)
    for number in range(5):
        at = ago + timedelta(seconds=number)
        pay(id=first_uuid7(at), phone=f"25470800000{number}", prompt_open=True)
    other = make_credential(make_merchant("Kibanda"), environment="production")
    last = pay(id=first_uuid7(ago + timedelta(minutes=30)), credential=other, prompt_open=True)
    assert reconcile.notice(timezone.now()) == 3
    last.refresh_from_db()
    assert last.next_check_at is not None


@pytest.mark.django_db(transaction=True)
def test_a_prompt_whose_phone_was_taken_over_is_noticed_all_the_same(pay, credential) -> None:
    now = timezone.now()
    old = pay(id=first_uuid7(now - timedelta(hours=1)), prompt_open=True, prompt_until=now)
    store().end_prompts([(credential.pk, old.phone)], now)
    assert not old.prompt_open, "the phone is free for another prompt"
    assert reconcile.notice(now) == 1
    assert not OpenPrompt.objects.exists(), "what is on the schedule needs no prompt's row"


@pytest.mark.django_db(transaction=True)
def test_a_prompt_that_was_never_sent_is_found_long_after_its_life(pay) -> None:
    old = timezone.now() - timedelta(hours=1)
    unsent = {"sending_at": None, "created_at": old, "prompt_until": old}
    payment = pay(prompt_open=True, **unsent)
    for _ in range(2):
        reconcile.notice(timezone.now())
    assert sweep.sweep()["never_sent"] == 1
    payment.refresh_from_db()
    assert (payment.status, payment.reason) == ("Failed", "not_sent")
    assert not OpenPrompt.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_schedule_that_has_run_out_gives_the_payment_to_a_person(pay) -> None:
    long_ago = timezone.now() - timedelta(days=4)
    payment = pay(
        created_at=long_ago,
        sending_at=long_ago,
        prompt_until=long_ago + timedelta(seconds=180),
        next_check_at=timezone.now(),
    )
    assert [reconcile.ask_due(), reconcile.ask_due()] == [1, 0]
    payment.refresh_from_db()
    assert (payment.status, payment.next_check_at) == ("Pending", None)
    assert Doubt.objects.get().kind == "unresolved"
    assert payment.events.get().data == {"doubt": "unresolved"}


@pytest.mark.django_db(transaction=True)
def test_a_due_time_of_a_wrong_clock_is_brought_back(pay) -> None:
    payment = pay(next_check_at=timezone.now() + timedelta(days=9))
    assert sweep.sweep()["due_times"] == 1
    payment.refresh_from_db()
    assert payment.next_check_at <= timezone.now()
