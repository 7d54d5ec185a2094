"""Turn a settled payment into the Wi-Fi time it bought."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from milango.core.errors import InvalidRequest
from milango.core.tariffs import DEFAULT_TARIFF, Tariff, quote_access
from milango.models.ids import uuid7_bytes

from .rows import PaymentRow, RowOf

CAPTIVE_PORTAL: Final = "captive_portal"


def sell_time(payment: PaymentRow, at: datetime) -> RowOf | None:
    """Set the payment's minutes and start time; returns its grant. None: it buys no time.

    Time starts when the payment is settled, never at Safaricom's TransactionDate: a late
    callback must not sell minutes that are already over.
    """
    if payment.service_type != CAPTIVE_PORTAL or payment.duplicate_of_id:
        return None
    try:
        quote = quote_access(payment.amount_paid or payment.amount, tariff_of(payment.tariff))
    except InvalidRequest:
        # The money is the payer's whatever the tariff looks like: settle, and let a person look.
        return None
    payment.access_duration_minutes = quote.minutes
    payment.start_time = at
    return (
        uuid7_bytes(),
        payment.id,
        payment.merchant_id,
        payment.customer_id,
        quote.minutes,
        quote.remainder,
        at,
        at + timedelta(minutes=quote.minutes),
        payment.livemode,
        at,
    )


def sold_nothing(payment: PaymentRow) -> bool:
    """Wi-Fi was paid for, and the merchant's tariff could not be read."""
    wifi = payment.service_type == CAPTIVE_PORTAL and not payment.duplicate_of_id
    return wifi and payment.start_time is None


def tariff_of(stored: Any) -> Tariff:
    """The merchant's own tariff, or 50 KES for 120 minutes."""
    return Tariff.from_json(stored) if stored else DEFAULT_TARIFF
