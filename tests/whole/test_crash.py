"""Killed at every point of a push: one prompt at most, and the phone is free again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.conf import settings
from django.db import connection
from django.utils import timezone

from milango.core.inputs import read_push
from milango.flows import callers
from milango.flows.charge import charge
from milango.flows.sweep import sweep
from milango.models import OpenPrompt, Payment
from tests.people import PAYER

pytestmark = pytest.mark.django_db(transaction=True)

NEVER_WENT_OUT = ("row_committed", "token_fetched")
IN_DOUBT = ("sending_marked", "while_daraja_thinks", "answer_received")


def die_at(point: str, credential) -> dict:
    """Ask for a prompt in a process of its own that is killed at the point."""
    request = {"phone_number": PAYER, "amount": 50, "shortcode": credential.short_code}
    told = {
        "database": str(connection.settings_dict["NAME"]),
        "milango": settings.MILANGO,
        "merchant": credential.merchant.name,
        "request": request,
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.whole.dying", point],
        input=json.dumps(told),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    return request


def ask_again(credential, request: dict, key: str = "order-1") -> Payment:
    caller = callers.owner_of(credential.merchant)
    return charge(caller, read_push(json.dumps(request).encode()), idempotency_key=key)


@pytest.mark.parametrize("point", NEVER_WENT_OUT)
def test_killed_before_anything_went_out_the_payment_fails_as_not_sent(
    daraja, paybill, point
) -> None:
    request = die_at(point, paybill)
    assert daraja.ledger() == []
    assert ask_again(paybill, request).status == "Pending", "a replay sends nothing"
    assert daraja.ledger() == []
    Payment.objects.update(created_at=timezone.now() - timedelta(seconds=61))
    assert sweep()["never_sent"] == 1
    payment = Payment.objects.get()
    assert (payment.status, payment.reason, payment.prompt_open) == ("Failed", "not_sent", False)
    daraja.story(PAYER, "paid")
    assert ask_again(paybill, request).pk != payment.pk, "nothing sent releases the key"
    assert len(daraja.ledger()) == 1


@pytest.mark.parametrize("point", IN_DOUBT)
def test_killed_after_the_request_went_out_the_payment_stays_in_doubt(
    daraja, paybill, point
) -> None:
    daraja.settings(push_delay_ms=2_000 if point == "while_daraja_thinks" else 0)
    daraja.story(PAYER, "callback_lost")
    request = die_at(point, paybill)
    payment = Payment.objects.get()
    assert (payment.status, payment.sending_at is not None) == ("Pending", True)
    replayed = ask_again(paybill, request)
    assert replayed.pk == payment.pk
    Payment.objects.update(created_at=timezone.now() - timedelta(days=1))
    assert sweep()["never_sent"] == 0, "unknown is not failure"
    daraja.idle()
    assert len(daraja.ledger()) <= 1, "never prompted twice"
    OpenPrompt.objects.update(until=timezone.now() - timedelta(minutes=1))
    daraja.settings(push_delay_ms=0)
    daraja.story(PAYER, "paid")
    second = ask_again(paybill, request, key="order-2")
    assert second.pk != payment.pk, "the phone is free once the prompt's life is over"


def test_killed_while_daraja_thinks_the_callback_still_settles_the_payment(daraja, paybill) -> None:
    daraja.story(PAYER, "answer_slow")
    die_at("while_daraja_thinks", paybill)
    daraja.idle()
    (row,) = daraja.ledger()
    payment = Payment.objects.get()
    assert (payment.status, payment.receipt_number) == ("Success", row["receipt"])
