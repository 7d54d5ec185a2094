"""The one room in which a payment changes: weigh evidence, and record what follows from it.

Three steps, for a whole batch in one transaction: *bind* (which payment owns which
CheckoutRequestID, receipt and order: write-once rows, decided by the database), *weigh* (pure,
`core.payments`), *effects* (`flows.effects`: rows beside the status). Everything is decided here,
on plain rows; only the two stores know SQL. Locks are taken in one order everywhere: payments by
id, receipts, orders, customers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from hmac import compare_digest
from typing import Final
from uuid import UUID

import msgspec
from django.db import transaction

from milango.conf import conf
from milango.core import payments as policy
from milango.core.payments import Asked, Evidence, Source, Standing, Status

from . import effects, originals
from .rows import PaymentRow, ReceiptKey
from .store import Store, store

Owners = dict[ReceiptKey, UUID | None]

MOST_BODIES: Final = 20
"""Callbacks of one payment that are taken from addresses which are not Safaricom's (B1)."""


class Settled(msgspec.Struct, frozen=True):
    """What became of one piece of evidence."""

    payment_id: UUID
    verdict: str
    """`settled`, `confirming`, `noted`, `duplicate`, `orphan`, `too_many` or `doubt:<kind>`."""
    status: Status | None
    payment: PaymentRow | None = None
    """The payment as it stands afterwards; None for an orphan."""


class Case:
    """One payment of the batch, locked, with what arrived for it."""

    __slots__ = (
        "arrivals",
        "asked",
        "before",
        "is_confirming",
        "is_paid",
        "payment",
        "refused",
        "standing",
        "status",
        "verdicts",
        "was_paid",
    )

    def __init__(self, payment: PaymentRow, confirm_above: Decimal) -> None:
        self.payment = payment
        self.arrivals: list[Evidence] = []
        self.refused: set[int] = set()
        self.before = policy.decode_standing(payment.standing)
        self.verdicts: list[str] = []
        self.asked = Asked(
            amount=payment.amount,
            phone=payment.phone,
            asked_at=payment.created_at,
            prompt_until=payment.prompt_until,
            checkout_request_id=payment.checkout_request_id,
            live=payment.livemode,
            confirm_above=confirm_above,
        )
        self.stand(self.before)
        self.was_paid = self.is_paid

    def stand(self, standing: Standing) -> None:
        """Take a standing, and derive from it what is asked for again and again."""
        self.standing = standing
        self.status, self.is_paid, self.is_confirming = policy.judge(standing, self.asked)

    @property
    def newly_paid(self) -> bool:
        """It was paid, whatever became of the money: a reversal may outrun the success."""
        return self.is_paid and not self.was_paid

    def receipt_key(self, code: str) -> ReceiptKey:
        return ReceiptKey(self.payment.environment, self.payment.party_b, code)


def settle_many(evidence: Sequence[Evidence]) -> list[Settled]:
    """Weigh a batch of evidence and record what follows, in one transaction.

    Evidence of one payment is folded in the order given. Returns one `Settled` for each piece,
    in the same order. Raises the database's own errors; nothing is recorded then.
    """
    rows = store()
    with transaction.atomic(savepoint=False):
        ids = sorted({item.payment_id for item in evidence})
        cases = _open_cases(rows.open(ids), evidence)
        _bind_checkout_ids(rows, list(cases.values()))
        _fold_and_claim_receipts(rows, list(cases.values()))
        changed = [case for case in cases.values() if case.arrivals]
        changes = effects.record(rows, changed)
        settled = _verdicts(evidence, cases)
        changes.inserts += originals.tables(evidence, settled)
        rows.write(changes)
    effects.ring(changes.rang)
    return settled


# --- open -----------------------------------------------------------------------------------


def _open_cases(payments: list[PaymentRow], evidence: Sequence[Evidence]) -> dict[UUID, Case]:
    default = conf().confirm_above
    cases = {
        payment.id: Case(
            payment, default if payment.confirm_above is None else payment.confirm_above
        )
        for payment in payments
    }
    for item in evidence:
        case = cases.get(item.payment_id)
        if case is None or not _belongs(item, case.payment):
            continue
        if _has_room(item, case.payment):
            case.arrivals.append(item)
        else:
            case.refused.add(id(item))
    return cases


def _has_room(item: Evidence, payment: PaymentRow) -> bool:
    """Whoever knows the address may post to it, but not for ever (B1). Listed peers may."""
    if item.original is None or item.listed:
        return True
    payment.bodies += 1
    return payment.bodies <= MOST_BODIES


def _belongs(item: Evidence, payment: PaymentRow) -> bool:
    """A callback's token is the one of this payment, not merely one that we signed."""
    original = item.original
    return original is None or compare_digest(original.token_hash, payment.callback_token_hash)


# --- bind -----------------------------------------------------------------------------------


def _bind_checkout_ids(rows: Store, cases: list[Case]) -> None:
    """The first evidence that may name the prompt binds its id; a used id becomes a doubt."""
    wanted = {case.payment.id: _first_id(case) for case in cases if not _bound(case)}
    named = {
        (case.payment.credential_id, checkout_id)
        for case in cases
        if (checkout_id := wanted.get(case.payment.id))
    }
    if not named:
        return
    used = rows.used_checkout_ids(named)
    for case in cases:
        checkout_id = wanted.get(case.payment.id)
        if not checkout_id:
            continue
        key = (case.payment.credential_id, checkout_id)
        if key in used:
            case.arrivals = [_mark_used(item, checkout_id) for item in case.arrivals]
        else:
            used.add(key)
            case.payment.checkout_request_id = checkout_id
            case.asked = msgspec.structs.replace(case.asked, checkout_request_id=checkout_id)


