"""What must be true of the money, as one table: each a sentence, the query that finds what breaks
it, what that means, and what to do next.

A query belongs to a *table* whose rows are walked by their key; `{page}` in it limits it to some
of them. It gives the breaking row's own name, its merchant, and what `said` tells of it. Nothing
here changes anything. Times: `%(recent)s` is what may still be under way (15 minutes ago).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, Final, NamedTuple

from milango.core import payments as policy
from milango.core.payments import EPOCH, Asked, Standing, Status
from milango.models.ids import PREFIXES

Row = tuple[Any, ...]


class Invariant(NamedTuple):
    """Something that has to be true."""

    name: str
    table: str
    """Whose rows are walked for it: a key of `TABLES`."""
    sentence: str
    means: str
    """What it means for the money when it is not so."""
    next: str
    """What to do then."""
    said: str = ""
    """What is told of a row: a format of the query's columns after name and merchant."""
    query: str = ""
    """Without one, `flows.check` finds it in the rows that it reads anyway."""


class Walked(NamedTuple):
    """A table that is walked by its key."""

    name: str
    alias: str
    prefix: str
    """Of the public ids of what its queries name; empty: they name it as it is."""
    by_time: bool = True
    """Its key is ordered by time (UUIDv7); otherwise it counts."""
    whole: bool = False
    """Looked at as a whole, every time: few rows, found by an index of their own."""


TABLES: Final = {
    "doubts": Walked("milango_doubt", "d", PREFIXES["doubt"], whole=True),
    "prompts": Walked("milango_openprompt", "o", PREFIXES["payment"], whole=True),
    "unmatched": Walked("milango_receipt", "r", "", whole=True),
    "reversals": Walked("milango_reversal", "v", "", whole=True),
    "payments": Walked("milango_payment", "p", PREFIXES["payment"]),
    "callbacks": Walked("milango_inboundcallback", "c", PREFIXES["inboundcallback"]),
    "grants": Walked("milango_accessgrant", "g", PREFIXES["accessgrant"]),
    "receipts": Walked("milango_receipt", "r", "", by_time=False),
    "orders": Walked("milango_settledorder", "o", "", by_time=False),
}
"""In the order in which they are walked."""

FINAL: Final = "('Success', 'Failed', 'Reversed', 'Voided')"
PAID: Final = "('Success', 'Reversed', 'Voided')"

A_PERSON: Final = "Find out who wrote to the database beside Milango; restore the row, or ask us."

