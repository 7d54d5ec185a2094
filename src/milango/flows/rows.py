"""Rows as settling reads and writes them: plain values, without model instances or queries."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from milango.models import MpesaCredential, Payment

LIVE: Final = MpesaCredential.Environment.PRODUCTION.value


class PaymentRow(msgspec.Struct):
    """A payment, locked for settling. Amounts KES, times UTC."""

    id: UUID
    merchant_id: UUID
    credential_id: UUID
    environment: str
    party_b: str
    amount: Decimal
    phone: str
    service_type: str
    order_id: str
    callback_token_hash: str
    created_at: datetime
    prompt_until: datetime

    customer_id: UUID | None
    status: str
    reason: str
    confirming: bool
    late: bool
    duplicate_of_id: UUID | None
    standing: str
    amount_paid: Decimal | None
    receipt_number: str
    transaction_date: datetime | None
    result_code: str
    result_text: str
    access_duration_minutes: int | None
    start_time: datetime | None
    checkout_request_id: str | None
    merchant_request_id: str
    settled_at: datetime | None
    next_check_at: datetime | None
    checks: int
    event_count: int
    bodies: int

    # Of its credential and its merchant
    confirm_above: Decimal | None
    tariff: Any
    subscribed: list[tuple[str, list[str]]] | None
    """The merchant's active webhook endpoints: id, and what it wants to hear (nothing is all)."""

    @property
    def livemode(self) -> bool:
        """Real money: production only."""
        return self.environment == LIVE

    def copy_to(self, payment: Payment) -> None:
        """Bring a model instance up to date with what was written."""
        for name in WRITTEN:
            setattr(payment, name, getattr(self, name))


OWN: Final = PaymentRow.__struct_fields__[:-3]
"""The columns of the payment itself, in the order in which a row is built."""

WRITTEN: Final = OWN[OWN.index("customer_id") :]
"""What settling may change; everything before it was fixed when the payment was made."""

RowOf = tuple[Any, ...]


class Table(NamedTuple):
    """Where rows are inserted, and how, the same on every database."""

    name: str
    columns: tuple[str, ...]
    """In the order of the values of a row."""
    types: tuple[str, ...]
    """Of the columns, as PostgreSQL calls them."""
    conflict: str = ""


def _table(name: str, columns: dict[str, str], conflict: str = "") -> Table:
    return Table(name, tuple(columns), tuple(columns.values()), conflict)


CALLBACK: Final = {
    "id": "uuid",
    "kind": "text",
    "payment_id": "uuid",
    "merchant_id": "uuid",
    "body": "bytea",
    "body_sha256": "text",
    "headers": "jsonb",
    "peer": "text",
    "verdict": "text",
    "repeats": "int",
    "received_at": "timestamptz",
}
COUNT_UP: Final = "DO UPDATE SET repeats = milango_inboundcallback.repeats + excluded.repeats + 1"
"""The same body again only counts up; what was said of it first stays."""

CALLBACKS: Final = _table(
    "milango_inboundcallback",
    CALLBACK,
    f"ON CONFLICT (payment_id, body_sha256) WHERE payment_id IS NOT NULL {COUNT_UP}",
)
UNPROCESSED: Final = CALLBACK | {
    "named_id": "uuid",
    "token_hash": "text",
    "replay_at": "timestamptz",
    "receipt": "text",
}
"""What is needed to process it later. Most callbacks never need it, so they do not carry it."""

