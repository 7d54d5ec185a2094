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
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import transaction

from milango.conf import conf
from milango.core import payments as policy
from milango.core.payments import Asked, Evidence, Judged, Source, Standing, Status

from . import effects, originals
from .rows import PaymentRow, ReceiptKey
from .store import Store, store

Owners = dict[ReceiptKey, UUID | None]

Cases = dict[int, "Case"]
"""By the payment's id as a number. UUIDs are hashed and compared by Python, numbers are not: in a
batch that is a tenth of all work."""

MOST_BODIES: Final = 20
"""Callbacks of one payment that are taken from addresses which are not Safaricom's."""


class Settled(msgspec.Struct, frozen=True):
    """What became of one piece of evidence."""

    payment_id: UUID
    verdict: str
    """`settled`, `confirming`, `noted`, `duplicate`, `orphan`, `too_many` or `doubt:<kind>`."""
    status: Status | None
    payment: PaymentRow | None = None
    """The payment as it stands afterwards; None for an orphan."""


class Step(NamedTuple):
    """What one piece of evidence changed about its payment."""

    item: Evidence
    verdict: str
    before: Standing
    was: Judged
    after: Standing
    now: Judged


class Case:
    """One payment of the batch, locked, with what arrived for it."""

    __slots__ = (
        "arrived",
        "asked",
        "before",
        "judged",
        "paid_by",
        "payment",
        "refused",
        "standing",
        "steps",
        "was_paid",
    )

    def __init__(self, payment: PaymentRow, confirm_above: Decimal) -> None:
        self.payment = payment
        self.arrived: dict[int, Evidence] = {}
        """By its place in the batch."""
        self.refused: set[int] = set()
        """Places of what is not taken any more."""
        self.paid_by: int | None = None
        """The place of the piece that proved it."""
        self.steps: list[Step] = []
        self.before = policy.decode_standing(payment.standing)
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
        self.was_paid = self.judged.is_paid

    def begin(self) -> None:
        """Go back to what was known before the batch."""
        if self.standing is not self.before:
            self.stand(self.before)
        self.steps = []
        self.paid_by = None

    def stand(self, standing: Standing) -> None:
        """Take a standing, and what follows from it."""
        self.standing = standing
        self.judged = policy.judge(standing, self.asked)

    @property
    def status(self) -> Status:
        return self.judged.status

    @property
    def newly_paid(self) -> bool:
        """It was paid, whatever became of the money: a reversal may outrun the success."""
        return self.judged.is_paid and not self.was_paid

    @property
    def arrivals(self) -> list[Evidence]:
        return list(self.arrived.values())

    def receipt_key(self, code: str) -> ReceiptKey:
        return ReceiptKey(self.payment.environment, self.payment.party_b, code)


def settle_many(evidence: Sequence[Evidence]) -> list[Settled]:
    """Weigh a batch of evidence and record what follows, in one transaction.

    Evidence of one payment is folded in the order given. Returns one `Settled` for each piece,
    in the same order. Raises the database's own errors; nothing is recorded then.
    """
    rows = store()
    with transaction.atomic(savepoint=False):
        ids = {item.payment_id.int: item.payment_id for item in evidence}
        cases = _open_cases(rows.open([ids[number] for number in sorted(ids)]), evidence)
        _bind_checkout_ids(rows, list(cases.values()))
        _fold_and_claim_receipts(rows, cases, evidence)
        changed = [case for case in cases.values() if case.steps]
        changes = effects.record(rows, changed)
        settled = _verdicts(evidence, cases)
        changes.inserts += originals.tables(evidence, settled)
        rows.write(changes)
    effects.ring(changes.rang)
    return settled


# --- open -----------------------------------------------------------------------------------


def _open_cases(payments: list[PaymentRow], evidence: Sequence[Evidence]) -> Cases:
    default = conf().confirm_above
    cases = {
        payment.id.int: Case(
            payment, default if payment.confirm_above is None else payment.confirm_above
        )
        for payment in payments
    }
    for index, item in enumerate(evidence):
        case = cases.get(item.payment_id.int)
        if case is None or not _belongs(item, case.payment):
            continue
        if _has_room(item, case.payment):
            case.arrived[index] = item
        else:
            case.refused.add(index)
    return dict(sorted(cases.items(), key=_first_arrival))