INVARIANTS: Final = (
    Invariant(
        "status_has_evidence",
        "payments",
        "A payment's status and amounts are what its evidence amounts to.",
        "Somebody is told of money that nothing proves, or is not told of money that is proven.",
        "Trust neither: look the payment up in the portal of M-Pesa. " + A_PERSON,
    ),
    Invariant(
        "receipt_has_row",
        "payments",
        "The receipt that a payment names is a receipt row of that payment.",
        "The same receipt could settle a second payment.",
        A_PERSON,
    ),
    Invariant(
        "sums_agree",
        "payments",
        "By merchant, short code and day, payments and their receipts add up to the same.",
        "Reports of one and of the other differ by this amount.",
        "Look at the payments of that day that are named under the other findings.",
    ),
    Invariant(
        "doubt_has_row",
        "payments",
        "Every contradiction in the evidence stands in the list of doubts.",
        "A person should have looked at this money, and was not told.",
        A_PERSON,
    ),
    Invariant(
        "events_are_whole",
        "payments",
        "A payment's events are numbered from 1 without a gap.",
        "Its timeline is not complete; whoever reads events by number waits for one for ever.",
        A_PERSON,
        "counts {0} events, has {1}, the last is number {2}",
        """
        SELECT p.id, p.merchant_id, p.event_count, COUNT(e.id), COALESCE(MAX(e.seq), 0)
        FROM milango_payment p LEFT JOIN milango_paymentevent e ON e.payment_id = p.id
        WHERE {page} GROUP BY p.id, p.merchant_id, p.event_count
        HAVING COUNT(e.id) <> p.event_count OR COALESCE(MAX(e.seq), 0) <> p.event_count
        """,
    ),
    Invariant(
        "outcome_has_event",
        "payments",
        "Every outcome of a payment has its event.",
        "The merchant's system was never told of this outcome.",
        "Tell the merchant what the payment's status is. " + A_PERSON,
        "is {0} without its event",
        f"""
        SELECT p.id, p.merchant_id, p.status FROM milango_payment p
        WHERE {{page}} AND p.status IN {FINAL} AND NOT EXISTS (
            SELECT 1 FROM milango_paymentevent e WHERE e.payment_id = p.id AND e.type = CASE
                p.status WHEN 'Success' THEN 'payment.succeeded' WHEN 'Failed' THEN
                'payment.failed' WHEN 'Voided' THEN 'payment.voided' ELSE 'payment.reversed' END)
        """,
    ),
    Invariant(
        "event_has_deliveries",
        "payments",
        "An event has a delivery for every endpoint that was subscribed when it happened.",
        "An endpoint was not told, and nobody will tell it.",
        "Tell the merchant what the payment's status is. " + A_PERSON,
        "{0} was due at {1} endpoints, and has {2} deliveries",
        """
        SELECT e.payment_id, e.merchant_id, e.type, e.told, COUNT(d.id)
        FROM milango_payment p
        JOIN milango_paymentevent e ON e.payment_id = p.id AND e.told > 0
        LEFT JOIN milango_webhookendpoint w ON w.merchant_id = e.merchant_id
        LEFT JOIN milango_webhookdelivery d ON d.endpoint_id = w.id AND d.event_id = e.id
        WHERE {page} GROUP BY e.id, e.payment_id, e.merchant_id, e.type, e.told
        HAVING COUNT(d.id) < e.told
        """,
    ),
    Invariant(
        "merchants_never_meet",
        "payments",
        "What belongs to a payment belongs to its merchant.",
        "One merchant may see, or be told of, another merchant's money.",
        "Stop and find out how it came. " + A_PERSON,
        "has a {0} of another merchant",
        """
        SELECT p.id, p.merchant_id, 'credential' FROM milango_payment p
        JOIN milango_mpesacredential x ON x.id = p.credential_id
        WHERE {page} AND x.merchant_id <> p.merchant_id
        UNION ALL SELECT p.id, p.merchant_id, 'customer' FROM milango_payment p
        JOIN milango_customer x ON x.id = p.customer_id
        WHERE {page} AND x.merchant_id <> p.merchant_id
        UNION ALL SELECT p.id, p.merchant_id, 'timeline' FROM milango_payment p
        JOIN milango_paymentevent x ON x.payment_id = p.id
        WHERE {page} AND x.merchant_id <> p.merchant_id
        UNION ALL SELECT p.id, p.merchant_id, 'grant' FROM milango_payment p
        JOIN milango_accessgrant x ON x.payment_id = p.id
        WHERE {page} AND x.merchant_id <> p.merchant_id
        UNION ALL SELECT p.id, p.merchant_id, 'doubt' FROM milango_payment p
        JOIN milango_doubt x ON x.payment_id = p.id
        WHERE {page} AND x.merchant_id <> p.merchant_id
        UNION ALL SELECT p.id, p.merchant_id, 'callback' FROM milango_payment p
        JOIN milango_inboundcallback x ON x.payment_id = p.id
        WHERE {page} AND x.merchant_id <> p.merchant_id
        """,
    ),
    Invariant(
        "wifi_is_granted",
        "payments",
        "Wi-Fi that was paid for is granted, or a person was told why not.",
        "A customer has paid and is not online.",
        "Give the customer time by hand, or the money back. " + A_PERSON,
        "bought Wi-Fi and has no grant",
        """
        SELECT p.id, p.merchant_id FROM milango_payment p
        WHERE {page} AND p.status = 'Success' AND p.service_type = 'captive_portal'
        AND p.duplicate_of_id IS NULL
        AND NOT EXISTS (SELECT 1 FROM milango_accessgrant g WHERE g.payment_id = p.id)
        AND NOT EXISTS (SELECT 1 FROM milango_doubt d
            WHERE d.payment_id = p.id AND d.kind = 'tariff_unreadable')
        """,
    ),
    Invariant(
        "grant_is_paid",
        "payments",
        "A grant belongs to a success, has its minutes, and is revoked when the money went back.",
        "Somebody is online without having paid.",
        "Revoke the grant. " + A_PERSON,
        "is {0}, and its grant of {1} minutes is good",
        f"""
        SELECT p.id, p.merchant_id, p.status, g.minutes FROM milango_payment p
        JOIN milango_accessgrant g ON g.payment_id = p.id
        WHERE {{page}} AND (p.status NOT IN {PAID} OR p.access_duration_minutes IS NULL
            OR g.minutes <> p.access_duration_minutes
            OR (p.status <> 'Success' AND g.revoked_at IS NULL))
        """,
    ),
    Invariant(
        "refund_is_listed",
        "payments",
        "A late or second success is in the list of refunds that are due.",
        "A customer has paid twice, and nobody knows that money is to be given back.",
        "Give the money back, or agree with the customer. " + A_PERSON,
        "came late or twice, and no refund is listed",
        """
        SELECT p.id, p.merchant_id FROM milango_payment p
        WHERE {page} AND p.status = 'Success' AND (p.late OR p.duplicate_of_id IS NOT NULL)
        AND NOT EXISTS (SELECT 1 FROM milango_doubt d
            WHERE d.payment_id = p.id AND d.kind = 'refund_due')
        """,
    ),
    Invariant(
        "order_is_settled",
        "payments",
        "The first success of an order settles it, and only a success does.",
        "The order could be paid again, or cannot be paid although it is not.",
        A_PERSON,
        "is {0}, and does not stand so for its order",
        """
        SELECT p.id, p.merchant_id, p.status FROM milango_payment p
        WHERE {page} AND p.order_id <> '' AND (
            p.status = 'Success' AND p.duplicate_of_id IS NULL) <> EXISTS (
            SELECT 1 FROM milango_settledorder o WHERE o.merchant_id = p.merchant_id
            AND o.order_id = p.order_id AND o.payment_id = p.id)
        """,
    ),
    Invariant(
        "nothing_is_forgotten",
        "payments",
        "A payment without an outcome is asked about, or a person was told.",
        "It may be paid, and nobody will ever find out.",
        "See that `milango worker` runs. If it does: " + A_PERSON,
        "is {0}, and {1}",
        """
        SELECT p.id, p.merchant_id, p.status, CASE
            WHEN p.next_check_at IS NOT NULL THEN 'should have been asked about long ago'
            WHEN p.confirming THEN 'is said to be paid, and nobody asks any more'
            WHEN p.sending_at IS NULL THEN 'was never sent'
            ELSE 'nobody asks about it' END
        FROM milango_payment p
        WHERE {page} AND (p.status = 'Pending' OR p.confirming) AND p.created_at < %(recent)s
        AND (p.next_check_at < %(behind)s OR (p.next_check_at IS NULL
            AND NOT EXISTS (SELECT 1 FROM milango_doubt d WHERE d.payment_id = p.id)
            AND (p.confirming OR p.sending_at IS NULL OR NOT EXISTS (
                SELECT 1 FROM milango_openprompt o WHERE o.payment_id = p.id))))
        """,
    ),
    Invariant(
        "receipt_settles_one",
        "receipts",
        "A receipt belongs to one payment, which was paid with it.",
        "Money is counted for a payment that it did not pay, or twice.",
        "Look the receipt up in the portal of M-Pesa. " + A_PERSON,
        "belongs to {0}",
        f"""
        SELECT r.code, p.merchant_id, CASE
            WHEN p.id IS NULL THEN 'a payment that is not there'
            WHEN p.status NOT IN {PAID} THEN 'a payment that is not paid'
            WHEN r.amount <> p.amount_paid THEN 'a payment of another amount'
            WHEN p.environment <> r.environment OR p.party_b <> r.short_code
                THEN 'a payment to another short code'
            ELSE 'a payment that names another receipt' END
        FROM milango_receipt r LEFT JOIN milango_payment p ON p.id = r.payment_id
        WHERE {{page}} AND r.payment_id IS NOT NULL AND (p.id IS NULL
            OR p.status NOT IN {PAID} OR p.amount_paid IS NULL OR r.amount <> p.amount_paid
            OR p.environment <> r.environment OR p.party_b <> r.short_code
            OR (p.receipt_number <> r.code AND NOT EXISTS (SELECT 1 FROM milango_doubt d
                WHERE d.payment_id = p.id AND d.kind = 'several_receipts')))
        """,
    ),
    Invariant(
        "money_has_owner",
        "unmatched",
        "Money that reached a short code finds its payment within three days.",
        "Somebody has paid, and it is credited to nobody.",
        "Find the payer by the receipt, and credit or refund it by hand.",
        "KES {0}, waits for more than 3 days",
        """
        SELECT r.code, x.merchant_id, r.amount FROM milango_receipt r
        JOIN milango_mpesacredential x ON x.id = r.credential_id
        WHERE r.payment_id IS NULL AND r.created_at < %(overdue)s
        """,
    ),
    Invariant(
        "reversal_has_payment",
        "reversals",
        "Money that went back is known to the payment that it had come with, within three days.",
        "Something is sold for money that the merchant does not have any more.",
        "milango shortcodes unmatched, then milango payments match.",
        "KES {0} went back, of no payment",
        """
        SELECT v.code, v.merchant_id, v.amount FROM milango_reversal v
        WHERE v.payment_id IS NULL AND v.created_at < %(overdue)s
        """,
    ),
    Invariant(
        "callback_is_processed",
        "callbacks",
        "What was posted to us is weighed, not only stored.",
        "It may tell of money that nobody is told of.",
        "milango replay --id, or milango replay for all of them.",
        "{0} of {1}",
        """
        SELECT c.id, c.merchant_id, c.verdict, c.kind FROM milango_inboundcallback c
        WHERE {page} AND c.verdict IN ('poisoned', '') AND c.body IS NOT NULL
        UNION ALL SELECT c.id, p.merchant_id, c.verdict, 'a payment that is there now'
        FROM milango_inboundcallback c JOIN milango_payment p ON p.id = c.named_id
        WHERE {page} AND c.payment_id IS NULL AND c.verdict = 'orphan'
        AND c.token_hash = p.callback_token_hash AND c.body IS NOT NULL
        """,
    ),
    Invariant(
        "orphan_is_booked",
        "callbacks",
        "Money that a callback tells of is booked, also when its payment is not there.",
        "Somebody has paid for a payment that this database does not know (a restored backup?).",
        "milango shortcodes ask RECEIPT, or pull: it is booked by its receipt.",
    ),
    Invariant(
        "grant_has_payment",
        "grants",
        "Every grant belongs to a payment.",
        "Somebody is online without having paid.",
        "Revoke the grant. " + A_PERSON,
        "of {0} minutes belongs to no payment",
        """
        SELECT g.id, g.merchant_id, g.minutes FROM milango_accessgrant g
        LEFT JOIN milango_payment p ON p.id = g.payment_id WHERE {page} AND p.id IS NULL
        """,
    ),
    Invariant(
        "order_has_payment",
        "orders",
        "The payment that settled an order is there.",
        "The order cannot be paid, and it is not.",
        A_PERSON,
        "is settled by a payment that is not there",
        """
        SELECT o.order_id, o.merchant_id FROM milango_settledorder o
        LEFT JOIN milango_payment p ON p.id = o.payment_id WHERE {page} AND p.id IS NULL
        """,
    ),
    Invariant(
        "doubt_is_looked_at",
        "doubts",
        "A person resolves every doubt within three days.",
        "Money is in doubt, and nobody looks after it.",
        "milango doubts show, then milango doubts resolve.",
        "{0}, KES {1}, with the {2}, since {3:%Y-%m-%d}",
        """
        SELECT d.id, d.merchant_id, d.kind, d.amount, d.owner, d.raised_at FROM milango_doubt d
        WHERE d.resolved_at IS NULL AND d.raised_at < %(overdue)s ORDER BY d.raised_at
        """,
    ),
    Invariant(
        "prompt_ends",
        "prompts",
        "An open prompt belongs to a payment without an outcome, and ends.",
        "The payer's phone counts as busy, and no prompt can be sent to it.",
        "See that `milango worker` runs. If it does: " + A_PERSON,
        "{0}",
        f"""
        SELECT o.payment_id, p.merchant_id, CASE WHEN p.id IS NULL THEN 'is not there'
            WHEN p.status IN {FINAL} THEN 'has its outcome, and still holds the phone'
            ELSE 'holds a prompt that ended long ago' END
        FROM milango_openprompt o LEFT JOIN milango_payment p ON p.id = o.payment_id
        WHERE p.id IS NULL OR p.status IN {FINAL} OR o.until < %(behind)s
        """,
    ),
)

