"""Whether the money that an operator's word names can be its payment's, by what M-Pesa has told.

Asked while the short code is held (`book.hold`), so that nothing is told in between.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from milango.core.payments import SKEW, Outcome, Status
from milango.models import OperatorWord, Receipt, Reversal

from .book import is_anothers, receipts_named


class Told(NamedTuple):
    """What M-Pesa has told of the receipt that a word names."""

    came: Receipt | None = None
    """Money that came in with it; without an amount of M-Pesa's own where only words named it."""
    back: Reversal | None = None
    """Money that went back with it, or from it."""


def told_of(word: OperatorWord) -> Told:
    """Looked up by the word's receipt."""
    if not word.receipt:
        return Told()
    credential = word.payment.credential
    came = receipts_named(credential, [word.receipt])
    back = Reversal.objects.filter(credential=credential, code=word.receipt)
    return Told(came.first(), back.first())


def why_not(word: OperatorWord, told: Told) -> str:
    """Why the money that a word names cannot be its payment's; an empty text: it can, or M-Pesa
    has told nothing of it."""
    payment = word.payment
    # A test short code is several merchants': what waits for another's is nothing to be told.
    elsewhere = told.came and told.came.credential_id not in {None, payment.credential_id}
    if elsewhere or any(money and money.payment_id not in {None, payment.pk} for money in told):
        return "This receipt is another payment's."
    says = WHY_NOT.get(word.outcome)
    return says(word, told) if says else ""


def _why_not_paid(word: OperatorWord, told: Told) -> str:
    payment = word.payment
    if told.back:
        return "This money went back to the payer, as M-Pesa tells."
    came = told.came
    if came is None:
        # Not for the person to approve: a payment with two receipts is a doubt.
        has_another = word.receipt and payment.receipt_number not in {"", word.receipt}
        return f"The payment has {payment.receipt_number} already." if has_another else ""
    if came.payment_id:
        return ""
    if came.amount != payment.amount:
        return f"It is KES {came.amount}, and the payment asks for KES {payment.amount}."
    if payment.receipt_number or payment.status in {Status.REVERSED, Status.VOIDED}:
        return f"The payment is {payment.status}, with {payment.receipt_number or 'no receipt'}."
    if came.paid_at and came.paid_at < payment.created_at - SKEW:
        return "It was paid before the payment was asked for."
    if is_anothers(payment, came.phone):
        return "It was paid by another phone than the one that was prompted."
    return ""


def _why_not_reversed(word: OperatorWord, told: Told) -> str:
    payment, back = word.payment, told.back
    # Reversed stays whatever is told later: money that comes in yet would be hidden by it.
    paid = payment.status in {Status.SUCCESS, Status.REVERSED}
    never_paid = "" if paid else f"The payment is {payment.status}: nothing can go back from it."
    if back is None:
        unowned = told.came and not told.came.payment_id
        return "It is money that came in, and no payment's yet." if unowned else never_paid
    if back.payment_id:
        return ""
    if back.amount != payment.amount:
        return f"It is KES {back.amount}, and the payment asks for KES {payment.amount}."
    if is_anothers(payment, back.phone):
        return "It went back to another phone than the one that was prompted."
    if back.reversed_at < payment.created_at - SKEW:
        return "It went back before the payment was asked for."
    return never_paid


WHY_NOT: Final = {
    Outcome.PAID.value: _why_not_paid,
    Outcome.REVERSED.value: _why_not_reversed,
}
