"""Payments in every stage, and evidence about them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from milango.core.errors import MilangoError
from milango.core.payments import Evidence, Original, Outcome, Source
from milango.models import Merchant, MpesaCredential, OpenPrompt, Payment
from tests.people import PAYER, make_credential, make_merchant

CHECKOUT = "ws_CO_2411202610153120{number:02}"


@pytest.fixture
def merchant(db: None) -> Merchant:
    return make_merchant("Duka")


@pytest.fixture
def credential(merchant: Merchant) -> MpesaCredential:
    return make_credential(merchant, environment="production")


@pytest.fixture
def pay(credential: MpesaCredential) -> Callable[..., Payment]:
    """Make a payment whose prompt went out a minute ago."""

    def make(**fields: Any) -> Payment:
        return make_payment(fields.pop("credential", credential), **fields)

    return make


def make_payment(credential: MpesaCredential, **fields: Any) -> Payment:
    """A payment as `charge` leaves it before Daraja has answered."""
    asked_at = timezone.now() - timedelta(seconds=60)
    given: dict[str, Any] = {
        "merchant": credential.merchant,
        "credential": credential,
        "credential_version": 1,
        "environment": credential.environment,
        "short_code": credential.short_code,
        "party_b": credential.party_b,
        "amount": 50,
        "phone": PAYER,
        "account_reference": "INV-1",
        "created_at": asked_at,
        "sending_at": asked_at,
        "prompt_until": asked_at + timedelta(seconds=180),
        "callback_token_hash": "0" * 64,
    }
    prompt_open = fields.pop("prompt_open", False)
    payment = Payment.objects.create(**given | fields)
    if prompt_open:
        OpenPrompt.objects.create(
            payment=payment,
            credential=credential,
            phone=payment.phone,
            until=payment.prompt_until,
        )
    return payment


def accepted(payment: Payment, checkout: str | None = None) -> Evidence:
    """Daraja's push answer."""
    return Evidence(
        payment_id=payment.pk,
        source=Source.PUSH,
        outcome=Outcome.ACCEPTED,
        observed_at=timezone.now(),
        checkout_request_id=checkout or f"ws_CO_{payment.pk.hex}",
        merchant_request_id="6c1d-4f0a-9b27-5e8a1c3d90f27184",
    )


def paid(payment: Payment, receipt: str | None = "UCE5K7Q2XD", **fields: Any) -> Evidence:
    """A success callback that agrees with the payment, from a listed peer."""
    given: dict[str, Any] = {
        "payment_id": payment.pk,
        "source": Source.CALLBACK,
        "outcome": Outcome.PAID,
        "observed_at": timezone.now(),
        "checkout_request_id": f"ws_CO_{payment.pk.hex}",
        "amount": payment.amount,
        "receipt": receipt,
        "phone": payment.phone,
        "paid_at": timezone.now(),
        "code": "0",
        "listed": True,
    }
    return Evidence(**given | fields)


def failed(payment: Payment, code: str = "1032", **fields: Any) -> Evidence:
    """A failing callback from a listed peer: by default the payer pressed cancel."""
    given: dict[str, Any] = {
        "payment_id": payment.pk,
        "source": Source.CALLBACK,
        "outcome": Outcome.FAILED,
        "observed_at": timezone.now(),
        "checkout_request_id": f"ws_CO_{payment.pk.hex}",
        "code": code,
        "text": "Request cancelled by user",
        "listed": True,
    }
    return Evidence(**given | fields)


def asked_daraja(payment: Payment, outcome: Outcome, **fields: Any) -> Evidence:
    """An answer of STK query."""
    given: dict[str, Any] = {
        "payment_id": payment.pk,
        "source": Source.QUERY,
        "outcome": outcome,
        "observed_at": timezone.now(),
        "checkout_request_id": f"ws_CO_{payment.pk.hex}",
    }
    return Evidence(**given | fields)


def original(payment: Payment, body: bytes) -> Original:
    """A callback's bytes as they would have arrived for the payment."""
    return Original(
        body=body,
        headers={},
        peer="196.201.214.200",
        received_at=timezone.now(),
        sha256=hashlib.sha256(body).hexdigest(),
        token_hash=payment.callback_token_hash,
    )


def at_once(*works: Callable[[], Any]) -> list[Any]:
    """What each of them gives or raises, begun together on connections of their own."""
    start, ended = threading.Barrier(len(works)), []

    def do(work: Callable[[], Any]) -> None:
        start.wait()
        try:
            ended.append(work())
        except MilangoError as refusal:
            ended.append(refusal)
        finally:
            connection.close()

    threads = [threading.Thread(target=do, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(ended) == len(works)
    return ended
