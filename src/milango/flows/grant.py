"""Turn a settled payment into the Wi-Fi time it bought."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from milango.core.errors import InvalidRequest
from milango.core.tariffs import DEFAULT_TARIFF, Tariff, quote_access
from milango.models import AccessGrant, Merchant, Payment

CAPTIVE_PORTAL: Final = "captive_portal"


def sell_time(payment: Payment, at: datetime) -> AccessGrant | None:
    """Set the payment's minutes and start time, and make its grant. None: it buys no time.

    Time starts when the payment is settled, never at Safaricom's TransactionDate: a late
    callback must not sell minutes that are already over.
    """
    if payment.service_type != CAPTIVE_PORTAL or payment.duplicate_of_id:
        return None
    try:
        quote = quote_access(payment.amount_paid or payment.amount, tariff_of(payment.merchant))
    except InvalidRequest:
        # The money is the payer's whatever the tariff looks like: settle, and let a person look.
        return None
    payment.access_duration_minutes = quote.minutes
    payment.start_time = at
    return AccessGrant(
        payment=payment,
        merchant_id=payment.merchant_id,
        customer_id=payment.customer_id,
        minutes=quote.minutes,
        remainder=quote.remainder,
        starts_at=at,
        ends_at=at + timedelta(minutes=quote.minutes),
        livemode=payment.livemode,
    )


def sold_nothing(payment: Payment) -> bool:
    """Wi-Fi was paid for, and the merchant's tariff could not be read."""
    wifi = payment.service_type == CAPTIVE_PORTAL and not payment.duplicate_of_id
    return wifi and payment.start_time is None


def tariff_of(merchant: Merchant) -> Tariff:
    """The merchant's own tariff, or 50 KES for 120 minutes."""
    return Tariff.from_json(merchant.tariff) if merchant.tariff else DEFAULT_TARIFF


def write(grants: Iterable[AccessGrant]) -> None:
    """Insert grants. The same payment twice is the same grant."""
    AccessGrant.objects.bulk_create(list(grants), ignore_conflicts=True)


def revoke(payments: Iterable[Payment], at: datetime) -> None:
    """Cut the time of payments whose money went back."""
    AccessGrant.objects.filter(payment__in=list(payments), revoked_at=None).update(revoked_at=at)
