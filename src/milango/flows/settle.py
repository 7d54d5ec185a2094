"""The one room in which a payment changes: weigh evidence, and record what follows from it.

Three steps, for a whole batch in one transaction: *bind* (which payment owns which
CheckoutRequestID, receipt and order: write-once rows, decided by the database), *weigh* (pure,
`core.payments`), *effects* (events, customer, grant, deliveries, doubts: rows beside the status).
Locks are taken in one order everywhere: payments by id, receipts, orders, customers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from hmac import compare_digest
from typing import Final
from uuid import UUID

import msgspec
from django.db import connection, transaction
from django.db.models import F

from milango import signals
from milango.conf import conf
from milango.core import payments as policy
from milango.core.payments import Asked, Evidence, Outcome, Source, Standing, Status
from milango.core.results import result
from milango.core.schedule import first_check
from milango.models import (
    Customer,
    Doubt,
    InboundCallback,
    MpesaCredential,
    OpenPrompt,
    Payment,
    PaymentEvent,
    Receipt,
    SettledOrder,
)

from . import grant, notify

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

OWN_REASONS: Final = {"not_sent": "not_sent", "refused": "refused"}
"""Failures that M-Pesa never heard of, by our own code for them."""

EVENT_OF_PUSH: Final = {
    Outcome.ACCEPTED: "payment.prompted",
    Outcome.UNKNOWN: "payment.unanswered",
}

ATTENTION_TO: Final = "merchant"
"""Who owns a doubt until somebody takes it."""


class Settled(msgspec.Struct, frozen=True):
    """What became of one piece of evidence."""

    payment_id: UUID
    verdict: str
    """`settled`, `confirming`, `noted`, `duplicate`, `orphan` or `doubt:<kind>`."""
    status: Status | None


class Case:
    """One payment of the batch, locked, with what arrived for it."""

    def __init__(self, payment: Payment, confirm_above: Decimal) -> None:
        self.payment = payment
        self.arrivals: list[Evidence] = []
        self.before = policy.decode_standing(payment.standing)
        self.standing = self.before
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

    @property
    def status(self) -> Status:
        return policy.status_of(self.standing, self.asked)

    def receipt_key(self, code: str) -> tuple[str, str, str]:
        """A receipt is unique per environment and receiving short code (A3)."""
        return (self.payment.environment, self.payment.party_b, code)


ReceiptOwners = dict[tuple[str, str, str], UUID | None]


def settle_many(evidence: Sequence[Evidence]) -> list[Settled]:
    """Weigh a batch of evidence and record what follows, in one transaction.

    Evidence of one payment is folded in the order given. Returns one `Settled` for each piece,
    in the same order. Raises the database's own errors; nothing is recorded then.
    """
    with transaction.atomic():
        cases = _open_cases(evidence)
        _bind_checkout_ids(list(cases.values()))
        _fold_and_claim_receipts(list(cases.values()))
        _record(list(cases.values()))
        settled = _verdicts(evidence, cases)
        _keep_originals(evidence, settled, cases)
    return settled


# --- open -----------------------------------------------------------------------------------


def _open_cases(evidence: Sequence[Evidence]) -> dict[UUID, Case]:
    ids = sorted({item.payment_id for item in evidence})
    lockable = Payment.objects.select_related("merchant").filter(pk__in=ids).order_by("pk")
    rows = lockable.select_for_update(of=("self",), no_key=connection.vendor == "postgresql")
    payments = list(rows)
    limits = dict(
        MpesaCredential.objects.filter(pk__in={p.credential_id for p in payments}).values_list(
            "pk", "confirm_above"
        )
    )
    default = conf().confirm_above
    cases = {}
    for payment in payments:
        limit = limits.get(payment.credential_id)
        cases[payment.pk] = Case(payment, default if limit is None else limit)
    for item in evidence:
        case = cases.get(item.payment_id)
        if case and _belongs(item, case.payment):
            case.arrivals.append(item)
    return cases


def _belongs(item: Evidence, payment: Payment) -> bool:
    """A callback's token is the one of this payment, not merely one that we signed."""
    original = item.original
    return original is None or compare_digest(original.token_hash, payment.callback_token_hash)


