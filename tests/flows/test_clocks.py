"""A machine whose clock is a day ahead or behind: the database's time decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from milango.api.cli.times import SINCE, instant
from milango.core.inputs import PushRequest
from milango.core.payments import Source
from milango.daraja.tokens import Token, shared_token
from milango.flows import (
    audit,
    book,
    callers,
    charge,
    confirmations,
    deliver,
    doubts,
    endpoints,
    gauges,
    hours,
    opening,
    reconcile,
    words,
)
from milango.flows import check as books
from milango.flows import sweep as sweeping
from milango.flows.receive import receive_stk
from milango.flows.settle import settle_many
from milango.flows.tokens import TableTokenStore, forget
from milango.models import (
    AccessGrant,
    ApiKey,
    CheckRun,
    Doubt,
    InboundCallback,
    MpesaCredential,
    OpenPrompt,
    OperatorWord,
    Payment,
    Receipt,
    WebhookDelivery,
    WebhookEndpoint,
    clock,
)
from milango.models.ids import first_uuid7
from milango.outbound import Answer
from tests.people import PAYER, make_key

from .conftest import accepted, paid
from .test_receive import LISTED, body, with_token

pytestmark = pytest.mark.django_db(transaction=True)

SOON = timedelta(minutes=5)


@pytest.fixture(params=[timedelta(days=1), timedelta(days=-1)], ids=["ahead", "behind"])
def right(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], datetime]]:
    """The right time, while this machine's clock is wrong and the database's has been heard."""
    now, nanoseconds = timezone.now, time.time_ns
    wrong = round(request.param.total_seconds() * 1e9)
    monkeypatch.setattr(time, "time", lambda: (nanoseconds() + wrong) / 1e9)
    monkeypatch.setattr(timezone, "now", lambda: now() + request.param)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + wrong)
    assert abs(clock.hear(now()) - request.param) < timedelta(seconds=1)
    yield now
    clock.hear(None)


@pytest.fixture
def prompted(right: Callable[[], datetime], credential: MpesaCredential) -> Payment:
    """A payment that was asked for, and accepted, by this machine."""
    _, key = make_key(credential.merchant)
    caller = callers.authenticate(f"Bearer {key}", "")
    request = PushRequest(phone_number=PAYER, amount=Decimal(50), shortcode=credential.short_code)
    opened = opening.open_one(opening.draft(caller, request))
    assert isinstance(opened, opening.Opened)
    if opened.payment.sending_at is None:
        charge.mark_sending(opened.payment)
    with transaction.atomic():
        settle_many([accepted(opened.payment)])
    return Payment.objects.get(pk=opened.payment.pk)


def test_a_prompt_keeps_its_phone_for_its_life_and_no_longer(right, prompted) -> None:
    times = (prompted.created_at, prompted.sending_at, OpenPrompt.objects.get().until)
    assert all(abs(at - right()) < SOON for at in times)
    assert first_uuid7(right() - SOON) < prompted.pk < first_uuid7(right() + SOON)


def test_money_for_a_prompt_finds_it(right, prompted) -> None:
    line = book.Line(
        receipt="UCE5K7Q2XD",
        amount=prompted.amount,
        paid_at=right(),
        phone=PAYER,
        reference=prompted.account_reference,
    )
    with transaction.atomic():
        assert book.book(prompted.credential, [line], Source.C2B, listed=True) == ["joined"]
    assert Payment.objects.get().status == "Success"


def test_a_callback_is_settled_and_told_in_time(right, prompted) -> None:
    endpoints.add(prompted.merchant, "https://shop.example/hook", actor="test")
    said = paid(prompted, paid_at=right(), observed_at=hours.now())
    with transaction.atomic():
        (settled,) = settle_many([said])
    assert settled.verdict == "settled"
    assert abs(Payment.objects.get().settled_at - right()) < SOON
    assert all(abs(row.next_attempt_at - right()) < SOON for row in WebhookDelivery.objects.all())


@pytest.fixture
def posted(credential: MpesaCredential) -> tuple[str, bytes]:
    """The callback of a payment for Wi-Fi: the token in its address, and its bytes."""
    payment, token = with_token(credential, service_type="captive_portal")
    with transaction.atomic():
        settle_many([accepted(payment)])
    return token, body(payment)


def test_wifi_begins_when_its_callback_comes(posted, right) -> None:
    token, said = posted
    receive_stk(token, said, {}, LISTED)
    assert Payment.objects.get().status == "Success"
    times = (AccessGrant.objects.get().starts_at, InboundCallback.objects.get().received_at)
    assert all(abs(at - right()) < SOON for at in times)


def test_money_at_the_counter_and_a_persons_word_bear_the_right_time(credential, right) -> None:
    said = (
        b'{"TransID":"UCE7777777","TransAmount":"75.00","MSISDN":"2547*****149",'
        b'"BusinessShortCode":"%s"}' % credential.short_code.encode()
    )
    token = confirmations.address_of(credential, "confirm").split("/")[-2]
    confirmations.receive_confirmation(token, said, {}, LISTED)
    payment = Payment.objects.get()
    assert payment.status == "Success"
    words.speak(payment, "reversed", reason="refunded", actor="cli:asha")
    times = (payment.settled_at, OperatorWord.objects.get().spoken_at)
    assert all(abs(at - right()) < SOON for at in times)


def test_an_endpoint_that_fails_is_tried_again_by_the_schedule(right, credential) -> None:
    WebhookEndpoint.objects.create(
        merchant=credential.merchant, url="https://shop.example/hook", secret=endpoints.new_secret()
    )
    endpoints.trigger(credential.merchant, "ping")
    (letter,) = deliver.turn([], {}, 10)
    ended = deliver.Ended(letter.taken, Answer(500, "no", "", 5), hours.now())
    assert deliver.turn([ended], {}, 10) == [], "it is due in five seconds, and not at once"
    again = WebhookDelivery.objects.get().next_attempt_at
    assert timedelta() < again - right() < timedelta(seconds=10)


def test_nothing_that_is_being_sent_is_swept_away(right, prompted) -> None:
    Payment.objects.update(sending_at=None)
    assert sweeping.sweep()["never_sent"] == 0
    reconcile.notice(hours.database_now())
    assert Payment.objects.get().next_check_at is None, "its callback has time to come"


def test_what_a_person_does_bears_the_right_time(right, prompted) -> None:
    doubt = Doubt.objects.create(
        merchant=prompted.merchant,
        payment=prompted,
        kind="unresolved",
        raised_at=right(),
        amount=50,
    )
    key, _ = make_key(prompted.merchant)
    callers.revoke_key(key, actor="cli:asha")
    doubts.resolve(doubt.pk, actor="cli:asha", reason="asked the payer")
    entry = audit.record("cli:asha", "test", "test")
    books.check()
    run = CheckRun.objects.get()
    used = ApiKey.objects.exclude(pk=key.pk).get().last_used_at
    times = (key.revoked_at, Doubt.objects.get().resolved_at, entry.at, used)
    assert all(abs(at - right()) < SOON for at in (*times, run.started_at, run.finished_at))
    assert audit.first_broken() is None


def test_rows_are_stamped_with_the_right_time(right, credential) -> None:
    receipt = Receipt.objects.create(environment="production", short_code="1", code="UCE5K7Q2XD")
    endpoint = endpoints.add(credential.merchant, "https://shop.example/hook", actor="test")
    times = [row.created_at for row in (receipt, *WebhookEndpoint.objects.all(), credential)]
    assert endpoint
    assert all(abs(at - right()) < SOON for at in times)


def test_the_books_give_no_false_alarm_about_what_is_under_way(right, prompted) -> None:
    OpenPrompt.objects.all().delete()  # as if its place were another's: nobody asks about it yet
    assert books.check().is_clean


def test_readings_tell_the_right_age(posted, right) -> None:
    token, said = posted
    receive_stk(token, said, {}, LISTED)
    read = {reading.name: dict(reading.read()) for reading in gauges.READINGS}
    assert read["milango_callback_age_seconds"][()] < SOON.total_seconds()
    assert read["milango_match_rate"] == {(): 1.0}
    assert read["milango_payments_in_doubt"] == {(): 0}


async def _fetched() -> Token:
    return Token("another", 0.0)


@pytest.mark.parametrize(("life", "shared"), [(3_599, True), (-1, False)])
def test_another_machines_token_is_used_for_its_life(right, credential, life, shared) -> None:
    store = TableTokenStore()
    ends = right().timestamp() + life
    asyncio.run(store.put("k" * 64, Token("theirs", ends)))
    forget()
    token = asyncio.run(shared_token(store, "k" * 64, _fetched))
    assert token.access_token == ("theirs" if shared else "another")


@pytest.mark.postgres
def test_a_process_that_has_asked_nobody_yet_hears_the_time_first(right, monkeypatch) -> None:
    clock.hear(None)
    monkeypatch.setattr(hours._heard, "at", float("-inf"))
    monkeypatch.setattr(hours._heard, "complained", True)
    assert abs(hours.now() - right()) > SOON, "it believes its own clock"
    entry = audit.record("cli:asha", "test", "test")
    assert abs(entry.at - right()) < SOON


def test_so_long_ago_is_counted_from_the_right_time(right) -> None:
    told = [instant(SINCE.convert(text, None, None)) for text in ("2h", "2026-03-14")]
    assert abs(right() - timedelta(hours=2) - told[0]) < SOON
    assert told[1].isoformat() == "2026-03-14T00:00:00+00:00"
