"""A merchant's webhook endpoints as its own programs see and change them, by API key.

Every function takes the caller and gives a document; `endpoints` does what is to be done, as it
does it for the command line and the admin. Another merchant's id is as absent as one that never
was, and so is an endpoint that was removed, and a session of `milango listen`.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Model, QuerySet

from milango.core.errors import Declined, InvalidRequest, SecretUnreadable
from milango.core.filters import PageRequest
from milango.core.webhook_inputs import NewEndpoint, Rotation, Span
from milango.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from milango.models.ids import with_public_id

from . import endpoints, letters, pages
from .callers import Caller
from .once import once
from .pages import Document
from .present import moment

MADE = "webhook-endpoints"
ROTATED = "webhook-endpoints/rotate"

M = TypeVar("M", bound=Model)

# --- endpoints ------------------------------------------------------------------------------


def page_of(caller: Caller, page: PageRequest) -> Document:
    """One page of the caller's endpoints, newest first."""
    rows = _endpoints_of(caller, "read").order_by("-pk")
    if page.starting_after:
        rows = rows.filter(pk__lt=page.starting_after)
    return pages.page(rows, page.limit, endpoint_document)


def one(caller: Caller, public_id: str) -> Document:
    """One endpoint. Raises Declined `not_found` for any id that is not the caller's."""
    return endpoint_document(_own(caller, "read", public_id))


def add(caller: Caller, wish: NewEndpoint, *, idempotency_key: str = "") -> Document:
    """A new endpoint, with its secret: it is in this answer, and in no later one.

    Raises InvalidRequest for an address that nothing is sent to, Declined `too_many_endpoints`.
    """
    caller.require_secret("manage")

    def make() -> WebhookEndpoint:
        return endpoints.add(
            caller.merchant,
            wish.url,
            actor=caller.actor,
            events=wish.event_types,
            full_phone=wish.full_phone,
            ed25519=wish.ed25519,
        )

    return _made(caller, once(caller, MADE, idempotency_key, wish, make))


def change(caller: Caller, public_id: str, fields: dict[str, Any]) -> Document:
    """Change these fields of an endpoint; `active` disables and enables it.

    Raises InvalidRequest and Declined like `add`, and then nothing was changed.
    """
    row = _own(caller, "manage", public_id)
    active = fields.get("active")
    changed = {name: value for name, value in fields.items() if name != "active"}
    for name, value in changed.items():
        setattr(row, name, value)
    with transaction.atomic():
        if changed:
            endpoints.change(row, changed, actor=caller.actor)
        if active is not None and active != row.active:
            (endpoints.enable if active else endpoints.disable)(row, actor=caller.actor)
    return endpoint_document(row)


def remove(caller: Caller, public_id: str) -> Document:
    """Tell an endpoint nothing any more, and list it no more. Its deliveries stay on record."""
    row = _own(caller, "manage", public_id)
    endpoints.remove(row, actor=caller.actor)
    return endpoint_document(row)


def rotate(
    caller: Caller, public_id: str, rotation: Rotation, *, idempotency_key: str = ""
) -> Document:
    """A new secret, in this answer alone."""
    row = _own(caller, "manage", public_id)

    def make() -> WebhookEndpoint:
        keep = timedelta(hours=rotation.keep_hours)
        return endpoints.rotate(row, actor=caller.actor, keep=keep)

    asked = [public_id, rotation]
    return _made(caller, once(caller, ROTATED, idempotency_key, asked, make))


def test(caller: Caller, public_id: str, event_type: str) -> Document:
    """Send the endpoint a test event. Raises Declined `endpoint_disabled`."""
    row = _own(caller, "manage", public_id)
    return delivery_document(endpoints.trigger_at(row, event_type))


def replay_span(caller: Caller, public_id: str, span: Span) -> Document:
    """Tell the endpoint again what happened in a span of time. Gives how many are due."""
    row = _own(caller, "manage", public_id)
    count = endpoints.replay_range(
        row, span.since, span.until, actor=caller.actor, types=span.event_types
    )
    return {"object": "replay", "deliveries": count}


# --- deliveries -----------------------------------------------------------------------------