# --- bind -----------------------------------------------------------------------------------


def _bind_checkout_ids(cases: list[Case]) -> None:
    """The first evidence that may name the prompt binds its id; a used id becomes a doubt."""
    wanted = {case.payment.pk: _first_id(case) for case in cases if not _bound(case)}
    named = {checkout_id for checkout_id in wanted.values() if checkout_id}
    if not named:
        return
    credentials = {case.payment.credential_id for case in cases}
    used = set(
        Payment.objects.filter(
            credential_id__in=credentials, checkout_request_id__in=named
        ).values_list("credential_id", "checkout_request_id")
    )
    for case in cases:
        checkout_id = wanted.get(case.payment.pk)
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


def _fold_and_claim_receipts(cases: list[Case]) -> None:
    """Fold, claim the receipts that are proven, and fold again where a claim was lost."""
    owners = _receipt_owners(cases)
    for case in cases:
        _fold(case, owners)
    while _claim_receipts(cases, owners):
        for case in cases:
            _fold(case, owners)


def _receipt_owners(cases: list[Case]) -> ReceiptOwners:
    codes = {item.receipt for case in cases for item in case.arrivals if item.receipt}
    codes |= {code for case in cases for _, code in case.before.receipts}
    if not codes:
        return {}
    rows = Receipt.objects.filter(code__in=codes)
    return {(row.environment, row.short_code, row.code): row.payment_id for row in rows}


def _fold(case: Case, owners: ReceiptOwners) -> None:
    case.standing = _without_lost_receipts(case, owners)
    case.verdicts = []
    for item in case.arrivals:
        taken = bool(item.receipt) and _is_taken(case, item.receipt or "", owners)
        added = policy.weigh(item, case.asked, taken=taken)
        joined = case.standing.join(added)
        case.verdicts.append(_verdict(case, added, joined))
        case.standing = joined


def _is_taken(case: Case, code: str, owners: ReceiptOwners) -> bool:
    owner = owners.get(case.receipt_key(code))
    return owner is not None and owner != case.payment.pk


def _without_lost_receipts(case: Case, owners: ReceiptOwners) -> Standing:
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


def _verdict(case: Case, added: Standing, joined: Standing) -> str:
    if added.doubts:
        return f"doubt:{min(added.doubts)}"
    if joined == case.standing:
        return "duplicate"
    if policy.status_of(joined, case.asked) != case.status:
        return "settled"
    return "confirming" if policy.is_confirming(joined, case.asked) else "noted"


def _claim_receipts(cases: list[Case], owners: ReceiptOwners) -> bool:
    """Write a Receipt row for what is proven. True when some claim was lost to another payment."""
    wanted: dict[tuple[str, str, str], Case] = {}
    lost = False
    for case in sorted(cases, key=lambda case: case.payment.pk):
        code = case.standing.receipt
        if not code or not policy.is_paid(case.standing, case.asked):
            continue
        key = case.receipt_key(code)
        if owners.get(key) == case.payment.pk:
            continue
        if key in wanted:
            lost = True
        wanted.setdefault(key, case)
    if not wanted:
        return False
    Receipt.objects.bulk_create(
        [_receipt_row(key, case) for key, case in sorted(wanted.items())], ignore_conflicts=True
    )
    for (environment, short_code, code), case in wanted.items():
        # A C2B line may have booked the receipt before its payment was known.
        Receipt.objects.filter(
            environment=environment, short_code=short_code, code=code, payment=None
        ).update(payment=case.payment)
    held = Receipt.objects.filter(code__in={code for _, _, code in wanted})
    for row in held:
        owners[(row.environment, row.short_code, row.code)] = row.payment_id
    return lost or any(owners[key] != case.payment.pk for key, case in wanted.items())


