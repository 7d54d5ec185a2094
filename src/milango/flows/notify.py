"""Write down that something happened, and who is to be told. Sending is the worker's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple, Protocol
from uuid import UUID

import msgspec
from django.db.models import Q

from milango.models import Payment, PaymentEvent, WebhookDelivery
from milango.models.ids import uuid7, uuid7_bytes

from .rows import RowOf

SILENT: Final = frozenset({"payment.created"})
"""Events that stand in the timeline and are not sent to anybody."""

DUE: Final = WebhookDelivery.State.DUE.value


class Event(msgspec.Struct):
    """One entry of a payment's timeline."""

    id: UUID
    payment_id: UUID
    merchant_id: UUID
    seq: int
    type: str
    at: datetime
    data: dict[str, Any]
    told: int = 0
    """Endpoints that were subscribed at that instant: so many deliveries have to exist."""

    @property
    def public_id(self) -> str:
        """`evt_…`."""
        return f"evt_{self.id.hex}"

    def row(self) -> RowOf:
        """For `store().insert`."""
        data = msgspec.json.encode(self.data).decode()
        return (
            self.id,
            self.payment_id,
            self.merchant_id,
            self.seq,
            self.type,
            self.at,
            data,
            self.told,
        )


class Counted(Protocol):
    """A payment that numbers its events."""

    id: UUID
    merchant_id: UUID
    event_count: int


def next_event(
    payment: Counted, type: str, at: datetime, data: dict[str, Any] | None = None
) -> Event:
    """The payment's next event, numbered; the caller writes both in one transaction."""
    payment.event_count += 1
    return Event(
        uuid7(), payment.id, payment.merchant_id, payment.event_count, type, at, data or {}
    )


def created(payment: Payment, request_id: str) -> Event:
    """The first event of a payment. It keeps the id of the request that asked for it."""
    data = {"request_id": request_id} if request_id else None
    return next_event(payment, "payment.created", payment.created_at, data)


class Happened(NamedTuple):
    """What a letter tells of payments beside the payments."""

    events: dict[UUID, Event]
    """By their ids."""
    requests: dict[UUID, str]
    """By payment: under which `X-Request-ID` it was asked for, where one is known. A webhook names
    it, so that it can be followed to the request."""


def of_payments(event_ids: Sequence[UUID], payment_ids: Iterable[UUID]) -> Happened:
    """These events, and the first event of each payment, which keeps the request. One query."""
    first = Q(payment_id__in=list(payment_ids), seq=1)
    rows = PaymentEvent.objects.filter(Q(pk__in=event_ids) | first)
    found = [Event(*row) for row in rows.values_list(*Event.__struct_fields__)]
    requests = {
        each.payment_id: each.data["request_id"] for each in found if "request_id" in each.data
    }
    return Happened({each.id: each for each in found}, requests)


def write(events: Iterable[Event]) -> None:
    """Insert events that nobody is told of."""
    PaymentEvent.objects.bulk_create(
        [PaymentEvent(**msgspec.structs.asdict(event)) for event in events]
    )


def deliveries(
    events: Iterable[Event], endpoints: Sequence[tuple[str, list[str]]]
) -> Iterable[RowOf]:
    """One row for every event at every endpoint (its id, and what it subscribed to).

    Each event keeps how many there are of it, so the events are written afterwards.
    """
    for event in events:
        if event.type in SILENT:
            continue
        for endpoint, wanted in endpoints:
            if not wanted or event.type in wanted:
                event.told += 1
                yield _delivery(event, endpoint)


def _delivery(event: Event, endpoint: str) -> RowOf:
    return (
        uuid7_bytes(),
        endpoint,
        event.merchant_id,
        event.payment_id,
        event.id,
        event.type,
        DUE,
        0,
        event.at,
        event.at,
    )
