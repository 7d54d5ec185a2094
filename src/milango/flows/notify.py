"""Write down that something happened, and who is to be told. Sending is the worker's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from milango.models import Payment, PaymentEvent, WebhookDelivery, WebhookEndpoint

SILENT: Final = frozenset({"payment.created"})
"""Events that stand in the timeline and are not sent to anybody."""


def new_event(
    payment: Payment, type: str, at: datetime, data: dict[str, Any] | None = None
) -> PaymentEvent:
    """The payment's next event, numbered; the caller saves both in one transaction."""
    payment.event_count += 1
    return PaymentEvent(
        payment=payment,
        merchant_id=payment.merchant_id,
        seq=payment.event_count,
        type=type,
        at=at,
        data=data or {},
    )


def write(events: list[PaymentEvent]) -> None:
    """Insert events with one delivery row for every endpoint that wants them."""
    PaymentEvent.objects.bulk_create(events)
    WebhookDelivery.objects.bulk_create(_deliveries(events))


def _deliveries(events: list[PaymentEvent]) -> Iterable[WebhookDelivery]:
    told = [event for event in events if event.type not in SILENT]
    merchants = {event.merchant_id for event in told}
    if not merchants:
        return
    endpoints = list(WebhookEndpoint.objects.filter(merchant_id__in=merchants, active=True))
    for event in told:
        for endpoint in endpoints:
            if endpoint.merchant_id == event.merchant_id and endpoint.wants(event.type):
                yield WebhookDelivery(
                    endpoint=endpoint,
                    merchant_id=event.merchant_id,
                    payment_id=event.payment_id,
                    event_id=event.id,
                    event_type=event.type,
                    next_attempt_at=event.at,
                )
