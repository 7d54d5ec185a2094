"""An operator's word about a payment: evidence of last resort, with a reason and a name.

Small amounts take one person, within a daily limit for the person and for the payer; larger ones,
and every voidance, take a second person, who cannot be the first. A word is written down and
audited before it counts, and it ends in the same room as all other evidence. While it waits for the
second person it can be withdrawn, and then it never counts.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Q, QuerySet, Sum

from milango.conf import conf
from milango.core import receipts
from milango.core.doubts import meaning_of
from milango.core.errors import Declined, InvalidRequest
from milango.core.payments import Evidence, Outcome, Source, Status
from milango.models import Installation, OperatorWord, Payment, Reversal

from . import audit, hours
from .book import hold
from .named_money import Told, told_of, why_not
from .settle import Settled, settle_many

SAYABLE: Final = {
    word.value: word for word in (Outcome.PAID, Outcome.FAILED, Outcome.REVERSED, Outcome.VOIDED)
}

DAY: Final = timedelta(days=1)

DOORS: Final = ("admin", "cli")
"""Where people speak, as their names begin."""


def speak(
    payment: Payment, says: str, *, reason: str, actor: str, receipt: str = ""
) -> tuple[OperatorWord, Settled | None]:
    """Say how a payment ended. None beside the word: a second person has to approve it.

    Raises InvalidRequest for a word that cannot be said, without a reason, and for what is no
    receipt.
    """
    code = receipts.typed(receipt) if receipt.strip() else ""
    return say(payment, says, reason=reason, actor=actor, code=code)


def say(
    payment: Payment, says: str, *, reason: str, actor: str, code: str
) -> tuple[OperatorWord, Settled | None]:
    """The same, with a receipt as M-Pesa has told it: its form is M-Pesa's affair.

    Raises InvalidRequest, too, where the money with this receipt cannot be this payment's.
    """
    outcome = SAYABLE.get(says)
    if outcome is None:
        raise InvalidRequest(f"Say one of: {', '.join(SAYABLE)}.", field="outcome")
    if not reason.strip():
        raise InvalidRequest("A reason is needed: it is kept with the payment.", field="reason")
    now = hours.heard()
    with transaction.atomic(durable=True):
        held = _hold(payment)
        word = OperatorWord.objects.create(
            merchant_id=held.merchant_id,
            payment=held,
            outcome=outcome.value,
            receipt=code,
            reason=reason.strip()[:255],
            amount=held.amount,
            spoken_by=actor,
            spoken_at=now,
        )
        told = told_of(word)
        problem = why_not(word, told)
        _audit(word, "payment.word_spoken", actor)
        alone = not problem and _counts_alone(word, now)
        settled = _apply(word, told, now) if alone else None
        if problem := problem or _doubted(settled):
            raise InvalidRequest(f"{problem} Nothing was changed.", field="receipt")
    return word, settled


def approve(word: OperatorWord, *, actor: str) -> Settled:
    """Agree with another person's word; it counts from now on.

    Raises Declined `second_person_needed` for one's own word, `already_applied` for one that
    counts already, `word_withdrawn` for one that never will, and `word_outdated` where what has
    happened since does not allow it any more.
    """
    now = hours.heard()
    with transaction.atomic(durable=True):
        row = _waiting(word)
        if row.spoken_by in _names_of(actor):
            message = "Another person has to approve this: you have said it. Nothing was changed."
            raise Declined("second_person_needed", message)
        row.approved_by = actor
        _audit(row, "payment.word_approved", actor)
        told = told_of(row)
        problem = why_not(row, told)
        settled = None if problem else _apply(row, told, now)
        if settled is None or (problem := _doubted(settled)):
            message = f"{problem} It was otherwise when this was said. Nothing was changed."
            raise Declined("word_outdated", message)
        return settled


def withdraw(word: OperatorWord, *, actor: str) -> OperatorWord:
    """Take back a word that waits, one's own or another person's; it can never count any more.

    Raises Declined `already_applied` for one that counts: say what is so instead; and
    `word_withdrawn` for one that was withdrawn before.
    """
    now = hours.heard()
    with transaction.atomic(durable=True):
        row = _waiting(word)
        row.withdrawn_by, row.withdrawn_at = actor[: audit.LONGEST_ACTOR], now
        row.save(update_fields=["withdrawn_by", "withdrawn_at"])
        _audit(row, "payment.word_withdrawn", actor)
    return row


STATES: Final = {
    "waits": Q(applied_at=None, withdrawn_at=None),
    "counts": Q(applied_at__isnull=False),
    "withdrawn": Q(withdrawn_at__isnull=False),
}
"""Of a word, and the rows that are in each."""


def waiting() -> QuerySet[OperatorWord]:
    """What waits for a second person."""
    return OperatorWord.objects.filter(STATES["waits"])


def _hold(payment: Payment) -> Payment:
    """The payment as it is now, while nobody else books its short code's money or speaks.

    Locks in the order of everywhere: the short code, the installation, payments, receipts. One
    word at a time, so that two of them cannot both fit below a limit.
    """
    hold(payment.credential_id)
    list(Installation.objects.select_for_update().filter(pk=1))
    rows = Payment.objects.select_related("merchant", "credential")
    return rows.select_for_update(no_key=True, of=("self",)).get(pk=payment.pk)


def _waiting(word: OperatorWord) -> OperatorWord:
    """The word as it is now, kept from everybody else: of two who decide, one decides."""
    payment = _hold(word.payment)
    row = OperatorWord.objects.get(pk=word.pk)
    row.payment = payment
    if row.applied_at:
        raise Declined("already_applied", "This word counts already. Nothing was changed.")
    if row.withdrawn_at:
        message = f"This word was withdrawn by {row.withdrawn_by}. Nothing was changed."
        raise Declined("word_withdrawn", message)
    return row


def _counts_alone(word: OperatorWord, now: datetime) -> bool:
    """Whether no second person is needed, for this word and what was said in the last day."""
    if word.outcome == Outcome.VOIDED or word.amount > conf().operator_alone:
        return False
    alone = OperatorWord.objects.filter(
        spoken_at__gt=now - DAY, approved_by="", applied_at__isnull=False
    )
    by_person = alone.filter(spoken_by__in=_names_of(word.spoken_by))
    for_payer = alone.filter(merchant=word.merchant_id, payment__phone=word.payment.phone)
    said = max(_sum(by_person), _sum(for_payer))
    return said + word.amount <= conf().operator_daily


def _names_of(actor: str) -> list[str]:
    """How a person is named at each door: by their account's name, which may be the same at both.

    Two persons whose accounts bear one name are taken for one: rather that than one for two.
    """
    account = actor.partition(":")[2]
    return [actor, *(f"{door}:{account}" for door in DOORS if account)]


def _sum(words: object) -> Decimal:
    total = words.aggregate(total=Sum("amount"))["total"]  # type: ignore[attr-defined]
    return total or Decimal(0)


def _apply(word: OperatorWord, told: Told, now: datetime) -> Settled:
    word.applied_at = now
    word.save(update_fields=["applied_at", "approved_by"])
    # A word cannot say otherwise of money than M-Pesa has told.
    came = told.came if word.outcome == Outcome.PAID else None
    (settled,) = settle_many(
        [
            Evidence(
                payment_id=word.payment_id,
                source=Source.OPERATOR,
                outcome=SAYABLE[word.outcome],
                observed_at=now,
                receipt=word.receipt or None,
                amount=came.amount if came else None,
                phone=came.phone or None if came else None,
                paid_at=came.paid_at if came else None,
                code="operator",
                text=word.reason,
                approved=True,
            )
        ]
    )
    if word.outcome == Outcome.REVERSED and told.back:
        Reversal.objects.filter(pk=told.back.pk).update(payment=word.payment)
    return settled


ENDS: Final = {
    Outcome.PAID: Status.SUCCESS,
    Outcome.FAILED: Status.FAILED,
    Outcome.REVERSED: Status.REVERSED,
    Outcome.VOIDED: Status.VOIDED,
}


def outweighed(word: OperatorWord, settled: Settled) -> str:
    """Why a word that was heard has not made its payment what it says; an empty text: it has."""
    if settled.status == ENDS[SAYABLE[word.outcome]]:
        return ""
    stays = f"The payment stays {settled.status}: what is proven of it outweighs this word."
    undo = " No such money? Say voided. It went back? Say reversed."
    return f"{stays} No money has moved.{undo if settled.status == Status.SUCCESS else ''}"


def _doubted(settled: Settled | None) -> str:
    """Why a word is not recorded that would only raise a doubt: nobody is to approve a doubt.

    Between the look and the deed, somebody may have settled another payment with its receipt.
    """
    if settled is None or not settled.verdict.startswith("doubt:"):
        return ""
    return meaning_of(settled.verdict.removeprefix("doubt:")).means


def _audit(word: OperatorWord, action: str, actor: str) -> None:
    audit.record(
        actor,
        action,
        word.payment.public_id,
        merchant=word.payment.merchant,
        word=word.public_id,
        outcome=word.outcome,
        amount=str(word.amount),
        receipt=word.receipt,
        reason=word.reason,
    )
