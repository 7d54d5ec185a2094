"""A payment as callers see it: one document for the API, the command line and webhooks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from milango import sealing
from milango.conf import conf
from milango.core import signing
from milango.core.payments import Status
from milango.core.phones import mask
from milango.core.results import WORDS as REASON_WORDS
from milango.core.results import Reason
from milango.models import Payment, PaymentEvent

from . import hours
from .notify import Event

TICKET_LIFE: Final = timedelta(minutes=10)


def payment_document(payment: Payment, *, secret: bool) -> dict[str, Any]:
    """The payment resource. Without `secret` (publishable keys) the payer's data stay out."""
    return payment_facts(payment, secret=secret) | links(payment)


def payment_facts(payment: Payment, *, secret: bool) -> dict[str, Any]:
    """The payment resource without addresses that are good for minutes only."""
    public = status_document(payment) | {
        "id": payment.public_id,
        "object": "payment",
        "livemode": payment.livemode,
        "environment": payment.environment,
        "shortcode": payment.short_code,
        "phone_number": payment.phone if secret else mask(payment.phone),
        "account_reference": payment.account_reference,
        "requested_by": payment.requested_by,
        "created_at": moment(payment.created_at),
        "prompt_expires_at": moment(payment.prompt_until),
    }
    return public | _private(payment) if secret else public


def told_document(payment: Payment, *, full_phone: bool) -> dict[str, Any]:
    """The payment as webhooks tell it. Without `full_phone` the payer's number is masked, and
    Daraja's id, which ends with that number, stays out."""
    facts = payment_facts(payment, secret=True)
    if not full_phone:
        facts |= {"phone_number": mask(payment.phone), "checkout_request_id": None}
    return facts


def _private(payment: Payment) -> dict[str, Any]:
    customer, duplicate = payment.customer_id, payment.duplicate_of_id
    return {
        "checkout_request_id": payment.checkout_request_id,
        "merchant_request_id": payment.merchant_request_id or None,
        "customer": f"cus_{customer.hex}" if customer else None,
        "description": payment.description,
        "order_id": payment.order_id or None,
        "metadata": payment.metadata,
        "result_code": payment.result_code or None,
        "result_text": payment.result_text or None,
        "late": payment.late,
        "duplicate_of": f"pay_{duplicate.hex}" if duplicate else None,
        "settled_at": moment(payment.settled_at),
    }


def status_document(payment: Payment) -> dict[str, Any]:
    """What a waiting front end needs."""
    return {
        "status": payment.status,
        "checkout_id": payment.checkout_id,
        "confirming": payment.confirming,
        "reason": payment.reason or None,
        "message": message_of(payment),
        "may_retry": may_retry(payment),
        "amount": money(payment.amount),
        "amount_paid": money(payment.amount_paid),
        "receipt_number": payment.receipt_number or None,
        "transaction_date": moment(payment.transaction_date),
        "service_type": payment.service_type,
        "access_duration_minutes": payment.access_duration_minutes,
        "start_time": moment(payment.start_time),
    }


UNKNOWN_STATUS: Final[dict[str, Any]] = {
    "status": Status.PENDING.value,
    "checkout_id": None,
    "confirming": False,
    "reason": None,
    "message": None,
    "may_retry": False,
    "amount": None,
    "amount_paid": None,
    "receipt_number": None,
    "transaction_date": None,
    "service_type": None,
    "access_duration_minutes": None,
    "start_time": None,
}
"""What an unknown id answers, byte for byte the same for each: ids cannot be probed."""


WORDS: Final = {
    Status.SUCCESS: {"en": "Paid. Thank you.", "sw": "Malipo yamepokelewa. Asante."},
    Status.REVERSED: {
        "en": "The payment was reversed by M-Pesa.",
        "sw": "Malipo yamerudishwa na M-Pesa.",
    },
    Status.VOIDED: {"en": "The payment was voided.", "sw": "Malipo yamebatilishwa."},
    Status.PENDING: {
        "en": "Waiting for M-Pesa. Enter your PIN on your phone.",
        "sw": "Tunasubiri M-Pesa. Weka PIN kwenye simu yako.",
    },
}
CONFIRMING: Final = {
    "en": "Received, confirming with M-Pesa. Do not pay again.",
    "sw": "Imepokelewa, tunathibitisha na M-Pesa. Usilipe tena.",
}


def message_of(payment: Payment) -> dict[str, str]:
    """What to tell the payer, in English and Swahili."""
    if payment.confirming:
        return CONFIRMING
    status = Status(payment.status)
    if status is Status.FAILED:
        words = REASON_WORDS[Reason(payment.reason)]
        return {"en": words.english, "sw": words.swahili}
    return WORDS[status]


def may_retry(payment: Payment) -> bool:
    """Whether the payer may be prompted again without paying twice."""
    if payment.status != Status.FAILED.value or payment.confirming:
        return False
    return REASON_WORDS[Reason(payment.reason)].may_retry


def links(payment: Payment) -> dict[str, str]:
    """Addresses that carry a short read ticket: event streams cannot send headers."""
    kid = sealing.current_key_id()
    ticket = signing.make_read_token(
        payment.pk, hours.now() + TICKET_LIFE, kid, sealing.derive("read-token", kid)
    )
    base = conf().address("/api/v1/payments")
    return {
        "status_url": f"{base}/status/{payment.checkout_id}?ticket={ticket}",
        "events_url": f"{base}/{payment.public_id}/events?ticket={ticket}",
    }


def event_document(event: PaymentEvent | Event) -> dict[str, Any]:
    """One entry of a payment's timeline."""
    return {
        "id": event.public_id,
        "object": "event",
        "seq": event.seq,
        "type": event.type,
        "at": moment(event.at),
        "data": event.data,
    }


def money(amount: Decimal | None) -> str | None:
    """KES with two decimals, as text: `"50.00"`."""
    return None if amount is None else f"{amount:.2f}"


def moment(at: datetime | None) -> str | None:
    """UTC with a Z."""
    if at is None:
        return None
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
