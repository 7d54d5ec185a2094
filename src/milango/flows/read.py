"""Read payments: a status, one payment, its timeline, a page of them. A caller reads its own."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet

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


class Named(NamedTuple):
    """A payment as its reader names it: only one that is the reader's own is meant."""

    merchant_id: UUID | None
    payment_id: UUID | None
    """Of a ticket, which is for this one payment."""
    column: str
    value: UUID | str

    def means(self, payment: Payment) -> bool:
        """Whether the payment, which has this name, is the reader's."""
        if self.payment_id:
            return payment.pk == self.payment_id
        return payment.merchant_id == self.merchant_id


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
    return status_of_known(_find_one(by_checkout_id(reader, checkout_id)))


def by_checkout_id(reader: Reader, checkout_id: str) -> Named | None:
    """Which payment `checkout_id` names, as `status_of` has it. None: none to this reader."""
    if isinstance(reader, Caller):
        reader.require("read")
    if _OUR_ID.fullmatch(checkout_id):
        return _named(reader, "checkout_id", checkout_id)
    if isinstance(reader, UUID) or reader.publishable or not _DARAJAS_ID.fullmatch(checkout_id):
        return None
    return _named(reader, "checkout_request_id", checkout_id)


def by_public_id(reader: Reader, public_id: str) -> Named | None:
    """Which payment `pay_…` names to somebody who reads its timeline. None: none at all."""
    if isinstance(reader, Caller):
        reader.require_secret("read")
    payment_id = parse_public_id(public_id, "pay")
    return _named(reader, "pk", payment_id) if payment_id else None


def _named(reader: Reader, column: str, value: UUID | str) -> Named:
    if isinstance(reader, UUID):
        return Named(None, reader, column, value)
    return Named(reader.merchant.pk, None, column, value)


def find(wanted: Collection[Named]) -> dict[Named, Payment]:
    """The payments that are meant, those that exist; of several the newest. One query a column.

    The database is asked for their readers' payments alone: to build a row that is nobody's
    answer takes time, which would tell that it exists.
    """
    called: dict[tuple[str, UUID | str], list[Named]] = defaultdict(list)
    for each in wanted:
        called[each.column, each.value].append(each)
    theirs = Q(merchant__in={each.merchant_id for each in wanted if each.merchant_id})
    theirs |= Q(pk__in={each.payment_id for each in wanted if each.payment_id})
    found: dict[Named, Payment] = {}
    for column in {column for column, _ in called}:
        values = [value for of, value in called if of == column]
        rows = Payment.objects.filter(theirs, **{f"{column}__in": values})
        for payment in rows.order_by("pk"):
            for each in called[column, getattr(payment, column)]:
                if each.means(payment):
                    found[each] = payment
    return found


def _find_one(named: Named | None) -> Payment | None:
    return find([named]).get(named) if named else None


def status_of_known(payment: Payment | None) -> dict[str, Any]:
    """What a waiting front end is told; None is an id that is unknown to it."""
    return status_document(payment) if payment else UNKNOWN_STATUS


def payment_of(caller: Caller, public_id: str) -> dict[str, Any]:
    """One payment, whole. Raises Declined `not_found` for any id that is not the caller's."""
    return payment_document(known(_find_one(by_public_id(caller, public_id))), secret=True)


def events_of(reader: Reader, public_id: str) -> dict[str, Any]:
    """A payment's timeline, oldest first. Raises Declined `not_found` like `payment_of`."""
    payment = known(_find_one(by_public_id(reader, public_id)))
    return pages.listed(timelines([payment.pk])[payment.pk])


def timelines(payment_ids: Iterable[UUID]) -> dict[UUID, list[dict[str, Any]]]:
    """The events of payments, oldest first, by one query."""
    found: dict[UUID, list[dict[str, Any]]] = {payment_id: [] for payment_id in payment_ids}
    rows = PaymentEvent.objects.filter(payment_id__in=list(found))
    for event in rows.order_by("payment_id", "seq"):
        found[event.payment_id].append(event_document(event))
    return found


def known(payment: Payment | None) -> Payment:
    """The payment that was found. Raises Declined `not_found`, whatever the reason."""
    if not payment:
        raise Declined("not_found", "There is no such payment.")
    return payment


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