def deliveries_of(caller: Caller, public_id: str, page: PageRequest) -> Document:
    """One page of an endpoint's deliveries, the newest event first."""
    row = _own(caller, "read", public_id)
    # By event: there is an index for that, and the ids of events are in the order of time.
    rows = WebhookDelivery.objects.filter(endpoint=row, **page.where).order_by("-event_id")
    if page.starting_after:
        rows = rows.filter(event_id__lt=_event_of(row, page.starting_after))
    return pages.page(rows, page.limit, delivery_document)


def _event_of(endpoint: WebhookEndpoint, delivery_id: UUID) -> UUID:
    found = WebhookDelivery.objects.filter(endpoint=endpoint, pk=delivery_id).first()
    if found is None:
        message = "starting_after must be the id of a delivery to this endpoint."
        raise InvalidRequest(message, field="starting_after", code="invalid_filter")
    return found.event_id


def delivery_of(caller: Caller, public_id: str) -> Document:
    """One delivery with its log. Raises Declined `not_found` like `one`."""
    return _with_log(_own_delivery(caller, "read", public_id))


def replay(caller: Caller, public_id: str) -> Document:
    """Deliver once more, with the same id and the payment as it is then."""
    row = _own_delivery(caller, "manage", public_id)
    endpoints.replay(row, actor=caller.actor)
    row.refresh_from_db()
    return _with_log(row)


# --- whose they are -------------------------------------------------------------------------


def _endpoints_of(caller: Caller, scope: str) -> QuerySet[WebhookEndpoint]:
    caller.require_secret(scope)
    rows = WebhookEndpoint.objects.filter(merchant=caller.merchant, session_until=None)
    return rows.exclude(disabled_reason=endpoints.REMOVED).select_related("merchant")


def _own(caller: Caller, scope: str, public_id: str) -> WebhookEndpoint:
    return _found(_endpoints_of(caller, scope), public_id, "webhook endpoint")


def _own_delivery(caller: Caller, scope: str, public_id: str) -> WebhookDelivery:
    mine = _endpoints_of(caller, scope).values("pk")
    rows = WebhookDelivery.objects.filter(merchant=caller.merchant, endpoint__in=mine)
    return _found(rows.select_related("endpoint__merchant"), public_id, "delivery")


def _found(rows: QuerySet[M], public_id: str, what: str) -> M:
    row = with_public_id(rows, public_id)
    if row is None:
        raise Declined("not_found", f"There is no such {what}.")
    return row


# --- how they look --------------------------------------------------------------------------


def _made(caller: Caller, made: WebhookEndpoint | UUID) -> Document:
    """The endpoint, with its new secret; or what was made for the same key before, without."""
    if isinstance(made, UUID):
        return endpoint_document(_own(caller, "manage", f"whe_{made.hex}"))
    return endpoint_document(made) | {"secret": made.secret}


def endpoint_document(row: WebhookEndpoint) -> Document:
    """An endpoint as its merchant's programs see it: without secrets."""
    return {
        "id": row.public_id,
        "object": "webhook_endpoint",
        "url": row.url,
        "event_types": row.event_types,
        "full_phone": row.full_phone,
        "active": row.active,
        "disabled_at": moment(row.disabled_at),
        "disabled_reason": row.disabled_reason or None,
        "failing_since": moment(row.failing_since),
        "version": row.payload_version,
        "public_key": _public_key(row),
        "old_secret_until": moment(row.old_secret_until),
        "created_at": moment(row.created_at),
    }


def _public_key(row: WebhookEndpoint) -> str | None:
    # One that cannot be opened is told of in the log of its deliveries, and hides no other.
    with suppress(SecretUnreadable, ValueError):
        if row.ed25519_key:
            return letters.public_key(row.ed25519_key)
    return None


def delivery_document(row: WebhookDelivery) -> Document:
    """A delivery, without its log."""
    return {
        "id": row.public_id,
        "object": "webhook_delivery",
        "endpoint": f"whe_{row.endpoint_id.hex}",
        "event": letters.event_name(row.event_id),
        "event_type": row.event_type,
        "payment": f"pay_{row.payment_id.hex}" if row.payment_id else None,
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": moment(row.next_attempt_at),
        "created_at": moment(row.created_at),
    }


def _with_log(row: WebhookDelivery) -> Document:
    log = [_attempt_document(each) for each in row.log.order_by("pk")]
    return delivery_document(row) | {"log": log}


def _attempt_document(row: WebhookAttempt) -> Document:
    return {
        "at": moment(row.at),
        "status": row.status,
        "ms": row.ms,
        "error": row.error or None,
        "answer": row.answer,
    }
