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
from django.db.models import QuerySet, Sum

from milango.conf import conf
from milango.core import receipts
from milango.core.errors import Declined, InvalidRequest
from milango.core.payments import SKEW, Evidence, Outcome, Source, Status
from milango.models import Installation, OperatorWord, Payment, Receipt, Reversal

from . import audit, hours
from .settle import Settled, settle_many

SAYABLE: Final = {
    word.value: word for word in (Outcome.PAID, Outcome.FAILED, Outcome.REVERSED, Outcome.VOIDED)
}

DAY: Final = timedelta(days=1)

DOORS: Final = ("admin", "cli")
"""Where people speak, as their names begin."""

Waiting = Receipt | Reversal
"""Money that M-Pesa has told of, and that is no payment's yet."""


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
        # One word at a time, so that two of them cannot both fit below a limit.
        list(Installation.objects.select_for_update().filter(pk=1))
        payment = Payment.objects.select_related("merchant").get(pk=payment.pk)
        word = OperatorWord.objects.create(
            merchant_id=payment.merchant_id,
            payment=payment,
            outcome=outcome.value,
            receipt=code,
            reason=reason.strip()[:255],
            amount=payment.amount,
            spoken_by=actor,
            spoken_at=now,
        )
        if problem := _why_not(word):
            raise InvalidRequest(f"{problem} Nothing was changed.", field="receipt")
        _audit(word, "payment.word_spoken", actor)
        settled = _apply(word, now) if _counts_alone(word, now) else None
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
        if problem := _why_not(row):
            message = f"{problem} It was otherwise when this was said. Nothing was changed."
            raise Declined("word_outdated", message)
        row.approved_by = actor
        _audit(row, "payment.word_approved", actor)
        return _apply(row, now)


def withdraw(word: OperatorWord, *, actor: str) -> OperatorWord:
    """Take back a word that waits, one's own or another person's; it can never count any more.

    Raises Declined `already_applied` for one that counts: say what is so instead; and
    `word_withdrawn` for one that was withdrawn before.
    """
    now = hours.heard()
    with transaction.atomic(durable=True):
        row = _waiting(word)
        row.withdrawn_by, row.withdrawn_at = actor[:80], now
        row.save(update_fields=["withdrawn_by", "withdrawn_at"])
        _audit(row, "payment.word_withdrawn", actor)
    return row


def waiting() -> QuerySet[OperatorWord]:
    """What waits for a second person."""
    return OperatorWord.objects.filter(applied_at=None, withdrawn_at=None)


def _waiting(word: OperatorWord) -> OperatorWord:
    """The word as it is now, kept from everybody else: of two who decide, one decides."""
    # Not its payment: whoever speaks of that locks it after the installation, and so do we.
    rows = OperatorWord.objects.select_related("payment__merchant")
    row = rows.select_for_update(of=("self",)).get(pk=word.pk)
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


def _apply(word: OperatorWord, now: datetime) -> Settled:
    word.applied_at = now
    word.save(update_fields=["applied_at", "approved_by"])
    # A word cannot say otherwise of money than M-Pesa has told.
    money = _money_of(word)
    told = money if isinstance(money, Receipt) else None
    (settled,) = settle_many(
        [
            Evidence(
                payment_id=word.payment_id,
                source=Source.OPERATOR,
                outcome=SAYABLE[word.outcome],
                observed_at=now,
                receipt=word.receipt or None,
                amount=told.amount if told else None,
                phone=told.phone or None if told else None,
                paid_at=told.paid_at if told else None,
                code="operator",
                text=word.reason,
                approved=True,
            )
        ]
    )
    if isinstance(money, Reversal) and settled.status == Status.REVERSED:
        Reversal.objects.filter(pk=money.pk).update(payment=word.payment)
    return settled


def _money_of(word: OperatorWord) -> Waiting | None:
    """What M-Pesa has told of the money that a word names, while it waits for its payment."""
    mine = {"credential": word.payment.credential_id, "code": word.receipt, "payment": None}
    if word.receipt and word.outcome == Outcome.PAID:
        return Receipt.objects.filter(**mine).first()
    if word.receipt and word.outcome == Outcome.REVERSED:
        return Reversal.objects.filter(**mine).first()
    return None


def _why_not(word: OperatorWord) -> str:
    """Why the money that a word names cannot be its payment's; an empty text: it can, or M-Pesa
    has told nothing of it."""
    money, payment = _money_of(word), word.payment
    if money is None:
        return ""
    if money.amount != payment.amount:
        return f"It is KES {money.amount}, and the payment asks for KES {payment.amount}."
    if isinstance(money, Reversal):
        paid = payment.status in {Status.SUCCESS, Status.REVERSED}
        return "" if paid else f"The payment is {payment.status}: nothing can go back from it."
    if payment.receipt_number or payment.status in {Status.REVERSED, Status.VOIDED}:
        return f"The payment is {payment.status}, with {payment.receipt_number or 'no receipt'}."
    if money.paid_at and money.paid_at < payment.created_at - SKEW:
        return "It was paid before the payment was asked for."
    return ""


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