def _receipt_row(key: tuple[str, str, str], case: Case) -> Receipt:
    environment, short_code, code = key
    source = case.arrivals[-1].source if case.arrivals else Source.CALLBACK
    return Receipt(
        environment=environment,
        short_code=short_code,
        code=code,
        payment=case.payment,
        source=source,
        amount=case.payment.amount,
    )


# --- effects --------------------------------------------------------------------------------


def _record(cases: list[Case]) -> None:
    changed = [case for case in cases if case.arrivals]
    _claim_orders(changed)
    _link_customers(changed)
    events: list[PaymentEvent] = []
    grants = []
    for case in changed:
        at = case.arrivals[-1].observed_at
        events += _events(case, at)
        _write_columns(case, at)
        _schedule(case, at)
        if _newly_paid(case):
            grants.append(grant.sell_time(case.payment, at))
    _save(changed)
    _free_phones(changed)
    grant.write([row for row in grants if row])
    _take_back([case for case in changed if case.status in GONE])
    _raise_doubts(changed)
    notify.write(events)
    _ring(events)


def _free_phones(cases: list[Case]) -> None:
    """Nobody is looking at these prompts any more."""
    over = [c.payment.pk for c in cases if c.status in FINAL or c.payment.confirming]
    OpenPrompt.objects.filter(pk__in=over).delete()


def _newly_paid(case: Case) -> bool:
    """It was paid, whatever became of the money afterwards: a reversal may outrun the success."""
    before = policy.is_paid(case.before, case.asked)
    return policy.is_paid(case.standing, case.asked) and not before


def _take_back(cases: list[Case]) -> None:
    """The money went back: cut the time that it bought, and free the order for another payment."""
    if not cases:
        return
    payments = [case.payment for case in cases]
    grant.revoke(payments, cases[0].arrivals[-1].observed_at)
    orders = SettledOrder.objects.filter(
        merchant_id__in={payment.merchant_id for payment in payments},
        order_id__in={payment.order_id for payment in payments},
    )
    orders.filter(payment__in=payments).delete()


def _claim_orders(cases: list[Case]) -> None:
    """The first success takes its order; a second one is a duplicate that is due back (A10)."""
    paid = [case.payment for case in cases if _newly_paid(case) and case.payment.order_id]
    if not paid:
        return
    rows = sorted(paid, key=lambda p: (p.merchant_id, p.order_id))
    SettledOrder.objects.bulk_create(
        [SettledOrder(merchant_id=p.merchant_id, order_id=p.order_id, payment=p) for p in rows],
        ignore_conflicts=True,
    )
    held = SettledOrder.objects.filter(
        merchant_id__in={p.merchant_id for p in paid}, order_id__in={p.order_id for p in paid}
    )
    winner = {(row.merchant_id, row.order_id): row.payment_id for row in held}
    for payment in paid:
        first = winner[(payment.merchant_id, payment.order_id)]
        payment.duplicate_of_id = None if first == payment.pk else first


def _payer(case: Case) -> str:
    """The number that paid, where somebody named it whole; otherwise the one that was prompted."""
    return case.standing.payer[1] or case.payment.phone


def _link_customers(cases: list[Case]) -> None:
    paid = [case for case in cases if _newly_paid(case)]
    if not paid:
        return
    wanted = sorted({(case.payment.merchant_id, _payer(case)) for case in paid})
    Customer.objects.bulk_create(
        [Customer(merchant_id=merchant_id, phone=phone) for merchant_id, phone in wanted],
        ignore_conflicts=True,
    )
    rows = Customer.objects.filter(
        merchant_id__in={merchant for merchant, _ in wanted}, phone__in={p for _, p in wanted}
    )
    known = {(row.merchant_id, row.phone): row.pk for row in rows}
    for case in paid:
        case.payment.customer_id = known[(case.payment.merchant_id, _payer(case))]


