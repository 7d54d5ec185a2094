"""One receipt told by every source at the same instant: one payment, one success, one telling."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import count
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction
from django.utils import timezone

from milango.core.payments import Source
from milango.flows import batches, statements
from milango.flows.book import Line, book
from milango.flows.receive import EVIDENCE
from milango.models import Doubt, MpesaCredential, Payment, PaymentEvent, Receipt
from milango.models.ids import first_uuid7
from tests.people import PAYER, make_credential, make_merchant
from tests.statement_files import Entry, as_csv, receipt_of, rows

from .conftest import accepted, asked_daraja, at_once, make_payment, original, paid

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

ROUNDS = 4
numbers = count(1)


def together(works: list[Callable[[], Any]]) -> None:
    """Do all of it at the same instant; nothing is refused, and nothing goes wrong."""
    for given in at_once(*works):
        assert not isinstance(given, Exception)
        assert not [each for each in given or [] if isinstance(each, Exception)]


def booked(credential: MpesaCredential, line: Line, source: Source) -> None:
    with transaction.atomic():
        book(credential, [line], source, listed=True)


def tellers(payment: Payment, receipt: str, at: Any) -> list[Callable[[], Any]]:
    """Callback, query, C2B, Pull and statement, each telling of the same money."""
    credential = payment.credential
    body = original(payment, receipt.encode())
    said = paid(payment, receipt, paid_at=at, original=body)
    masked = Line(
        receipt=receipt,
        amount=payment.amount,
        paid_at=at,
        phone="2547 ***** 149",
        reference="INV-1",
    )
    statement = as_csv(rows(credential.short_code, [Entry(receipt, at, int(payment.amount))]))

    return [
        lambda: batches.run(EVIDENCE, [said]),
        lambda: batches.run(EVIDENCE, [asked_daraja(payment, said.outcome, code="0")]),
        lambda: booked(credential, masked, Source.C2B),
        lambda: booked(credential, masked, Source.PULL),
        lambda: statements.import_statement(credential, statement, uploader="t") and None,
    ]


def asked_for(credential: MpesaCredential, at: datetime) -> Payment:
    until = at + timedelta(seconds=180)
    times = {"created_at": at, "sending_at": at, "prompt_until": until}
    return make_payment(
        credential, phone=PAYER, id=UUID(int=first_uuid7(at).int + next(numbers)), **times
    )


def test_every_source_at_the_same_instant_is_one_payment() -> None:
    mine = make_credential(make_merchant("Duka"), environment="production")
    other = make_credential(make_merchant("Kibanda"), environment="production")
    for number in range(ROUNDS):
        # Each round in a period of its own, so that its statement lacks no other round's money.
        at = (timezone.now() - timedelta(minutes=10 * number + 1)).replace(microsecond=0)
        receipt = receipt_of(at, number)
        payments = [asked_for(each, at - timedelta(seconds=20)) for each in (mine, other)]
        batches.run(EVIDENCE, [accepted(payment) for payment in payments])
        # The same text is another receipt at another short code.
        together([work for payment in payments for work in tellers(payment, receipt, at)])
    assert Payment.objects.count() == Receipt.objects.count() == 2 * ROUNDS
    assert set(Payment.objects.values_list("status", flat=True)) == {"Success"}
    assert "" not in Payment.objects.values_list("receipt_number", flat=True)
    assert PaymentEvent.objects.filter(type="payment.succeeded").count() == 2 * ROUNDS
    assert not Doubt.objects.exists()


def test_money_at_the_counter_told_twice_at_the_same_instant_is_one_payment() -> None:
    mine = make_credential(make_merchant("Duka"), environment="production")
    for number in range(ROUNDS):
        line = Line(receipt=f"UCE000000{number}", amount=Decimal(50), paid_at=timezone.now())
        together([partial(booked, mine, line, source) for source in (Source.C2B, Source.PULL) * 2])
    assert Payment.objects.count() == Receipt.objects.count() == ROUNDS
    assert set(Payment.objects.values_list("status", flat=True)) == {"Success"}
