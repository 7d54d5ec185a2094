"""Take in a callback: check its token in memory, keep its bytes, settle, and only then answer."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Final
from uuid import UUID

from django.db import transaction

from milango import sealing
from milango.conf import Conf, conf
from milango.core import signing
from milango.core.payments import Evidence, Original
from milango.daraja.callbacks import evidence_from
from milango.daraja.security import is_listed
from milango.models import Payment

from . import batches, hours, originals
from . import rows as tables
from .batches import Verb
from .counters import count_or_decline
from .settle import Settled, settle_many
from .store import store

BODY_LIMIT: Final = 65_536
"""Bytes. A longer callback is refused with 413."""

TAKEN: Final = {"ResultCode": 0, "ResultDesc": "Accepted"}
"""What Daraja wants to hear: the callback arrived. It says nothing about what was in it."""

CONFIRMED: Final = {"ResultCode": 0, "ResultDesc": "Success"}
"""The same, for C2B confirmations."""

KEPT_HEADERS: Final = ("content-type", "businessshortcode", "user-agent", "x-request-id")

ORPHANS_A_DAY: Final = (1_000, 86_400)
"""Callbacks with a token of ours but without a payment (a restored backup): kept up to here."""


def payment_of(token: str) -> UUID | None:
    """The payment whose callbacks come to this address. None: the token is not ours (404).

    In memory alone, so that a flood of made-up tokens reaches neither queue nor database; and
    before the body, so that none of theirs is waited for.
    """
    return signing.open_callback_token(token, sealing.key_finder("callback"))


def read_stk(
    token: str, body: bytes, headers: dict[str, str], peer: str, now: datetime | None = None
) -> Evidence | None:
    """What a callback says, with its original. None: the token is not ours (404).

    `headers` are those to be kept, by their names in lowercase.
    """
    payment_id = payment_of(token)
    if payment_id is None:
        return None
    now = now or hours.now()
    original = original_of(token, body, headers, peer, now)
    return evidence_of(payment_id, original, is_listed_peer(peer), now)


def original_of(
    token: str, body: bytes, headers: dict[str, str], peer: str, now: datetime
) -> Original:
    """What arrived, as it is kept; of the token only its hash."""
    return Original(
        body=body,
        headers=headers,
        peer=peer,
        received_at=now,
        sha256=hashlib.sha256(body).hexdigest(),
        token_hash=signing.token_hash(token),
    )


def evidence_of(payment_id: UUID, original: Original, listed: bool, now: datetime) -> Evidence:
    """What a callback says, from its original. Never raises.

    It counts from `now` on, not from when it came: old bytes must not sell minutes that are over.
    """
    return evidence_from(
        original.body,
        payment_id=payment_id,
        listed=listed,
        observed_at=now,
        original=original,
    )


def is_listed_peer(peer: str) -> bool:
    """Whether callbacks of Daraja come from this address."""
    return _is_listed(peer, conf())


@lru_cache(maxsize=4096)
def _is_listed(peer: str, settings: Conf) -> bool:
    """Few addresses send many callbacks."""
    return is_listed(peer, settings.callback_sources)


def receive_stk(token: str, body: bytes, headers: dict[str, str], peer: str) -> Settled | None:
    """Store and settle one STK callback. None: the token is not ours (404).

    Raises Declined `database_unavailable` (503: the callback is not stored, do not answer 200).
    """
    evidence = read_stk(token, body, headers, peer)
    if evidence is None:
        return None
    (outcome,) = batches.run(EVIDENCE, [evidence])
    if isinstance(outcome, Settled):
        return outcome
    raise outcome


def keep_poisoned(original: Original, kind: str, named_id: UUID) -> None:
    """Keep a body that names no payment and that cannot be processed, for a person.

    Safaricom does not repeat itself, so an error answer would lose the bytes for nothing.
    """
    with transaction.atomic(durable=True):
        row = originals.row_of(original, kind, "poisoned", named_id, None)
        store().insert(tables.ORPHANS, [row])


def _settle(evidence: Sequence[Evidence]) -> list[Settled]:
    """Settle callbacks; those without a payment are counted, and kept up to a limit."""
    settled = settle_many(evidence)
    for item, outcome in zip(evidence, settled, strict=True):
        if outcome.verdict == "orphan" and item.original:
            count_or_decline("orphans", ORPHANS_A_DAY, item.observed_at)
    return settled


def _keep_poisoned(evidence: Evidence, error: Exception) -> Settled:
    """Safaricom does not repeat itself, so an error answer would lose the bytes for nothing."""
    if evidence.original is None:
        raise error
    owner = Payment.objects.filter(pk=evidence.payment_id).values_list("merchant_id").first()
    known = evidence.payment_id if owner else None
    row = originals.poisoned_row(
        evidence.original, evidence.payment_id, known, owner[0] if owner else None
    )
    with transaction.atomic(durable=True):
        store().insert(tables.POISONED if known else tables.ORPHANS, [row])
    return Settled(evidence.payment_id, "poisoned", None)


EVIDENCE: Final = Verb("evidence", _settle, attrgetter("payment_id.int"), _keep_poisoned)
"""Settle evidence, together; keep callbacks that cannot be settled for a person."""
