"""Which payment a stored callback is about, and which callbacks tell of a payment.

The callback of a prompt was posted to its payment's own address. A C2B confirmation names a
receipt, whose payment may be found later, or by a person: the receipt leads there, whatever was
known when it came. An answer of Transaction Status leads to what was asked about.
"""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery, UUIDField
from django.db.models.functions import Coalesce

from milango.models import InboundCallback, Payment, Receipt, Reversal, StatusQuestion

from . import confirmations


def traced(rows: QuerySet[InboundCallback]) -> QuerySet[Any]:
    """The callbacks, with the id of the payment that each is about as `about`; None: of none."""
    named = {"code": OuterRef("receipt")}
    owned = Receipt.objects.filter(payment__credential_id=OuterRef("named_id"), **named)
    back = Reversal.objects.filter(credential_id=OuterRef("named_id"), **named)
    asked = StatusQuestion.objects.filter(
        pk=OuterRef("named_id"), credential__merchant_id=OuterRef("merchant_id")
    )
    about = [Subquery(each.values("payment_id")[:1]) for each in (owned, back, asked)]
    return rows.annotate(about=Coalesce("payment_id", *about, output_field=UUIDField()))


def confirmations_of(payment: Payment) -> QuerySet[InboundCallback]:
    """C2B confirmations of the payment's money, or of its going back, in the order they came."""
    codes = {
        *Receipt.objects.filter(payment=payment).values_list("code", flat=True),
        *Reversal.objects.filter(payment=payment).values_list("code", flat=True),
    }
    return InboundCallback.objects.filter(
        kind=confirmations.PURPOSE, named_id=payment.credential_id, receipt__in=sorted(codes)
    ).order_by("pk")
