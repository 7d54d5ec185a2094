"""Who changed what, in a chain that cannot be edited without the installation's keys."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone

from milango import sealing
from milango.models import AuditEntry, Installation, Merchant


def record(
    actor: str, action: str, subject: str, *, merchant: Merchant | None = None, **detail: Any
) -> AuditEntry:
    """Append an entry. `detail` names what changed, never a secret's value."""
    with transaction.atomic():
        # One writer at a time: the installation's row is the lock of the whole chain.
        list(Installation.objects.select_for_update().filter(pk=1))
        last = AuditEntry.objects.order_by("-number").first()
        entry = AuditEntry(
            merchant=merchant,
            number=last.number + 1 if last else 1,
            actor=actor[:80],
            action=action,
            subject=subject[:80],
            detail=detail,
            at=timezone.now(),
        )
        entry.mac = _mac(entry, last.mac if last else "", sealing.current_key_id())
        entry.save(force_insert=True)
    return entry


def first_broken() -> AuditEntry | None:
    """The first entry that was edited, or that follows a missing one; None: the chain is whole."""
    previous = ""
    for number, entry in enumerate(AuditEntry.objects.order_by("number").iterator(), start=1):
        kid = entry.mac[:2]
        if entry.number != number or not hmac.compare_digest(entry.mac, _mac(entry, previous, kid)):
            return entry
        previous = entry.mac
    return None


def _mac(entry: AuditEntry, previous: str, kid: str) -> str:
    said = [
        previous,
        entry.number,
        entry.id.hex,
        str(entry.merchant_id),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        entry.at.isoformat(),
    ]
    message = msgspec.json.encode(said, order="deterministic")
    key = sealing.derive("audit", kid)
    return kid + hmac.new(key, message, hashlib.sha256).hexdigest()[:62]
