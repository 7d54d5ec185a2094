"""Add and change what Daraja gave a merchant: every change is a version, audited and announced."""

from __future__ import annotations

from typing import Any, Final

from django.db import IntegrityError, transaction

from milango.core import references
from milango.core.errors import InvalidRequest
from milango.models import Merchant, MpesaCredential, WebhookDelivery, WebhookEndpoint

from . import audit, hours

SECRETS: Final = ("consumer_key", "consumer_secret", "passkey")
CHANGED: Final = "credential.changed"


def add_credential(merchant: Merchant, *, actor: str, **fields: Any) -> MpesaCredential:
    """Store a new short code of the merchant.

    Raises InvalidRequest, naming the field, when the numbers do not fit together.
    """
    return store_credential(MpesaCredential(merchant=merchant, **fields), actor=actor)


def store_credential(credential: MpesaCredential, *, actor: str) -> MpesaCredential:
    """`add_credential` for a row that a form has filled in already."""
    check(credential)
    try:
        with transaction.atomic():
            credential.save(force_insert=True)
            _announce(credential, actor, "credential.added", list(SECRETS))
    except IntegrityError:
        message = f"The short code {credential.short_code} is already registered there."
        raise InvalidRequest(message, field="short_code") from None
    return credential


def change_credential(credential: MpesaCredential, *, actor: str, **fields: Any) -> MpesaCredential:
    """Change some fields of a credential; prompts already sent keep their version."""
    for name, value in fields.items():
        setattr(credential, name, value)
    check(credential)
    with transaction.atomic():
        credential.save()
        _announce(credential, actor, CHANGED, sorted(fields))
    return credential


def check(credential: MpesaCredential) -> None:
    """Raise InvalidRequest when the numbers of a paybill or till do not fit together."""
    credential.short_code = references.short_code(credential.short_code)
    if credential.kind == MpesaCredential.Kind.TILL:
        if not credential.store_number:
            message = "A till needs its store (or head-office) number: the passkey belongs to it."
            raise InvalidRequest(message, field="store_number")
        credential.store_number = references.short_code(credential.store_number)
    elif credential.store_number:
        message = "A paybill has no store number; leave it empty."
        raise InvalidRequest(message, field="store_number")
    for name in SECRETS:
        if not (getattr(credential, name) or "").strip():
            raise InvalidRequest(f"{name} must not be empty.", field=name)


def _announce(credential: MpesaCredential, actor: str, action: str, names: list[str]) -> None:
    """Audit the change, and tell the merchant's own endpoints."""
    entry = audit.record(
        actor,
        action,
        credential.public_id,
        merchant=credential.merchant,
        fields=names,
        version=credential.version,
    )
    endpoints = WebhookEndpoint.objects.filter(merchant=credential.merchant, active=True)
    WebhookDelivery.objects.bulk_create(
        WebhookDelivery(
            endpoint=endpoint,
            merchant=credential.merchant,
            event_id=entry.id,
            event_type=CHANGED,
            next_attempt_at=hours.now(),
        )
        for endpoint in endpoints
        if endpoint.wants(CHANGED)
    )
