"""What follows from a batch of evidence: events, customers, grants, deliveries, doubts.

All of it is the difference between what was known of a payment before and what is known now, and
all of it becomes rows of the same transaction.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Final
from uuid import UUID

from django.db import transaction

from milango import signals
from milango.core import payments as policy
from milango.core.payments import Outcome, Source, Standing, Status
from milango.core.results import result
from milango.models.ids import uuid7_bytes

from . import bell, grant, notify
from .rows import (
    DELIVERIES,
    DOUBTS,
    EVENTS,
    GRANTS,
    PAYMENTS,
    Changes,
    Payer,
    PaymentRow,
    RowOf,
)

if TYPE_CHECKING:
    from .settle import Case, Step
    from .store import Store

FINAL: Final = frozenset({Status.SUCCESS, Status.FAILED, Status.REVERSED, Status.VOIDED})
GONE: Final = frozenset({Status.REVERSED, Status.VOIDED})
"""Paid, perhaps, but the money is not the merchant's any more."""

EVENT_OF_STATUS: Final = {
    Status.PENDING: "payment.reopened",
    Status.SUCCESS: "payment.succeeded",
    Status.FAILED: "payment.failed",
    Status.REVERSED: "payment.reversed",
    Status.VOIDED: "payment.voided",
}

OWN_REASONS: Final = {"not_sent": "not_sent", "refused": "refused", "operator": "operator"}
"""Failures that M-Pesa has not told of, by our own code for them."""

EVENT_OF_PUSH: Final = {
    Outcome.ACCEPTED: "payment.prompted",
    Outcome.UNKNOWN: "payment.unanswered",
}

TAKEN_BACK: Final = "taken_back"
"""The doubt about a sale whose money went back: what was sold for it may be with the payer."""

OWN_DOUBTS: Final = frozenset({"unresolved"})
"""Doubts that say that asking has not helped: they are no reason to ask."""

ATTENTION_TO: Final = "merchant"
"""Who owns a doubt until somebody takes it."""


def record(rows: Store, cases: list[Case]) -> Changes:
    """Everything that the batch writes beside what arrived."""
    _claim_orders(rows, cases)
    _link_customers(rows, cases)
    changes = Changes()
    events: list[notify.Event] = []
    grants: list[RowOf] = []
    doubts: list[RowOf] = []
    deliveries: list[RowOf] = []
    for case in cases:
        payment, at, status = case.payment, case.steps[-1].item.observed_at, case.status
        _write_columns(case, status, at)
        _schedule(case, status, at)
        if case.newly_paid and (sold := grant.sell_time(payment, at)):
            grants.append(sold)
        due = _due_to_a_person(case)
        doubts += _doubts(case, due, at)
        told = _events(case, due)
        events += told
        if told:
            changes.rang.append(payment.id)
        if payment.subscribed:
            deliveries += notify.deliveries(told, payment.subscribed)
        if status in FINAL or payment.confirming:
            changes.phones_freed.append(payment.id)
        if status in GONE:
            changes.grants_revoked.append((payment.id, at))
            changes.orders_freed.append((payment.merchant_id, payment.order_id, payment.id))
        changes.payments.append(_columns(payment, at))
    changes.inserts = [
        (EVENTS, [event.row() for event in events]),
        (GRANTS, grants),
        (DELIVERIES, deliveries),
        (DOUBTS, doubts),
    ]
    return changes


def ring(payment_ids: list[UUID]) -> None:
    """Tell whoever waits in this process, and the host project, after the commit."""
    if payment_ids:
        transaction.on_commit(lambda: bell.ring(payment_ids), robust=True)
        transaction.on_commit(lambda: signals.announce(payment_ids), robust=True)


_updated: Final = attrgetter(*PAYMENTS.columns[:-1])


def _columns(payment: PaymentRow, at: datetime) -> RowOf:
    return (*_updated(payment), at)


# --- whose order, whose phone ---------------------------------------------------------------


