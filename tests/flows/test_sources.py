"""Whatever tells of a payment, in whatever order: every shilling is counted once."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

import pytest
from django.utils import timezone

from milango.core.payments import Evidence, Outcome, Source
from milango.flows.book import Line, book, retry_unmatched
from milango.flows.settle import settle_many
from milango.models import MpesaCredential, Payment, Receipt
from tests.people import OTHER_PAYER, PAYER

from .conftest import accepted, asked_daraja, failed, make_payment, paid

pytestmark = pytest.mark.django_db

SEEDS = int(os.environ.get("MILANGO_TEST_SEEDS", "40"))


class Step(NamedTuple):
    """One thing that a source tells."""

    proves: bool
    tell: Callable[[], Any]


@dataclass
class Truth:
    """One payment as it really went."""

    payment: Payment | None
    receipt: str
    amount: Decimal
    at: datetime
    phone: str
    reference: str
    is_paid: bool
    told: list[Step] = field(default_factory=list)


class World:
    """Prompts and counter payments of one short code, some of them alike."""

    def __init__(
        self, chance: random.Random, credential: MpesaCredential, *, alike: bool = True
    ) -> None:
        self.chance, self.credential, self.alike = chance, credential, alike
        self.truths = [self._one(number) for number in range(chance.randint(2, 4))]
        for truth in self.truths:
            self._tell(truth)

    def _one(self, number: int) -> Truth:
        chance = self.chance
        phone, amount = chance.choice([PAYER, OTHER_PAYER]), Decimal(chance.choice([50, 70]))
        if not self.alike:
            amount += number
        reference = chance.choice(["SAME", f"REF-{number}"])
        at = timezone.now() - timedelta(seconds=chance.randint(1, 50))
        is_prompted = chance.random() < 0.8
        payment = (
            make_payment(self.credential, phone=phone, amount=amount, account_reference=reference)
            if is_prompted
            else None
        )
        is_paid = not is_prompted or chance.random() < 0.7
        return Truth(payment, f"UCE000000{number}", amount, at, phone, reference, is_paid)

    def _tell(self, truth: Truth) -> None:
        """Each source may tell, twice or never; a failing query may be wrong."""
        every: list[Step] = []
        payment = truth.payment
        if truth.is_paid:
            every += [
                Step(True, lambda: self._book(truth, Source.C2B)),
                Step(True, lambda: self._book(truth, Source.PULL)),
            ]
        if payment is not None:
            every.append(Step(False, lambda: self._says(accepted(payment))))
            said: dict[str, Any] = {
                "receipt": truth.receipt,
                "paid_at": truth.at,
                "phone": truth.phone,
            }
            if truth.is_paid:
                every += [
                    Step(False, lambda: self._says(paid(payment, listed=False, **said))),
                    Step(True, lambda: self._says(asked_daraja(payment, Outcome.PAID))),
                    Step(False, lambda: self._says(asked_daraja(payment, Outcome.FAILED))),
                ]
                if self.alike:  # alone it proves only what Daraja's push answer named
                    every.append(Step(True, lambda: self._says(paid(payment, **said))))
            else:
                every.append(Step(False, lambda: self._says(failed(payment))))
        chosen = [step for step in every if self.chance.random() < 0.6]
        truth.told = chosen + [step for step in chosen if self.chance.random() < 0.3]

    def _says(self, evidence: Evidence) -> None:
        settle_many([evidence])

    def _book(self, truth: Truth, source: Source) -> None:
        hidden = f"{truth.phone[:4]} ***** {truth.phone[-3:]}"
        line = Line(
            receipt=truth.receipt,
            amount=truth.amount,
            paid_at=truth.at,
            phone=hidden,
            reference=truth.reference,
        )
        book(self.credential, [line], source, listed=True)

    def happen(self) -> None:
        steps = [step for truth in self.truths for step in truth.told]
        self.chance.shuffle(steps)
        for step in steps:
            step.tell()
        retry_unmatched(timezone.now() + timedelta(minutes=5))


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_shilling_is_counted_once(credential, seed) -> None:
    world = World(random.Random(seed), credential)
    world.happen()
    ledger = {truth.receipt: truth.amount for truth in world.truths if truth.is_paid}
    won = list(Payment.objects.filter(status="Success"))
    receipts = [row.receipt_number for row in won if row.receipt_number]
    waiting = list(Receipt.objects.filter(payment=None).values_list("code", flat=True))
    assert len(receipts) == len(set(receipts)), "one receipt, one payment"
    assert not set(receipts) & set(waiting)
    assert {row.receipt_number: row.amount_paid for row in won if row.receipt_number} == {
        code: ledger[code] for code in receipts
    }
    assert len(won) <= len(ledger), "nothing is paid that was not"
    unpaid = {t.payment.pk for t in world.truths if t.payment and not t.is_paid}
    alike = _look_alike(world.truths)
    assert not {row.pk for row in won} & unpaid or alike


@pytest.mark.parametrize("seed", range(SEEDS))
def test_one_proof_is_enough_whatever_else_is_told_and_when(credential, seed) -> None:
    world = World(random.Random(seed), credential, alike=False)
    world.happen()
    for truth in world.truths:
        proven = truth.is_paid and any(step.proves for step in truth.told)
        rows = Payment.objects.filter(receipts__code=truth.receipt)
        if truth.payment:
            truth.payment.refresh_from_db()
            assert (truth.payment.status == "Success") is proven
        else:
            assert [row.status for row in rows] == ["Success"] * proven


def _look_alike(truths: list[Truth]) -> bool:
    return len({(t.phone, t.amount) for t in truths}) < len(truths)
