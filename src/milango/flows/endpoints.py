"""Add, change and disable the addresses that want to be told, and tell them something again."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction
from django.db.models import QuerySet

from milango import signals
from milango.conf import conf
from milango.core.errors import Declined, InvalidRequest
from milango.core.webhooks import FAILING_FOR, OLD_SECRET_FOR, VERSIONS, event_types
from milango.models import AuditEntry, Merchant, PaymentEvent, WebhookDelivery, WebhookEndpoint
from milango.models.ids import first_uuid7, uuid7
from milango.outbound import check_url

from . import audit, bell, hours, notify
from .letters import PRIVATE, SECRET

CHANNEL: Final = "milango_deliveries"
"""Where PostgreSQL calls out that something else than a payment made deliveries due."""

SESSION_LIFE: Final = timedelta(seconds=60)
"""How long an endpoint of `milango listen` lives after its last sign of life."""

MILANGO: Final = "milango"
"""The actor, where nobody but time and answers has decided."""

BATCH: Final = 500

MOST: Final = 50
"""Active endpoints of one merchant: every event of its payments makes a row for each."""

REMOVED: Final = "removed"
"""Why an endpoint is disabled that its merchant has removed: its log stays, and outlives it."""


def new_secret() -> str:
    """A fresh secret, as every Standard Webhooks library takes it."""
    return SECRET + base64.b64encode(secrets.token_bytes(32)).decode()


def new_key() -> str:
    """A fresh Ed25519 private key."""
    raw = Ed25519PrivateKey.generate().private_bytes_raw()
    return PRIVATE + base64.b64encode(raw).decode()


def check_secret(text: str) -> str:
    """Raise InvalidRequest unless the secret is `whsec_` and the base64 of 24 to 64 bytes."""
    try:
        raw = base64.b64decode(text.removeprefix(SECRET), validate=True)
    except ValueError:
        raw = b""
    if not text.startswith(SECRET) or not 24 <= len(raw) <= 64:
        message = f"A secret is {SECRET} and the base64 of 24 to 64 random bytes."
        raise InvalidRequest(message, field="secret")
    return text


def check(endpoint: WebhookEndpoint) -> None:
    """Raise InvalidRequest, naming the field, when nothing could be sent there; for a new one also
    Declined `too_many_endpoints`."""
    if endpoint._state.adding:
        _require_room(endpoint.merchant)
    ours = conf()
    host = urlsplit(ours.public_url).hostname or ""
    check_url(endpoint.url, anywhere=ours.webhooks_to_anywhere, own_host=host)
    endpoint.event_types = event_types(endpoint.event_types)


def add(
    merchant: Merchant,
    url: str,
    *,
    actor: str,
    events: Sequence[str] = (),
    full_phone: bool = False,
    ed25519: bool = False,
) -> WebhookEndpoint:
    """A new endpoint with a secret of its own; `secret` and `ed25519_key` can be read from it.

    Raises InvalidRequest for an address that nothing is sent to, or an unknown event.
    """
    endpoint = WebhookEndpoint(
        merchant=merchant,
        url=url,
        event_types=list(events),
        full_phone=full_phone,
        secret=new_secret(),
        ed25519_key=new_key() if ed25519 else None,
    )
    return store(endpoint, actor=actor)


def store(endpoint: WebhookEndpoint, *, actor: str) -> WebhookEndpoint:
    """`add` for a row that a form has filled in already."""
    check(endpoint)
    endpoint.secret = check_secret(endpoint.secret or new_secret())
    endpoint.payload_version = VERSIONS[-1]
    with transaction.atomic():
        endpoint.save(force_insert=True)
        _audit(actor, "webhook.added", endpoint, url=endpoint.url, events=endpoint.event_types)
    return endpoint


def _require_room(merchant: Merchant) -> None:
    if WebhookEndpoint.objects.filter(merchant=merchant, active=True).count() >= MOST:
        message = f"A merchant has {MOST} active webhook endpoints at most. Disable one first."
        raise Declined("too_many_endpoints", message)


def change(endpoint: WebhookEndpoint, fields: Iterable[str], *, actor: str) -> None:
    """Write down these fields of the row, as they stand in it now; audited by their names.

    What is due for it goes to the new address. Raises InvalidRequest like `add`.
    """
    names = sorted(fields)
    check(endpoint)
    with transaction.atomic():
        endpoint.save(update_fields=names)
        _audit(actor, "webhook.changed", endpoint, fields=names)


def rotate(
    endpoint: WebhookEndpoint, *, actor: str, keep: timedelta = OLD_SECRET_FOR
) -> WebhookEndpoint:
    """A new secret; the one before signs too, for as long as `keep`."""
    endpoint.old_secret, endpoint.secret = endpoint.secret, new_secret()
    endpoint.old_secret_until = hours.now() + keep
    with transaction.atomic():
        endpoint.save(update_fields=["secret", "old_secret", "old_secret_until"])
        _audit(actor, "webhook.rotated", endpoint, hours=keep.total_seconds() / 3600)
    return endpoint


def disable(endpoint: WebhookEndpoint, *, actor: str, reason: str = "by hand") -> None:
    """Tell it nothing any more. What is due for it waits; its merchant's others are told."""
    with transaction.atomic():
        now = hours.now()
        mine = WebhookEndpoint.objects.filter(pk=endpoint.pk, active=True)
        if not mine.update(active=False, disabled_at=now, disabled_reason=reason):
            return
        entry = _audit(actor, "webhook.disabled", endpoint, url=endpoint.url, reason=reason)
        _announce(entry, endpoint.merchant, "endpoint.disabled")
        pk = endpoint.pk
        transaction.on_commit(lambda: signals.announce_disabled(pk), robust=True)
    endpoint.refresh_from_db()