def _claim_orders(rows: Store, cases: list[Case]) -> None:
    """The first success takes its order; a second one is a duplicate that is due back."""
    won = [case for case in cases if case.payment.order_id and case.newly_paid]
    if not won:
        return
    paid = [case.payment for case in sorted(won, key=lambda case: case.paid_by or 0)]
    # A stable sort: of two payments of one order, the one that was proven first stays first.
    in_order = sorted(paid, key=lambda payment: (payment.merchant_id, payment.order_id))
    winners = rows.claim_orders([(p.merchant_id, p.order_id, p.id) for p in in_order])
    for payment in paid:
        first = winners[(payment.merchant_id, payment.order_id)]
        payment.duplicate_of_id = None if first == payment.id else first


def _payer(case: Case) -> str:
    """The number that paid, where somebody named it whole; otherwise the one that was prompted."""
    return case.standing.payer[1] or case.payment.phone


def _link_customers(rows: Store, cases: list[Case]) -> None:
    paid = [case for case in cases if case.newly_paid]
    if not paid:
        return
    wanted: dict[Payer, RowOf] = {}
    for case in paid:
        merchant, phone, at = (
            case.payment.merchant_id,
            _payer(case),
            case.steps[-1].item.observed_at,
        )
        wanted[merchant.int, phone] = (uuid7_bytes(), merchant, phone, at)
    known = rows.customers([wanted[payer] for payer in sorted(wanted)])
    for case in paid:
        case.payment.customer_id = known[case.payment.merchant_id.int, _payer(case)]


# --- events ---------------------------------------------------------------------------------


def _events(case: Case, due: frozenset[str]) -> list[notify.Event]:
    """Step by step, so that a batch tells what single pieces would have told."""
    return [
        notify.next_event(case.payment, kind, step.item.observed_at, data)
        for step in case.steps
        for kind, data in _told(case, step, due)
    ]


def _told(case: Case, step: Step, due: frozenset[str]) -> Iterable[tuple[str, dict[str, object]]]:
    item, was, now = step.item, step.was, step.now
    if item.source is Source.PUSH and item.outcome in EVENT_OF_PUSH and ":" not in step.verdict:
        yield EVENT_OF_PUSH[item.outcome], {}
    if step.after is step.before:
        return
    for kind in sorted(step.after.all_doubts - step.before.all_doubts):
        yield "payment.flagged", {"doubt": kind}
    if due and _is_sale(step):
        # Before the success itself: a stream ends with it.
        for kind in sorted(due - {TAKEN_BACK}):
            yield "payment.flagged", {"doubt": kind}
    if _is_taken_back(step):
        yield "payment.flagged", {"doubt": TAKEN_BACK}
    if now.is_confirming and not was.is_confirming:
        yield "payment.confirming", {"source": item.source.value}
    if was.status is not now.status:
        yield EVENT_OF_STATUS[now.status], _details(case, step)
    elif now.status is Status.SUCCESS and step.after.receipt and not step.before.receipt:
        # A query proved it, and now its receipt is known as well.
        yield "payment.receipt_found", _details(case, step)


def _details(case: Case, step: Step) -> dict[str, object]:
    """What a timeline tells of a change: who said so, and what became known."""
    return {"source": step.item.source.value, **_facts(case, step)}


def _facts(case: Case, step: Step) -> dict[str, object]:
    if step.now.status is Status.FAILED:
        return {"reason": _reason(step.after), "result_code": step.after.failure[1]}
    if step.now.status is Status.SUCCESS:
        failed = step.was.status is Status.FAILED
        late = {"late": True, "failed_before": _reason(step.before)} if failed else {}
        duplicate = case.payment.duplicate_of_id
        second = {"duplicate_of": f"pay_{duplicate.hex}"} if duplicate else {}
        return {"receipt_number": step.after.receipt, **late, **second}
    return {}


def _reason(standing: Standing) -> str:
    code = standing.failure[1]
    if _is_refusal_of_daraja(code):
        return OWN_REASONS.get(code, "refused")
    return result(code).reason.value


