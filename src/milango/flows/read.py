"""Read payments: a status, one payment, its timeline, a page of them. A caller reads its own."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django.db.models import QuerySet

from milango import sealing
from milango.core import signing
from milango.core.errors import Declined
from milango.core.filters import PageRequest
from milango.models import Payment, PaymentEvent, Receipt
from milango.models.ids import parse_public_id

from . import hours, pages
from .callers import Caller, authenticate
from .present import UNKNOWN_STATUS, event_document, payment_document, status_document

Reader = Caller | UUID
"""Who reads: the bearer of a key, or of a ticket for the one payment named."""

_OUR_ID: Final = re.compile("co_[0-9a-f]{32}")
_DARAJAS_ID: Final = re.compile("[A-Za-z0-9_.-]{1,128}")

COLUMNS: Final = {
    "status": "status",
    "phone_number": "phone",
    "shortcode": "short_code",
    "receipt_number": "receipt_number",
    "order_id": "order_id",
    "account_reference": "account_reference",
    "service_type": "service_type",
    "created_after": "created_at__gte",
    "created_before": "created_at__lt",
}


def reader_of(authorization: str | None, origin: str | None, ticket: str | None) -> Reader:
    """Who is reading: by key, or without a key by ticket. Raises Declined as `authenticate`."""
    if authorization or not ticket:
        return authenticate(authorization, origin)
    payment_id = signing.open_read_token(ticket, hours.now(), sealing.key_finder("read-token"))
    if payment_id is None:
        raise Declined("unauthenticated", "This ticket is not valid, or it has expired.")
    return payment_id


def status_of(reader: Reader, checkout_id: str) -> dict[str, Any]:
    """The status that `checkout_id` names to this reader; an unknown id is Pending.

    Both kinds of key and the payment's own ticket may use our checkout_id; Daraja's
    CheckoutRequestID holds the payer's number and takes a secret key.
    """
    return status_of_known(find(reader, checkout_id))


def find(reader: Reader, checkout_id: str) -> Payment | None:
    """The payment that `checkout_id` names to this reader, as `status_of` has it."""
    if isinstance(reader, Caller):
        reader.require("read")
    return _by_name(reader, checkout_id)


def status_of_known(payment: Payment | None) -> dict[str, Any]:
    """What a waiting front end is told; None is an id that is unknown to it."""
    return status_document(payment) if payment else UNKNOWN_STATUS


def _by_name(reader: Reader, name: str) -> Payment | None:
    if isinstance(reader, UUID):
        return Payment.objects.filter(pk=reader, checkout_id=name).first()
    own = Payment.objects.filter(merchant=reader.merchant)
    if _OUR_ID.fullmatch(name):
        return own.filter(checkout_id=name).first()
    if reader.publishable or not _DARAJAS_ID.fullmatch(name):
        return None
    return own.filter(checkout_request_id=name).order_by("-pk").first()


def payment_of(caller: Caller, public_id: str) -> dict[str, Any]:
    """One payment, whole. Raises Declined `not_found` for any id that is not the caller's."""
    caller.require_secret("read")
    return payment_document(_own(caller, public_id), secret=True)


def events_of(reader: Reader, public_id: str) -> dict[str, Any]:
    """A payment's timeline, oldest first. Raises Declined `not_found` like `payment_of`."""
    payment = timeline_of(reader, public_id)
    return pages.listed(events_after(0, [payment.pk])[payment.pk])


def timeline_of(reader: Reader, public_id: str) -> Payment:
    """The payment whose events this reader may see. Raises Declined like `payment_of`."""
    if isinstance(reader, Caller):
        reader.require_secret("read")
    return _own(reader, public_id)


def events_after(seq: int, payment_ids: Sequence[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The events with higher numbers, oldest first, of many payments by one query."""
    found: dict[UUID, list[dict[str, Any]]] = {payment_id: [] for payment_id in payment_ids}
    rows = PaymentEvent.objects.filter(payment_id__in=payment_ids, seq__gt=seq)
    for event in rows.order_by("payment_id", "seq"):
        found[event.payment_id].append(event_document(event))
    return found


def page_of(caller: Caller, page: PageRequest) -> dict[str, Any]:
    """One page of the caller's payments, newest first."""
    caller.require_secret("read")
    rows = payments(page.where).filter(merchant=caller.merchant)
    if page.starting_after:
        rows = rows.filter(pk__lt=page.starting_after)
    return pages.page(rows, page.limit, lambda payment: payment_document(payment, secret=True))


def payments(where: dict[str, Any]) -> QuerySet[Payment]:
    """Payments that fit, of all merchants, newest first; `where` as `core.filters` reads it."""
    wanted = {COLUMNS[name]: value for name, value in where.items()}
    if "receipt_number" in wanted:
        # Receipts are indexed by their code; payments are not.
        owners = Receipt.objects.filter(code=wanted["receipt_number"])
        wanted["pk__in"] = owners.values("payment_id")
    return Payment.objects.filter(**wanted).order_by("-pk")


def _own(reader: Reader, public_id: str) -> Payment:
    payment_id = parse_public_id(public_id, "pay")
    mine = {"pk": reader} if isinstance(reader, UUID) else {"merchant": reader.merchant}
    payment = payment_id and Payment.objects.filter(pk=payment_id).filter(**mine).first()
    if not payment:
        raise Declined("not_found", "There is no such payment.")
    return payment