def remove(endpoint: WebhookEndpoint, *, actor: str) -> None:
    """Disable it for good: what is due for it is given up. What it was told stays on record.

    An operator's `enable` brings it back.
    """
    with transaction.atomic():
        _audit(actor, "webhook.removed", endpoint, url=endpoint.url)
        disable(endpoint, actor=actor, reason=REMOVED)
        # One that was disabled already is now removed.
        WebhookEndpoint.objects.filter(pk=endpoint.pk).update(disabled_reason=REMOVED)
        _give_up([endpoint.pk])
    endpoint.refresh_from_db()


def _give_up(endpoint_ids: Iterable[UUID]) -> None:
    due = WebhookDelivery.objects.filter(
        endpoint_id__in=endpoint_ids, state=WebhookDelivery.State.DUE.value
    )
    due.update(state=WebhookDelivery.State.GIVEN_UP.value, next_attempt_at=None)


def enable(endpoint: WebhookEndpoint, *, actor: str) -> None:
    """Tell it again, beginning with what has waited. Raises Declined `too_many_endpoints`."""
    if not endpoint.active:
        _require_room(endpoint.merchant)
    endpoint.active, endpoint.disabled_at, endpoint.disabled_reason = True, None, ""
    endpoint.failing_since = None
    with transaction.atomic():
        endpoint.save(update_fields=["active", "disabled_at", "disabled_reason", "failing_since"])
        _audit(actor, "webhook.enabled", endpoint)
        wake()


def disable_failing(endpoint_ids: Iterable[UUID]) -> None:
    """Disable those of them that have taken nothing for days."""
    old = hours.now() - FAILING_FOR
    rows = WebhookEndpoint.objects.filter(pk__in=list(endpoint_ids), failing_since__lt=old)
    for endpoint in rows.filter(active=True, session_until=None).select_related("merchant"):
        disable(endpoint, actor=MILANGO, reason="failing")


def disable_gone(endpoint_id: UUID) -> None:
    """It answered 410: it wants nothing any more."""
    for endpoint in WebhookEndpoint.objects.filter(pk=endpoint_id).select_related("merchant"):
        disable(endpoint, actor=MILANGO, reason="gone")


def _audit(actor: str, action: str, endpoint: WebhookEndpoint, **detail: object) -> AuditEntry:
    return audit.record(actor, action, endpoint.public_id, merchant=endpoint.merchant, **detail)


def _announce(entry: AuditEntry, merchant: Merchant, event_type: str) -> None:
    rows = WebhookEndpoint.objects.filter(merchant=merchant, active=True)
    _make_due([each for each in rows if each.wants(event_type)], entry.id, event_type)


def _make_due(
    to: Iterable[WebhookEndpoint], event_id: UUID, event_type: str
) -> list[WebhookDelivery]:
    now = hours.now()
    made = WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=endpoint,
            merchant_id=endpoint.merchant_id,
            event_id=event_id,
            event_type=event_type,
            next_attempt_at=now,
        )
        for endpoint in to
    )
    wake()
    return made


def wake() -> None:
    """Ring for whoever delivers, here and elsewhere, after the commit."""
    transaction.on_commit(lambda: bell.ring(()), robust=True)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])


# --- again, and for a test ------------------------------------------------------------------


def trigger(merchant: Merchant, event_type: str) -> int:
    """Make a test event, without any payment, for the merchant's endpoints that want it.

    Returns how many will be told. Raises InvalidRequest for an unknown event.
    """
    event_types([event_type])
    rows = WebhookEndpoint.objects.filter(merchant=merchant, active=True)
    with transaction.atomic():
        wanted = [each for each in rows if each.wants(event_type)]
        return len(_make_due(wanted, uuid7(), event_type))


