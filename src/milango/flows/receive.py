"""Take in a callback: check its token in memory, keep its bytes, settle, and only then answer."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.utils import timezone

from milango import sealing
from milango.conf import conf
from milango.core import signing
from milango.core.errors import Declined
from milango.core.payments import Evidence, Original
from milango.daraja.callbacks import evidence_from
from milango.daraja.security import is_listed
from milango.models import InboundCallback, Payment

from .counters import count_or_decline
from .settle import Settled, settle_many

logger = logging.getLogger(__name__)

BODY_LIMIT: Final = 65_536
"""Bytes. A longer callback is refused with 413."""

KEPT_HEADERS: Final = ("content-type", "businessshortcode", "user-agent", "x-request-id")

ORPHANS_A_DAY: Final = (1_000, 86_400)
"""Callbacks with a token of ours but without a payment (a restored backup): kept up to here."""


def receive_stk(token: str, body: bytes, headers: Mapping[str, str], peer: str) -> Settled | None:
    """Store and settle one STK callback. None: the token is not ours (404).

    Raises Declined `database_unavailable` (503: the callback is not stored, do not answer 200).
    """
    payment_id = signing.open_callback_token(token, sealing.key_finder("callback"))
    if payment_id is None:
        return None
    now = timezone.now()
    original = _original(token, body, headers, peer, now)
    evidence = evidence_from(
        body,
        payment_id=payment_id,
        listed=_is_listed(peer),
        observed_at=now,
        original=original,
    )
    return settle_received(evidence)


def _original(
    token: str, body: bytes, headers: Mapping[str, str], peer: str, now: datetime
) -> Original:
    kept = {name: value[:255] for name, value in headers.items() if name.lower() in KEPT_HEADERS}
    return Original(
        body=body,
        headers=kept,
        peer=peer,
        received_at=now,
        sha256=hashlib.sha256(body).hexdigest(),
        token_hash=signing.token_hash(token),
    )


def _is_listed(peer: str) -> bool:
    return is_listed(peer, conf().callback_sources)


def settle_received(evidence: Evidence) -> Settled:
    """Settle one callback; try a lost race once more; keep what cannot be settled for a person."""
    try:
        return _settle_once(evidence)
    except (OperationalError, InterfaceError) as error:
        return _settle_again(evidence, error)
    except DatabaseError as error:
        return _keep_poisoned(evidence, error)


def _settle_once(evidence: Evidence) -> Settled:
    with transaction.atomic(durable=True):
        (settled,) = settle_many([evidence])
        if settled.verdict == "orphan":
            count_or_decline("orphans", ORPHANS_A_DAY, evidence.observed_at)
    return settled


def _settle_again(evidence: Evidence, first: Exception) -> Settled:
    """A deadlock or a serialization failure is worth one more try; a lost connection is not."""
    if getattr(first.__cause__, "sqlstate", "") not in {"40001", "40P01"}:
        raise _unavailable(first)
    try:
        return _settle_once(evidence)
    except DatabaseError as error:
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> Declined:
    logger.error("callback not stored: %s", type(error).__name__)
    message = "The database cannot take the callback now. It is not stored."
    return Declined("database_unavailable", message, retry_after=5)


def _keep_poisoned(evidence: Evidence, error: Exception) -> Settled:
    """Safaricom does not repeat itself, so an error answer would lose the bytes for nothing."""
    logger.error("callback kept unsettled: %s", type(error).__name__)
    original = evidence.original
    assert original is not None
    payment = Payment.objects.filter(pk=evidence.payment_id).first()
    with transaction.atomic(durable=True):
        InboundCallback.objects.bulk_create(
            [
                InboundCallback(
                    payment=payment,
                    merchant_id=payment.merchant_id if payment else None,
                    body=original.body,
                    body_sha256=original.sha256,
                    headers=original.headers,
                    peer=original.peer,
                    verdict="poisoned",
                    received_at=original.received_at,
                )
            ],
            ignore_conflicts=True,
        )
    return Settled(evidence.payment_id, "poisoned", None)