def _first_arrival(entry: tuple[int, Case]) -> int:
    return min(entry[1].arrived, default=0)


def _has_room(item: Evidence, payment: PaymentRow) -> bool:
    """Whoever knows the address may post to it, but not for ever. Listed peers may."""
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
            for index, item in case.arrived.items():
                case.arrived[index] = _mark_used(item, checkout_id)
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


def _fold_and_claim_receipts(rows: Store, cases: Cases, evidence: Sequence[Evidence]) -> None:
    """Fold in the order of arrival, claim what is proven, and fold again where a claim was lost.

    A batch ends as if its pieces had come one by one: whose proof came first has the receipt.
    """
    earlier = {code for case in cases.values() for _, code in case.before.receipts}
    owners = rows.receipts(earlier) if earlier else {}
    claims = _fold(cases, evidence, owners)
    # Who owns a receipt that is about to be claimed, the claim itself will tell.
    if others := _mentioned(cases.values()) - earlier - {key.code for key in claims}:
        owners |= rows.receipts(others)
        claims = _fold(cases, evidence, owners)
    while new := {
        key: case for key, case in claims.items() if key not in owners or not owners[key]
    }:
        owners |= rows.claim_receipts([_receipt_row(key, new[key]) for key in sorted(new)])
        if all(owners[key] == case.payment.id for key, case in new.items()):
            return
        claims = _fold(cases, evidence, owners)


def _mentioned(cases: Iterable[Case]) -> set[str]:
    return {item.receipt for case in cases for item in case.arrivals if item.receipt}


Claims = dict[ReceiptKey, Case]


def _fold(cases: Cases, evidence: Sequence[Evidence], owners: Owners) -> Claims:
    """Add everything that arrived to what was known; returns the receipts that are proven."""
    claims: Claims = {}
    for case in cases.values():
        case.begin()
    for index, arrived in enumerate(evidence):
        found = cases.get(arrived.payment_id.int)
        item = found.arrived.get(index) if found else None
        if found is None or item is None:
            continue
        before, was = found.standing, found.judged
        _drop_lost_receipts(found, owners, claims)
        taken = bool(item.receipt) and _is_taken(found, item.receipt or "", owners, claims)
        verdict = _add(found, policy.weigh(item, found.asked, taken=taken))
        found.steps.append(Step(item, verdict, before, was, found.standing, found.judged))
        if found.judged.is_paid and found.standing.receipt:
            claims.setdefault(found.receipt_key(found.standing.receipt), found)
        if found.newly_paid and found.paid_by is None:
            found.paid_by = index
    return claims


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
    return "confirming" if case.judged.is_confirming else "noted"


def _is_taken(case: Case, code: str, owners: Owners, claims: Claims) -> bool:
    key = case.receipt_key(code)
    owner = owners.get(key)
    if owner is None and key in claims:
        owner = claims[key].payment.id
    return owner is not None and owner != case.payment.id


def _drop_lost_receipts(case: Case, owners: Owners, claims: Claims) -> None:
    """A claim reserves no receipt: meanwhile another payment may have proven the same one."""
    known = case.standing
    lost = {code for _, code in known.receipts if _is_taken(case, code, owners, claims)}
    if lost:
        case.stand(
            msgspec.structs.replace(
                known,
                receipts=frozenset(pair for pair in known.receipts if pair[1] not in lost),
                claims=frozenset(claim for claim in known.claims if claim.receipt not in lost),
                doubts=known.doubts | {"receipt_taken"},
            )
        )


def _receipt_row(key: ReceiptKey, case: Case) -> tuple[object, ...]:
    last = case.steps[-1].item
    return (*key, case.payment.id, last.source.value, case.payment.amount, last.observed_at)


# --- tell -----------------------------------------------------------------------------------


def _verdicts(evidence: Sequence[Evidence], cases: Cases) -> list[Settled]:
    """Each piece's verdict, in the order in which the pieces came."""
    left = {number: iter(case.steps) for number, case in cases.items()}
    settled = []
    for index, item in enumerate(evidence):
        number = item.payment_id.int
        case = cases.get(number)
        if case is None or not _belongs(item, case.payment):
            settled.append(Settled(item.payment_id, "orphan", None))
        else:
            refused = index in case.refused
            verdict = "too_many" if refused else next(left[number]).verdict
            settled.append(Settled(item.payment_id, verdict, case.status, case.payment))
    return settled