def trigger_at(endpoint: WebhookEndpoint, event_type: str) -> WebhookDelivery:
    """Make a test event for this endpoint alone, also of a type that it does not subscribe to.

    Raises InvalidRequest for an unknown event, and Declined `endpoint_disabled`.
    """
    event_types([event_type])
    if not endpoint.active:
        message = "This endpoint is told nothing, tests included. Enable it first."
        raise Declined("endpoint_disabled", message)
    with transaction.atomic():
        (delivery,) = _make_due([endpoint], uuid7(), event_type)
    return delivery


def replay(delivery: WebhookDelivery, *, actor: str) -> None:
    """Deliver once more, with the same id and the payment as it is then."""
    replay_all(WebhookDelivery.objects.filter(pk=delivery.pk), delivery.endpoint, actor=actor)


def replay_all(rows: QuerySet[WebhookDelivery], endpoint: WebhookEndpoint, *, actor: str) -> int:
    """Make these deliveries of one endpoint due again, from the beginning of the schedule."""
    with transaction.atomic():
        count = rows.update(
            state=WebhookDelivery.State.DUE.value, attempts=0, next_attempt_at=hours.now()
        )
        _audit(actor, "webhook.replayed", endpoint, deliveries=count)
        wake()
    return count


def replay_range(
    endpoint: WebhookEndpoint,
    since: datetime,
    until: datetime,
    *,
    actor: str,
    types: Sequence[str] = (),
) -> int:
    """Deliver everything of a span of time again, also what the endpoint was never told.

    Only what it subscribes to, and of that only `types`, if any are given. Returns how many.
    """
    wanted = [each for each in event_types(list(types)) if endpoint.wants(each)]
    rows = WebhookDelivery.objects.filter(
        endpoint=endpoint, id__gte=first_uuid7(since), id__lt=first_uuid7(until)
    )
    if types:
        rows = rows.filter(event_type__in=wanted)
    # Together, so that no worker delivers a row between its making and its replay.
    with transaction.atomic():
        _make_missing(endpoint, since, until, wanted if types else endpoint.event_types)
        return replay_all(rows, endpoint, actor=actor)


def _make_missing(
    endpoint: WebhookEndpoint, since: datetime, until: datetime, types: Sequence[str]
) -> None:
    """Rows for events of the time when the endpoint was not there, or disabled.

    They bear the event's time in their id, so that they lie in the span as the others do.
    """
    events = PaymentEvent.objects.filter(
        merchant_id=endpoint.merchant_id, id__gte=first_uuid7(since), id__lt=first_uuid7(until)
    ).exclude(type__in=notify.SILENT)
    if types:
        events = events.filter(type__in=types)
    last = first_uuid7(since)
    while batch := list(events.filter(id__gt=last).order_by("id")[:BATCH]):
        WebhookDelivery.objects.bulk_create(
            [
                WebhookDelivery(
                    id=_like(event.id),
                    endpoint=endpoint,
                    merchant_id=event.merchant_id,
                    payment_id=event.payment_id,
                    event_id=event.id,
                    event_type=event.type,
                    next_attempt_at=hours.now(),
                )
                for event in batch
            ],
            ignore_conflicts=True,
        )
        last = batch[-1].id


def _like(id: UUID) -> UUID:
    """Another UUIDv7 of the same millisecond."""
    return UUID(int=id.int >> 80 << 80 | uuid7().int & (1 << 80) - 1)


# --- sessions of `milango listen` -----------------------------------------------------------


def open_session(merchant: Merchant, url: str, events: Sequence[str]) -> WebhookEndpoint:
    """An endpoint that the caller tells itself, with a secret for this session."""
    check_url(url, anywhere=True)
    known = WebhookEndpoint.objects.filter(merchant=merchant, url=url, session_until__isnull=False)
    endpoint = known.first() or WebhookEndpoint(merchant=merchant, url=url)
    endpoint.event_types, endpoint.secret = event_types(list(events)), new_secret()
    endpoint.old_secret, endpoint.active = None, True
    endpoint.session_until = hours.now() + SESSION_LIFE
    endpoint.save()
    return endpoint


def keep_session(endpoint: WebhookEndpoint) -> None:
    """A sign of life."""
    until = hours.now() + SESSION_LIFE
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(session_until=until, active=True)


def close_sessions(*, before: datetime) -> int:
    """End the sessions whose time is over; what is due for them is given up."""
    ids = list(
        WebhookEndpoint.objects.filter(session_until__lt=before, active=True).values_list(
            "pk", flat=True
        )
    )
    with transaction.atomic():
        WebhookEndpoint.objects.filter(pk__in=ids).update(active=False)
        _give_up(ids)
    return len(ids)


def close_session(endpoint: WebhookEndpoint) -> None:
    """Nobody listens any more."""
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(session_until=hours.now())
    close_sessions(before=hours.now() + timedelta(milliseconds=1))