def _was_late(case: Case) -> bool:
    return any(
        step.was.status is Status.FAILED and step.now.status is Status.SUCCESS
        for step in case.steps
    )


def _is_refusal_of_daraja(code: str) -> bool:
    """Daraja's own error codes read `400.002.02`; M-Pesa's result codes have no dots."""
    return "." in code or code in OWN_REASONS


# --- the payment's own columns --------------------------------------------------------------


def _write_columns(case: Case, status: Status, at: datetime) -> None:
    payment, standing = case.payment, case.standing
    payment.standing = policy.encode_standing(standing)
    payment.confirming = case.judged.is_confirming
    payment.status = status.value
    payment.late = payment.late or _was_late(case)
    payment.merchant_request_id = payment.merchant_request_id or _merchant_request_id(case)
    payment.settled_at = None if status is Status.PENDING else payment.settled_at or at
    failed = status is Status.FAILED
    payment.reason = _reason(standing) if failed else ""
    payment.result_code = standing.failure[1] if failed else ""
    payment.result_text = standing.failure[2][:255] if failed else ""
    if case.judged.is_paid:
        _write_money(case)


def _write_money(case: Case) -> None:
    payment, standing = case.payment, case.standing
    payment.amount_paid = payment.amount
    payment.receipt_number = standing.receipt
    payment.result_code = "0"
    paid_at = standing.paid_at[1]
    payment.transaction_date = datetime.fromisoformat(paid_at) if paid_at else None


def _merchant_request_id(case: Case) -> str:
    if not case.payment.checkout_request_id:
        return ""
    for step in case.steps:
        if step.item.merchant_request_id and not step.verdict.startswith("doubt"):
            return step.item.merchant_request_id
    return ""


def _schedule(case: Case, status: Status, at: datetime) -> None:
    """When Daraja is asked to turn a claim, or a contradiction, into knowledge: at once.

    What nobody has said anything about is noticed by the reconciler.
    """
    payment, standing = case.payment, case.standing
    if status in FINAL and not payment.confirming:
        payment.next_check_at = None
        return
    doubts = (standing.all_doubts - case.before.all_doubts) - OWN_DOUBTS
    if doubts or standing.claims != case.before.claims:
        payment.checks = 0
        payment.next_check_at = at


# --- what a person has to look at -----------------------------------------------------------


NONE_DUE: Final = frozenset[str]()


def _due_to_a_person(case: Case) -> frozenset[str]:
    """What a success, or its end, leaves for a person beside what its evidence contradicts."""
    back = frozenset({TAKEN_BACK}) if any(map(_is_taken_back, case.steps)) else NONE_DUE
    return back | _due_after_a_sale(case)


def _due_after_a_sale(case: Case) -> frozenset[str]:
    payment = case.payment
    if not case.newly_paid or not any(map(_is_sale, case.steps)):
        return NONE_DUE
    kinds = NONE_DUE
    if payment.late or payment.duplicate_of_id:
        kinds |= {"refund_due"}
    if grant.sold_nothing(payment):
        kinds |= {"tariff_unreadable"}
    return kinds


def _is_sale(step: Step) -> bool:
    """By this piece of evidence it was paid, and the merchant has the money."""
    return step.now.status is Status.SUCCESS and not step.was.is_paid


def _is_taken_back(step: Step) -> bool:
    """The merchant had the money. Whoever says so by hand knows already."""
    went = step.was.status is Status.SUCCESS and step.now.status is Status.REVERSED
    return went and step.item.source is not Source.OPERATOR


def _doubts(case: Case, due: frozenset[str], at: datetime) -> Iterable[RowOf]:
    payment = case.payment
    kinds = due.union(*(step.after.all_doubts - step.before.all_doubts for step in case.steps))
    return [
        (
            uuid7_bytes(),
            payment.merchant_id,
            payment.id,
            kind,
            payment.amount,
            ATTENTION_TO,
            at,
            "",
        )
        for kind in sorted(kinds)
    ]