def _bound(case: Case) -> bool:
    return case.asked.checkout_request_id is not None


def _first_id(case: Case) -> str | None:
    for item in case.arrivals:
        if item.checkout_request_id and _may_bind(item, case.asked):
            return item.checkout_request_id
    return None


def _may_bind(item: Evidence, asked: Asked) -> bool:
    by_push = item.source is Source.PUSH
    by_callback = item.source is Source.CALLBACK and (item.listed or not asked.live)
    return (by_push or by_callback) and not policy.weigh(item, asked).doubts


def _mark_used(item: Evidence, checkout_id: str) -> Evidence:
    if item.checkout_request_id != checkout_id:
        return item
    return msgspec.structs.replace(item, problem="other_checkout_id")


# --- weigh ----------------------------------------------------------------------------------


def _fold_and_claim_receipts(rows: Store, cases: list[Case]) -> None:
    """Fold, claim the receipts that are proven, and fold again where a claim was lost."""
    earlier = {code for case in cases for _, code in case.before.receipts}
    owners = rows.receipts(earlier) if earlier else {}
    _fold_all(cases, owners)
    # Who owns a receipt that is about to be claimed, the claim itself will tell.
    if others := {code for case in cases for code in _mentioned(case)} - earlier:
        owners |= rows.receipts(others)
        _fold_all(cases, owners)
    while _claim_receipts(rows, cases, owners):
        _fold_all(cases, owners)


def _fold_all(cases: list[Case], owners: Owners) -> None:
    for case in cases:
        _fold(case, owners)


def _mentioned(case: Case) -> set[str]:
    """Receipts that arrived and will not be claimed."""
    codes = {item.receipt for item in case.arrivals if item.receipt}
    return codes - {case.standing.receipt} if case.is_paid else codes


def _fold(case: Case, owners: Owners) -> None:
    start = _without_lost_receipts(case, owners)
    if start is not case.standing:
        case.stand(start)
    case.verdicts = []
    for item in case.arrivals:
        taken = bool(item.receipt) and _is_taken(case, item.receipt or "", owners)
        case.verdicts.append(_add(case, policy.weigh(item, case.asked, taken=taken)))


def _add(case: Case, added: Standing) -> str:
    """Join what one piece of evidence adds; returns its verdict."""
    before, was = case.standing, case.status
    joined = before.join(added)
    if joined != before:
        case.stand(joined)
    if added.doubts:
        return f"doubt:{min(added.doubts)}"
    if joined == before:
        return "duplicate"
    if case.status is not was:
        return "settled"
    return "confirming" if case.is_confirming else "noted"


def _is_taken(case: Case, code: str, owners: Owners) -> bool:
    owner = owners.get(case.receipt_key(code))
    return owner is not None and owner != case.payment.id


def _without_lost_receipts(case: Case, owners: Owners) -> Standing:
    """A claim reserves no receipt: meanwhile another payment may have proven the same one."""
    before = case.before
    lost = {code for _, code in before.receipts if _is_taken(case, code, owners)}
    if not lost:
        return before
    return msgspec.structs.replace(
        before,
        receipts=frozenset(pair for pair in before.receipts if pair[1] not in lost),
        claims=frozenset(claim for claim in before.claims if claim.receipt not in lost),
        doubts=before.doubts | {"receipt_taken"},
    )


def _claim_receipts(rows: Store, cases: list[Case], owners: Owners) -> bool:
    """Write a Receipt row for what is proven. True when some claim was lost to another payment."""
    wanted: dict[ReceiptKey, Case] = {}
    lost = False
    for case in cases:
        code = case.standing.receipt
        if not code or not case.is_paid:
            continue
        key = case.receipt_key(code)
        if owners.get(key) == case.payment.id:
            continue
        lost = lost or key in wanted
        wanted.setdefault(key, case)
    if not wanted:
        return False
    owners |= rows.claim_receipts([_receipt_row(key, wanted[key]) for key in sorted(wanted)])
    return lost or any(owners[key] != case.payment.id for key, case in wanted.items())


def _receipt_row(key: ReceiptKey, case: Case) -> tuple[object, ...]:
    last = case.arrivals[-1] if case.arrivals else None
    source = last.source if last else Source.CALLBACK
    at = last.observed_at if last else case.payment.created_at
    return (*key, case.payment.id, source.value, case.payment.amount, at)


# --- tell -----------------------------------------------------------------------------------


def _verdicts(evidence: Iterable[Evidence], cases: dict[UUID, Case]) -> list[Settled]:
    """Each piece's verdict, in the order in which the pieces came."""
    left = {payment_id: iter(case.verdicts) for payment_id, case in cases.items()}
    settled = []
    for item in evidence:
        case = cases.get(item.payment_id)
        if case is None or not _belongs(item, case.payment):
            settled.append(Settled(item.payment_id, "orphan", None))
        else:
            refused = id(item) in case.refused
            verdict = "too_many" if refused else next(left[item.payment_id])
            settled.append(Settled(item.payment_id, verdict, case.status, case.payment))
    return settled