POISONED: Final = _table(
    "milango_inboundcallback",
    UNPROCESSED,
    f"ON CONFLICT (payment_id, body_sha256) WHERE payment_id IS NOT NULL {COUNT_UP}",
)
ORPHANS: Final = _table(
    "milango_inboundcallback",
    UNPROCESSED,
    f"ON CONFLICT (body_sha256) WHERE payment_id IS NULL {COUNT_UP}, "
    # A stranger may have posted the same bytes before Safaricom did.
    "receipt = COALESCE(excluded.receipt, milango_inboundcallback.receipt)",
)
RECEIPTS: Final = _table(
    "milango_receipt",
    {
        "environment": "text",
        "short_code": "text",
        "code": "text",
        "payment_id": "uuid",
        "source": "text",
        "amount": "numeric",
        "created_at": "timestamptz",
    },
    "ON CONFLICT (code, short_code, environment) DO NOTHING",
)
ORDERS: Final = _table(
    "milango_settledorder",
    {"merchant_id": "uuid", "order_id": "text", "payment_id": "uuid"},
    "ON CONFLICT (merchant_id, order_id) DO NOTHING",
)
CUSTOMERS: Final = _table(
    "milango_customer",
    {"id": "uuid", "merchant_id": "uuid", "phone": "text", "created_at": "timestamptz"},
    "ON CONFLICT (merchant_id, phone) DO NOTHING",
)
EVENTS: Final = _table(
    "milango_paymentevent",
    {
        "id": "uuid",
        "payment_id": "uuid",
        "merchant_id": "uuid",
        "seq": "int",
        "type": "text",
        "at": "timestamptz",
        "data": "jsonb",
        "told": "int",
    },
)
GRANTS: Final = _table(
    "milango_accessgrant",
    {
        "id": "uuid",
        "payment_id": "uuid",
        "merchant_id": "uuid",
        "customer_id": "uuid",
        "minutes": "int",
        "remainder": "int",
        "starts_at": "timestamptz",
        "ends_at": "timestamptz",
        "livemode": "bool",
        "created_at": "timestamptz",
    },
    "ON CONFLICT (payment_id) DO NOTHING",
)
DELIVERIES: Final = _table(
    "milango_webhookdelivery",
    {
        "id": "uuid",
        "endpoint_id": "uuid",
        "merchant_id": "uuid",
        "payment_id": "uuid",
        "event_id": "uuid",
        "event_type": "text",
        "state": "text",
        "attempts": "int",
        "next_attempt_at": "timestamptz",
        "created_at": "timestamptz",
    },
    "ON CONFLICT (endpoint_id, event_id) DO NOTHING",
)
ATTEMPTS: Final = _table(
    "milango_webhookattempt",
    {
        **dict.fromkeys(("id", "delivery_id", "merchant_id"), "uuid"),
        **dict.fromkeys(("status", "ms"), "int"),
        **dict.fromkeys(("answer", "error"), "text"),
        "at": "timestamptz",
    },
)
DOUBTS: Final = _table(
    "milango_doubt",
    {
        "id": "uuid",
        "merchant_id": "uuid",
        "payment_id": "uuid",
        "kind": "text",
        "amount": "numeric",
        "owner": "text",
        "raised_at": "timestamptz",
        "resolution": "text",
    },
    "ON CONFLICT (payment_id, kind) DO NOTHING",
)

PAYMENTS: Final = _table(
    "milango_payment",
    {
        "id": "uuid",
        "customer_id": "uuid",
        "status": "text",
        "reason": "text",
        "confirming": "bool",
        "late": "bool",
        "duplicate_of_id": "uuid",
        "standing": "text",
        "amount_paid": "numeric",
        "receipt_number": "text",
        "transaction_date": "timestamptz",
        "result_code": "text",
        "result_text": "text",
        "access_duration_minutes": "int",
        "start_time": "timestamptz",
        "checkout_request_id": "text",
        "merchant_request_id": "text",
        "settled_at": "timestamptz",
        "next_check_at": "timestamptz",
        "checks": "int",
        "event_count": "int",
        "bodies": "int",
        "updated_at": "timestamptz",
    },
)
"""What is written of one payment, by its key."""

NEW_PAYMENTS: Final = _table(
    "milango_payment",
    {
        **dict.fromkeys(("id", "merchant_id", "credential_id"), "uuid"),
        "credential_version": "int",
        **dict.fromkeys(("environment", "short_code", "party_b"), "text"),
        "amount": "numeric",
        **dict.fromkeys(("phone", "account_reference", "description"), "text"),
        **dict.fromkeys(("service_type", "order_id"), "text"),
        "metadata": "jsonb",
        **dict.fromkeys(("idempotency_key", "requested_by", "status", "reason"), "text"),
        **dict.fromkeys(("confirming", "late"), "bool"),
        **dict.fromkeys(("standing", "receipt_number", "result_code", "result_text"), "text"),
        **dict.fromkeys(("checkout_id", "merchant_request_id", "callback_token_hash"), "text"),
        **dict.fromkeys(("created_at", "sending_at", "prompt_until", "updated_at"), "timestamptz"),
        **dict.fromkeys(("checks", "event_count", "bodies"), "int"),
    },
)
"""A payment of which nothing is known yet."""
PROMPTS: Final = _table(
    "milango_openprompt",
    {"payment_id": "uuid", "credential_id": "uuid", "phone": "text", "until": "timestamptz"},
    "ON CONFLICT DO NOTHING",
)
KEYS: Final = _table(
    "milango_idempotencykey",
    {
        "merchant_id": "uuid",
        **dict.fromkeys(("mode", "key_kind", "route", "key", "body_hash"), "text"),
        "payment_id": "uuid",
        "replayed": "bool",
        "created_at": "timestamptz",
    },
    "ON CONFLICT DO NOTHING",
)


class ReceiptKey(NamedTuple):
    """A receipt is unique per environment and receiving short code."""

    environment: str
    short_code: str
    code: str


Payer = tuple[int, str]
"""A merchant's id as a number, and a payer's phone number."""


class Changes(msgspec.Struct, kw_only=True):
    """All rows that one batch writes, in the order in which they are written."""

    payments: list[RowOf] = []
    inserts: list[tuple[Table, list[RowOf]]] = []
    phones_freed: list[UUID] = []
    """Payments whose prompt nobody is looking at any more."""
    grants_revoked: list[tuple[UUID, datetime]] = []
    orders_freed: list[tuple[UUID, str, UUID]] = []
    """(merchant, order, payment): the money went back, so the order may be paid again."""
    rang: list[UUID] = []
    """Payments with news for whoever waits."""