NAMED: Final = {invariant.name: invariant for invariant in INVARIANTS}


# --- what is found in the rows of a page ----------------------------------------------------

PAGE: Final = """
    SELECT p.id, p.merchant_id, p.status, p.standing, p.confirming, p.amount, p.amount_paid,
        p.receipt_number, p.result_code, p.phone, p.environment, p.short_code, p.settled_at,
        x.confirm_above, r.amount, r.id
    FROM milango_payment p LEFT JOIN milango_mpesacredential x ON x.id = p.credential_id
    LEFT JOIN milango_receipt r ON p.receipt_number <> '' AND r.code = p.receipt_number
        AND r.short_code = p.party_b AND r.environment = p.environment AND r.payment_id = p.id
    WHERE {page} ORDER BY p.id LIMIT %(size)s
"""


class Kept(NamedTuple):
    """A payment as a page reads it, with the receipt row of the receipt that it names."""

    id: Any
    merchant_id: Any
    status: str
    standing: str
    confirming: bool
    amount: Decimal
    amount_paid: Decimal | None
    receipt_number: str
    result_code: str
    phone: str
    environment: str
    short_code: str
    settled_at: Any
    confirm_above: Decimal | None
    receipt_amount: Decimal | None
    receipt_id: int | None


def status_has_evidence(row: Kept, standing: Standing, default: Decimal) -> str:
    """In which way a payment is not what its evidence amounts to, or an empty text."""
    limit = default if row.confirm_above is None else Decimal(str(row.confirm_above))
    said = _otherwise(row, standing, limit)
    if said and standing.claims:
        # The limit up to which a claim is proof may have been another one when it was settled.
        others = (Decimal(str(row.amount)), Decimal(0))
        if not all(_otherwise(row, standing, other) for other in others):
            return ""
    return said


