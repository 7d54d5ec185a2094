"""Money whose payment nobody could find, put to one by a person's word (see `words`).

A receipt of which several payments may have been meant, or money that went back and names none.
What M-Pesa tells of it stands; whose it is, is the person's word: with a reason, within the
limits, and with a second person above them.
"""

from __future__ import annotations

from django.db.models import QuerySet

from milango.core.errors import InvalidRequest
from milango.core.payments import Outcome
from milango.core.receipts import typed
from milango.models import MpesaCredential, OperatorWord, Payment, Receipt, Reversal

from .settle import Settled
from .words import say

Waiting = Receipt | Reversal
"""Money that M-Pesa has told of, and that is no payment's yet."""


def receipts(credential: MpesaCredential) -> QuerySet[Receipt]:
    """Money that came in and waits for its payment."""
    return Receipt.objects.filter(payment=None, credential=credential)


def reversals(credential: MpesaCredential) -> QuerySet[Reversal]:
    """Money that went back and waits for the payment that it had come with."""
    return Reversal.objects.filter(payment=None, credential=credential)


def match(
    payment: Payment, code: str, *, reason: str, actor: str
) -> tuple[OperatorWord, Settled | None]:
    """Say that the money with this receipt is this payment's. None beside the word: a second
    person has to approve it. Raises InvalidRequest where it cannot be so; nothing is written."""
    waiting = _waiting(payment.credential, code)
    says = Outcome.PAID if isinstance(waiting, Receipt) else Outcome.REVERSED
    return say(payment, says.value, reason=reason, actor=actor, code=waiting.code)


def _waiting(credential: MpesaCredential, text: str) -> Waiting:
    code = text.strip().upper()
    came = receipts(credential).filter(code=code).first()
    found = came or reversals(credential).filter(code=code).first()
    if found is None:
        message = (
            f"No receipt {typed(text)} of this payment's short code waits for a payment. "
            "See: milango shortcodes unmatched. Nothing was changed."
        )
        raise InvalidRequest(message, field="receipt")
    return found