def _events(case: Case, at: datetime) -> list[PaymentEvent]:
    payment = case.payment
    told: list[tuple[str, dict[str, object]]] = []
    for item, verdict in zip(case.arrivals, case.verdicts, strict=True):
        if item.source is Source.PUSH and item.outcome in EVENT_OF_PUSH and ":" not in verdict:
            told.append((EVENT_OF_PUSH[item.outcome], {}))
    for kind in sorted(case.standing.all_doubts - case.before.all_doubts):
        told.append(("payment.flagged", {"doubt": kind}))
    confirming = policy.is_confirming(case.standing, case.asked)
    if confirming and not payment.confirming:
        told.append(("payment.confirming", {}))
    was, now = Status(payment.status), case.status
    if was is not now:
        told.append((EVENT_OF_STATUS[now], _details(case, was, now)))
    return [notify.new_event(payment, kind, at, data) for kind, data in told]


def _details(case: Case, was: Status, now: Status) -> dict[str, object]:
    if now is Status.FAILED:
        return {"reason": _reason(case), "result_code": case.standing.failure[1]}
    if now is Status.SUCCESS:
        late = {"late": True} if was is Status.FAILED else {}
        duplicate = case.payment.duplicate_of_id
        second = {"duplicate_of": f"pay_{duplicate.hex}"} if duplicate else {}
        return {"receipt_number": case.standing.receipt, **late, **second}
    return {}


def _reason(case: Case) -> str:
    code = case.standing.failure[1]
    if _is_refusal_of_daraja(code):
        return OWN_REASONS.get(code, "refused")
    return result(code).reason.value


def _is_refusal_of_daraja(code: str) -> bool:
    """Daraja's own error codes read `400.002.02`; M-Pesa's result codes have no dots."""
    return "." in code or code in OWN_REASONS


def _write_columns(case: Case, at: datetime) -> None:
    payment, standing, status = case.payment, case.standing, case.status
    was = Status(payment.status)
    payment.standing = policy.encode_standing(standing)
    payment.confirming = policy.is_confirming(standing, case.asked)
    payment.status = status.value
    payment.late = payment.late or (was is Status.FAILED and status is Status.SUCCESS)
    payment.merchant_request_id = payment.merchant_request_id or _merchant_request_id(case)
    payment.settled_at = None if status is Status.PENDING else payment.settled_at or at
    failed = status is Status.FAILED
    payment.reason = _reason(case) if failed else ""
    payment.result_code = standing.failure[1] if failed else ""
    payment.result_text = standing.failure[2][:255] if failed else ""
    if policy.is_paid(standing, case.asked):
        _write_money(payment, standing)


def _write_money(payment: Payment, standing: Standing) -> None:
    payment.amount_paid = payment.amount
    payment.receipt_number = standing.receipt
    payment.result_code = "0"
    paid_at = standing.paid_at[1]
    payment.transaction_date = datetime.fromisoformat(paid_at) if paid_at else None


def _merchant_request_id(case: Case) -> str:
    if not case.payment.checkout_request_id:
        return ""
    for item, verdict in zip(case.arrivals, case.verdicts, strict=True):
        if item.merchant_request_id and not verdict.startswith("doubt"):
            return item.merchant_request_id
    return ""


def _schedule(case: Case, at: datetime) -> None:
    """Production only: when Daraja is asked to turn a claim, or a hint, into knowledge."""
    payment, standing = case.payment, case.standing
    settled = case.status in FINAL and not payment.confirming
    if settled or not case.asked.live or not payment.checkout_request_id:
        payment.next_check_at = None
        return
    news = standing.claims != case.before.claims or standing.all_doubts != case.before.all_doubts
    hint = standing.failure != case.before.failure and not payment.checks
    if news or (hint and payment.next_check_at is None):
        payment.checks = 0
        payment.next_check_at = first_check(claimed=news, now=at, prompt_until=payment.prompt_until)


COLUMNS: Final = (
    "customer_id status reason confirming late duplicate_of_id standing amount_paid receipt_number "
    "transaction_date result_code result_text access_duration_minutes start_time "
    "checkout_request_id merchant_request_id settled_at next_check_at checks "
    "event_count updated_at"
).split()