def _otherwise(row: Kept, standing: Standing, confirm_above: Decimal) -> str:
    judged = policy.judge(standing, _asked(row, confirm_above))
    if row.status != judged.status:
        return f"is {row.status}, and its evidence amounts to {judged.status}"
    for is_so, said in (
        (bool(row.confirming) == judged.is_confirming, "is wrongly shown as confirming or not"),
        ((row.amount_paid is not None) == judged.is_paid, "has an amount paid, or none, wrongly"),
        (row.amount_paid is None or row.amount_paid == row.amount, "was paid another amount"),
        (not judged.is_paid or row.receipt_number == standing.receipt, "names another receipt"),
        (judged.is_paid or not row.receipt_number, "names a receipt that nobody has proven"),
        ((row.settled_at is None) == (row.status == Status.PENDING), "was settled at no time"),
        (
            row.status != Status.FAILED or row.result_code == standing.failure[1],
            "failed with another code",
        ),
    ):
        if not is_so:
            return said
    return ""


def _asked(row: Kept, confirm_above: Decimal) -> Asked:
    return Asked(
        amount=Decimal(str(row.amount)),
        phone=row.phone,
        asked_at=EPOCH,
        prompt_until=EPOCH,
        live=row.environment == "production",
        confirm_above=confirm_above,
    )


def receipt_has_row(row: Kept, standing: Standing, default: Decimal) -> str:
    """Whether the receipt that a payment names is its own; an empty text if it is."""
    lost = row.receipt_number and row.receipt_id is None
    return f"names receipt {row.receipt_number}, which is not its own" if lost else ""


LOOKS: Final[dict[str, Callable[[Kept, Standing, Decimal], str]]] = {
    "status_has_evidence": status_has_evidence,
    "receipt_has_row": receipt_has_row,
}
