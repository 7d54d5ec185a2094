"""Money that went back, as Pull, a confirmation or Transaction Status tells it.

What is told is written down first, and is evidence about its payment as soon as that is known. A
line that names the payment's own receipt unsays the payment. One that names only a receipt of its
own points at the one payment that it can mean: a doubt, and Transaction Status is asked
(`reconcile`). What a source's word is worth stands in `core.payments`, beside all else.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from milango.core import phones
from milango.core.payments import Evidence, Outcome, Source, Status
from milango.models import MpesaCredential, Payment, Reversal
from milango.models.ids import first_uuid7

from . import hours
from .book import EARLY, Line, hold, owner_of, refers
from .settle import settle_many

WITHIN: Final = timedelta(days=7)
"""So long after a payment a line without its receipt may mean it."""

LOOKED_FOR: Final = timedelta(hours=1)
"""So long its payment is looked for by all that the line tells; by the receipt, always."""

AT_ONCE: Final = 50

UNMATCHED: Final = "reversal_unmatched"
"""The verdict about a line whose payment is not known."""

PAID: Final = frozenset({Status.SUCCESS, Status.REVERSED})


def note(credential: MpesaCredential, lines: Sequence[Line], source: Source) -> list[str]:
    """Write down what a source tells went back, and tell the payments, in the caller's
    transaction; a verdict for each. Told again it changes nothing."""
    if lines:
        hold(credential.pk)
    return [_noted(credential, line, source) for line in lines]


def _noted(credential: MpesaCredential, line: Line, source: Source) -> str:
    row, _ = Reversal.objects.get_or_create(
        credential=credential,
        code=line.receipt,
        defaults={
            "merchant_id": credential.merchant_id,
            "source": source.value,
            "amount": line.amount,
            "phone": line.phone,
            "reference": line.reference,
            "reversed_at": line.paid_at,
            "created_at": hours.now(),
        },
    )
    return "duplicate" if row.payment_id else _told(row, is_new=True)


def retry(now: datetime) -> int:
    """Look again for the payments of what is not matched. Returns how many were found."""
    waiting = Reversal.objects.filter(payment=None)
    found = 0
    for each in list(waiting.order_by("-created_at")[:AT_ONCE]):
        with transaction.atomic(durable=True):
            hold(each.credential_id)
            # A person may have put it to a payment meanwhile.
            if row := waiting.select_related("credential").filter(pk=each.pk).first():
                found += _told(row, is_new=row.created_at > now - LOOKED_FOR) != UNMATCHED
    return found


def _told(row: Reversal, *, is_new: bool) -> str:
    if payment := owner_of(row.credential, row.code):
        return tell(row, payment, receipt=row.code)
    meant = _meant(row) if is_new else []
    return tell(row, meant[0]) if len(meant) == 1 else UNMATCHED


def tell(row: Reversal, payment: Payment, receipt: str | None = None) -> str:
    """Tell the payment, in the caller's transaction. `receipt`: the payment's own was named."""
    row.payment = payment
    row.save(update_fields=["payment"])
    if payment.status == Status.REVERSED:
        return "duplicate"
    (settled,) = settle_many(
        [
            Evidence(
                payment_id=payment.pk,
                source=Source(row.source),
                outcome=Outcome.REVERSED,
                observed_at=hours.now(),
                amount=row.amount,
                receipt=receipt,
                code="reversed",
                listed=True,
            )
        ]
    )
    return settled.verdict


# --- whose money it was ---------------------------------------------------------------------


def _meant(row: Reversal) -> list[Payment]:
    """Paid payments that it may be about, and of which this source has told nothing yet.

    None for a line without the payer's number: the amount alone points at nobody in a week.
    """
    if not row.phone.strip():
        return []
    paid = Payment.objects.filter(
        merchant=row.merchant_id,
        pk__gte=first_uuid7(row.reversed_at - WITHIN),
        pk__lt=first_uuid7(row.reversed_at + EARLY),
        credential=row.credential,
        status__in=PAID,
        amount=row.amount,
    )
    told = Reversal.objects.filter(credential=row.credential, payment__isnull=False)
    paid = paid.exclude(pk__in=told.filter(source=row.source).values("payment_id"))
    near = (one for one in paid if phones.may_be(one.phone, row.phone))
    return [one for one in near if refers(one, row.reference)]