def _save(cases: list[Case]) -> None:
    fields = [name.removesuffix("_id") if name in _KEYS else name for name in COLUMNS]
    if len(cases) == 1:
        cases[0].payment.save(update_fields=fields)
    elif cases:
        for case in cases:
            case.payment.updated_at = case.arrivals[-1].observed_at
        Payment.objects.bulk_update([case.payment for case in cases], fields)


_KEYS: Final = frozenset({"customer_id", "duplicate_of_id"})


def _raise_doubts(cases: Iterable[Case]) -> None:
    rows = []
    for case in cases:
        at = case.arrivals[-1].observed_at
        kinds = case.standing.all_doubts - case.before.all_doubts
        payment = case.payment
        if case.status is Status.SUCCESS and (payment.late or payment.duplicate_of_id):
            kinds |= {"refund_due"}
        if case.status is Status.SUCCESS and grant.sold_nothing(payment):
            kinds |= {"tariff_unreadable"}
        rows += [
            Doubt(
                merchant_id=payment.merchant_id,
                payment=payment,
                kind=kind,
                amount=payment.amount,
                owner=ATTENTION_TO,
                raised_at=at,
            )
            for kind in sorted(kinds)
        ]
    if rows:
        Doubt.objects.bulk_create(rows, ignore_conflicts=True)


def _ring(events: list[PaymentEvent]) -> None:
    """Tell the host project, after the commit."""
    ids = list(dict.fromkeys(event.payment_id for event in events))
    if ids:
        transaction.on_commit(lambda: signals.announce(ids), robust=True)


# --- originals ------------------------------------------------------------------------------


def _verdicts(evidence: Sequence[Evidence], cases: dict[UUID, Case]) -> list[Settled]:
    """Each piece's verdict, in the order in which the pieces came."""
    left = {payment_id: list(case.verdicts) for payment_id, case in cases.items()}
    settled = []
    for item in evidence:
        case = cases.get(item.payment_id)
        if case is None or not _belongs(item, case.payment):
            settled.append(Settled(item.payment_id, "orphan", None))
        else:
            settled.append(Settled(item.payment_id, left[item.payment_id].pop(0), case.status))
    return settled


def _keep_originals(
    evidence: Sequence[Evidence], settled: Sequence[Settled], cases: dict[UUID, Case]
) -> None:
    """Store what arrived, byte for byte; the same body again only counts up."""
    rows: dict[tuple[UUID | None, str], InboundCallback] = {}
    repeats: Counter[tuple[UUID | None, str]] = Counter()
    for item, outcome in zip(evidence, settled, strict=True):
        if item.original is None:
            continue
        row = _original_row(item, outcome, cases)
        key = (row.payment_id, row.body_sha256)
        repeats[key] += key in rows
        rows.setdefault(key, row)
    bodies = {body for _, body in rows}
    known = InboundCallback.objects.filter(body_sha256__in=bodies) if bodies else []
    for row in known:
        if rows.pop((row.payment_id, row.body_sha256), None):
            repeats[(row.payment_id, row.body_sha256)] += 1
    InboundCallback.objects.bulk_create(rows.values(), ignore_conflicts=True)
    for (payment_id, body), count in (+repeats).items():
        same = InboundCallback.objects.filter(body_sha256=body)
        mine = same.filter(payment_id=payment_id) if payment_id else same.filter(payment=None)
        mine.update(repeats=F("repeats") + count)


def _original_row(item: Evidence, outcome: Settled, cases: dict[UUID, Case]) -> InboundCallback:
    original = item.original
    assert original is not None
    case = None if outcome.verdict == "orphan" else cases[item.payment_id]
    return InboundCallback(
        payment_id=case.payment.pk if case else None,
        merchant_id=case.payment.merchant_id if case else None,
        body=original.body,
        body_sha256=original.sha256,
        headers=original.headers,
        peer=original.peer,
        verdict=outcome.verdict,
        received_at=original.received_at,
    )
