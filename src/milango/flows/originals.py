"""Callbacks as they arrived, byte for byte: the rows that keep them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar
from uuid import UUID

import msgspec

from milango.core.payments import Evidence, Original
from milango.models.ids import uuid7_bytes

from .rows import CALLBACKS, ORPHANS, RowOf, Table

if TYPE_CHECKING:
    from .settle import Settled

K = TypeVar("K")

REPLAYED: Final = frozenset({"poisoned", "orphan"})
"""Verdicts of what is tried again by itself: the database, or a restored payment, may take it."""

SOON: Final = timedelta(minutes=1)
"""When it is tried for the first time."""


def tables(
    evidence: Sequence[Evidence], settled: Sequence[Settled]
) -> list[tuple[Table, list[RowOf]]]:
    """What arrived with the evidence: for known payments, and for nobody's."""
    known: dict[tuple[int, str], Kept] = {}
    orphans: dict[str, Kept] = {}
    for item, outcome in zip(evidence, settled, strict=True):
        if item.original is None or outcome.verdict == "too_many":
            continue
        if outcome.payment is None:
            _keep(orphans, item.original.sha256, item.original, outcome)
        else:
            _keep(known, (item.payment_id.int, item.original.sha256), item.original, outcome)
    return [
        (CALLBACKS, [kept.row() for _, kept in sorted(known.items())]),
        (ORPHANS, [kept.unprocessed_row() for _, kept in sorted(orphans.items())]),
    ]


class Kept(msgspec.Struct):
    """One body, and how often it came again within the batch."""

    original: Original
    verdict: str
    payment_id: UUID | None
    merchant_id: UUID | None
    kind: str = "stk"
    named_id: UUID | None = None
    """What its address was made for: a payment, a credential or a question."""
    receipt: str | None = None
    repeats: int = 0

    def row(self) -> RowOf:
        original = self.original
        return (
            uuid7_bytes(),
            self.kind,
            self.payment_id,
            self.merchant_id,
            original.body,
            original.sha256,
            msgspec.json.encode(original.headers).decode(),
            original.peer,
            self.verdict,
            self.repeats,
            original.received_at,
        )

    def unprocessed_row(self) -> RowOf:
        """With what is needed to process it later, where that may help (see `flows.replay`)."""
        at = self.original.received_at + SOON if self.verdict in REPLAYED else None
        return (*self.row(), self.named_id, self.original.token_hash, at, self.receipt)


def _keep(bodies: dict[K, Kept], key: K, original: Original, outcome: Settled) -> None:
    found = bodies.get(key)
    if found:
        found.repeats += 1
        return
    payment = outcome.payment
    bodies[key] = Kept(
        original,
        outcome.verdict,
        payment.id if payment else None,
        payment.merchant_id if payment else None,
        named_id=outcome.payment_id,
    )


def poisoned_row(
    original: Original, named_id: UUID, payment_id: UUID | None, merchant_id: UUID | None
) -> RowOf:
    """A body that could not be settled, kept for later and for a person."""
    kept = Kept(original, "poisoned", payment_id, merchant_id, named_id=named_id)
    return kept.unprocessed_row()


def row_of(
    original: Original,
    kind: str,
    verdict: str,
    named_id: UUID,
    merchant_id: UUID | None,
    receipt: str | None = None,
) -> RowOf:
    """A body that names no payment of ours by its address: C2B, and results."""
    return Kept(original, verdict, None, merchant_id, kind, named_id, receipt).unprocessed_row()
