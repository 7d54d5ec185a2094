"""A machine whose clock is a day ahead or behind: the database's time decides (threats B20)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from milango.core.inputs import PushRequest
from milango.core.payments import Source
from milango.flows import (
    book,
    callers,
    charge,
    confirmations,
    deliver,
    endpoints,
    hours,
    opening,
    reconcile,
    words,
)
from milango.flows import sweep as sweeping
from milango.flows.receive import receive_stk
from milango.flows.settle import settle_many
from milango.models import (
    AccessGrant,
    InboundCallback,
    MpesaCredential,
    OpenPrompt,
    OperatorWord,
    Payment,
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
