"""What is sent to an endpoint: the payment as it stands now, signed for this one attempt."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from standardwebhooks import Webhook

from milango.core import webhooks
from milango.core.errors import MilangoError
from milango.core.webhooks import Told
from milango.models import AuditEntry, MpesaCredential, Payment, WebhookEndpoint
from milango.models.ids import parse_public_id

from . import hours, notify
from .caches import Remembered
from .due import Taken
from .present import event_document, moment, told_document

SECRET: Final = "whsec_"  # noqa: S105 - how secrets begin, by the standard
PRIVATE: Final = "whsk_"
PUBLIC: Final = "whpk_"


class Addressee(msgspec.Struct, frozen=True):
    """An endpoint, with its secrets opened."""

    url: str
    version: int
    full_phone: bool
    secret: Webhook
    old_secret: Webhook | None
    old_secret_until: datetime | None
    private_key: Ed25519PrivateKey | None


_addressees: Final = Remembered[Addressee](seconds=5, of=(WebhookEndpoint,))


def addressee(endpoint_id: UUID) -> Addressee:
    """Who is told. Raises SecretUnreadable, ValueError, or WebhookEndpoint.DoesNotExist."""
    return _addressees.get(endpoint_id, lambda: _open(WebhookEndpoint.objects.get(pk=endpoint_id)))


def _open(endpoint: WebhookEndpoint) -> Addressee:
    return Addressee(
        url=endpoint.url,
        version=endpoint.payload_version,
        full_phone=endpoint.full_phone,
        secret=Webhook(endpoint.secret),
        old_secret=Webhook(endpoint.old_secret) if endpoint.old_secret else None,
        old_secret_until=endpoint.old_secret_until,
        private_key=private_key(endpoint.ed25519_key) if endpoint.ed25519_key else None,
    )


def private_key(text: str) -> Ed25519PrivateKey:
    """The key behind `whsk_…`. Raises ValueError."""
    return Ed25519PrivateKey.from_private_bytes(base64.b64decode(text.removeprefix(PRIVATE)))


def public_key(text: str) -> str:
    """`whpk_…`, by which receivers verify what the private key `whsk_…` signed."""
    raw = private_key(text).public_key().public_bytes_raw()
    return PUBLIC + base64.b64encode(raw).decode()


class Letter(NamedTuple):
    """One delivery, ready to be signed and sent."""

    taken: Taken
    to: Addressee | None
    body: bytes
    problem: str = ""
    """Why it cannot be sent; empty when it can."""

    def headers(self, now: datetime) -> dict[str, str]:
        """Signed with the time of this attempt; the id is the event's at every attempt."""
        assert self.to is not None
        return {
            "Content-Type": "application/json",
            "User-Agent": "Milango-Webhooks/1",
            **signed(self.to, event_name(self.taken.event_id), self.body, now),
        }


def event_name(event_id: UUID) -> str:
    """`evt_…`, the id of an event for receivers."""
    return f"evt_{event_id.hex}"


def signed(to: Addressee, name: str, body: bytes, now: datetime) -> dict[str, str]:
    """The three headers of Standard Webhooks: a signature for each live secret and key."""
    at = now.astimezone(UTC)  # the package takes the zone for UTC, whatever it is
    text = body.decode()
    signatures = [to.secret.sign(name, at, text)]
    if to.old_secret and to.old_secret_until and at < to.old_secret_until:
        signatures.append(to.old_secret.sign(name, at, text))
    stamp = str(int(at.timestamp()))
    if to.private_key:
        signature = to.private_key.sign(f"{name}.{stamp}.{text}".encode())
        signatures.append(f"v1a,{base64.b64encode(signature).decode()}")
    return {
        "webhook-id": name,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(signatures),
    }


def write(taken: Sequence[Taken]) -> list[Letter]:
    """The letters of these deliveries, in their order. One that cannot be written says why."""
    payments = Payment.objects.in_bulk([each.payment_id for each in taken if each.payment_id])
    happened = notify.of_payments([each.event_id for each in taken if each.payment_id], payments)
    others = [each.event_id for each in taken if not each.payment_id]
    entries = AuditEntry.objects.in_bulk(others) if others else {}
    return [_letter(each, payments, happened, entries) for each in taken]


def _letter(
    taken: Taken,
    payments: Mapping[Any, Payment],
    happened: notify.Happened,
    entries: Mapping[Any, AuditEntry],
) -> Letter:
    try:
        to = addressee(taken.endpoint_id)
    except (MilangoError, ValueError, RuntimeError, WebhookEndpoint.DoesNotExist) as error:
        # The database's own errors are not this letter's fault, and end the whole turn.
        return Letter(taken, None, b"", f"Its secret cannot be used ({type(error).__name__}).")
    if taken.payment_id:
        payment = payments.get(taken.payment_id)
        event = happened.events.get(taken.event_id)
        if payment is None or event is None:
            return Letter(taken, to, b"", "What it tells of is not there any more.")
        told = _of_payment(taken, payment, event, full_phone=to.full_phone)
        if request := happened.requests.get(payment.pk):
            told.data["request_id"] = request
    elif entry := entries.get(taken.event_id):
        told = _of_entry(taken, entry)
    else:
        told = _of_test(taken)
    return Letter(taken, to, webhooks.payload(told, to.version))


def _of_payment(taken: Taken, payment: Payment, event: notify.Event, *, full_phone: bool) -> Told:
    document = told_document(payment, full_phone=full_phone)
    return Told(
        id=event_name(taken.event_id),
        type=taken.event_type,
        at=str(moment(event.at)),
        livemode=payment.livemode,
        sequence=payment.event_count,
        data={"payment": document, "event": event_document(event)},
    )


def _of_entry(taken: Taken, entry: AuditEntry) -> Told:
    credential = parse_public_id(entry.subject, "crd")
    rows = MpesaCredential.objects.filter(pk=credential) if credential else ()
    return Told(
        id=event_name(taken.event_id),
        type=taken.event_type,
        at=str(moment(entry.at)),
        livemode=any(row.livemode for row in rows),
        sequence=1,
        data={"subject": entry.subject, **entry.detail},
    )


def _of_test(taken: Taken) -> Told:
    return Told(
        id=event_name(taken.event_id),
        type=taken.event_type,
        at=str(moment(taken.created_at or hours.now())),
        livemode=False,
        sequence=1,
        data=webhooks.sample(taken.event_type),
    )
