"""Book money that reached a short code: join it to the payment it belongs to, or make one of it.

A C2B confirmation and a row of Pull name a receipt, an amount and an instant, and not the prompt
that asked for them. So a receipt that somebody owns is evidence about its owner; otherwise the one
payment that it can belong to is looked for. What can belong to none is a payment of its own; what
may belong to several waits, unmatched, for a source that names one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from milango.core import phones
from milango.core.errors import InvalidRequest
from milango.core.payments import SKEW, Evidence, Outcome, Source, Status
from milango.core.references import read_checked
from milango.models import Doubt, MpesaCredential, OpenPrompt, Payment, Receipt
from milango.models.ids import first_uuid7, uuid7

from . import hours, notify
from .effects import ATTENTION_TO
from .settle import settle_many

EARLY: Final = timedelta(minutes=2)
"""By so much Daraja's clock may be behind ours."""

LATE: Final = timedelta(minutes=5)
"""So long after the prompt's life a payment may still be recorded as its answer."""


RETRY_AFTER: Final = timedelta(minutes=1)
MOST_RETRIED: Final = 200

OPEN: Final = frozenset({Status.PENDING, Status.SUCCESS})
"""Among payments without a receipt: it may still come."""

FAILED: Final = frozenset({Status.FAILED})


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """Money that reached a short code, as one source tells it. Amount KES, time UTC."""

    receipt: str
    amount: Decimal
    paid_at: datetime
    phone: str = ""
    """As written: whole, masked, hashed, or nothing."""
    reference: str = ""
    """The account number, as the payer typed it or the prompt gave it."""
    is_timed: bool = True
    """Its instant is certain; otherwise it serves for the search, and proves nothing."""


class Booking(StrEnum):
    """What became of a line."""

    JOINED = "joined"
    """Its receipt had a payment, or exactly one payment can have been meant."""
    OWN = "own"
    """Nobody was prompted for it: it is a payment of its own."""
    UNMATCHED = "unmatched"
    """Several payments may have been meant. It waits for a better source."""


def book(
    credential: MpesaCredential, lines: Sequence[Line], source: Source, *, listed: bool
) -> list[Booking]:
    """Book the lines in the caller's transaction; what became of each, in order.

    Who may be believed is the caller's to say: `listed` for a confirmation from Safaricom's own
    address; answers to our own questions are believed. One short code is booked by one at a time.
    """
    hold(credential.pk)
    known = _known(credential, lines)
    bookings: list[Booking] = []
    evidence: list[Evidence] = []
    taken: set[UUID] = set()
    for line in lines:
        owner = known.get(line.receipt)
        payment = owner.payment if owner else _meant(credential, line, taken)
        if not owner and not isinstance(payment, Payment):
            # Its callback may have been settled while we waited for the candidates' locks.
            owner = _known(credential, [line]).get(line.receipt)
            payment = owner.payment if owner else payment
        booking = Booking.JOINED
        if payment is None:
            booking = Booking.OWN
            payment = _new_payment(credential, line)
        if isinstance(payment, Several):
            booking = Booking.UNMATCHED
            _keep(credential, line, source)
        else:
            owner = known[line.receipt] = owner or Owner(payment, by_word=False)
            taken.add(payment.pk)
            told = [payment, *_meant_instead(owner, line, taken)]
            evidence += [
                _evidence(one, line, source, owner, listed=listed)
                for one in told
                if not _is_told(one, line, owner)
            ]
        bookings.append(booking)
    settle_many(evidence)
    return bookings


def hold(credential_id: UUID) -> None:
    """Let nobody else say whose a short code's money is, until the end of the transaction.

    Whoever books lines or judges an operator's word takes this before all other locks.
    """
    MpesaCredential.objects.select_for_update(no_key=True).get(pk=credential_id)


def contradiction(payment: Payment, line: Line) -> str:
    """Why a line cannot be about a payment that is said to own its receipt: the kind of doubt, or
    an empty text. Nobody was prompted for a payer's own payment: a line cannot contradict it."""
    if payment.requested_by == "payer":
        return ""
    if line.amount != payment.amount:
        return "other_amount"
    if line.is_timed and line.paid_at < payment.created_at - SKEW:
        return "before_request"
    if is_anothers(payment, line.phone):
        return "other_payer"
    return "" if refers(payment, line.reference) else "other_account"


class Owner(NamedTuple):
    """The payment that has a receipt."""

    payment: Payment
    by_word: bool
    """An operator's word named it, before M-Pesa had told anything of it."""


def _is_told(payment: Payment, line: Line, owner: Owner) -> bool:
    """Settled with this very receipt: nothing that the line could add, but that it is wrong."""
    is_settled = payment.status == Status.SUCCESS and payment.receipt_number == line.receipt
    return is_settled and not owner.by_word and not _problem(payment, line, owner)


def _problem(payment: Payment, line: Line, owner: Owner) -> str:
    """A receipt that a word has put to a payment has to fit it in everything; of one that M-Pesa
    has, a line can contradict the payer alone."""
    if owner.by_word:
        return contradiction(payment, line)
    return "other_payer" if is_anothers(payment, line.phone) else ""


def is_anothers(payment: Payment, phone: str) -> bool:
    """Whether a number as M-Pesa writes it is not the one that was prompted."""
    return payment.requested_by != "payer" and not phones.may_be(payment.phone, phone)


def _meant_instead(owner: Owner, line: Line, taken: set[UUID]) -> list[Payment]:
    """Whose the money is that a word has put to a payment which it contradicts. The receipt is
    taken: a doubt for that payment, too, and Daraja is asked about it."""
    if not owner.by_word or not contradiction(owner.payment, line):
        return []
    meant = _meant(owner.payment.credential, line, taken)
    return [meant] if isinstance(meant, Payment) else []


class Several:
    """More than one payment may have been meant."""


def _known(credential: MpesaCredential, lines: Sequence[Line]) -> dict[str, Owner]:
    """The payments that own the receipts already."""
    rows = receipts_named(credential, {line.receipt for line in lines})
    owned = {row.code: row for row in rows.exclude(payment=None)}
    ids = [row.payment_id for row in owned.values()]
    mine = Payment.objects.filter(credential=credential).select_related("credential")
    payments = mine.in_bulk(ids)
    return {
        code: Owner(payments[row.payment_id], by_word=row.source == Source.OPERATOR)
        for code, row in owned.items()
        if row.payment_id in payments
    }


def receipts_named(credential: MpesaCredential, codes: Iterable[str]) -> QuerySet[Receipt]:
    """Receipts with these codes of this short code; of a test one, another merchant's too."""
    return Receipt.objects.filter(
        environment=credential.environment, short_code__in=credential.numbers, code__in=codes
    )


def owner_of(credential: MpesaCredential, code: str) -> Payment | None:
    """The payment that has the receipt: of this short code and merchant, and no other's."""
    owned = receipts_named(credential, [code])
    mine = Payment.objects.filter(credential=credential, pk__in=owned.values("payment_id"))
    return mine.first()


def retry_unmatched(now: datetime) -> int:
    """Book again what waits: time may have settled the payments that stood in its way.

    Returns how many waited no longer.
    """
    waiting = Receipt.objects.filter(
        payment=None, credential=OuterRef("pk"), created_at__lt=now - RETRY_AFTER
    )
    booked = 0
    for credential in MpesaCredential.objects.filter(Exists(waiting)):
        with transaction.atomic(durable=True):
            rows = Receipt.objects.filter(
                payment=None, credential=credential, created_at__lt=now - RETRY_AFTER
            )
            for row in list(rows.order_by("-created_at")[:MOST_RETRIED]):
                # One by one: what the first one takes decides about the second.
                (booking,) = book(credential, [_line(row)], Source(row.source), listed=True)
                booked += booking is not Booking.UNMATCHED
    return booked


def _line(row: Receipt) -> Line:
    return Line(
        receipt=row.code,
        amount=row.amount or Decimal(0),
        paid_at=row.paid_at or row.created_at,
        phone=row.phone,
        reference=row.reference,
    )


# --- who was meant --------------------------------------------------------------------------


def _meant(credential: MpesaCredential, line: Line, taken: set[UUID]) -> Payment | Several | None:
    """The payment that this money answers; None if it can answer none.

    Open ones go before failed ones: a payer who cancelled and was prompted again has paid the
    second prompt. Another account number than the prompt's makes it nobody's for sure only once
    no prompt of that phone is open.
    """
    near = [p for p in _candidates(credential, line) if p.pk not in taken]
    near = [payment for payment in near if phones.may_be(payment.phone, line.phone)]
    fitting = [payment for payment in near if refers(payment, line.reference)]
    for statuses in (OPEN, FAILED):
        of_these = [payment for payment in fitting if payment.status in statuses]
        if of_these:
            return of_these[0] if len(of_these) == 1 else Several()
    return Several() if any(payment.status in OPEN for payment in near) else None


def _candidates(credential: MpesaCredential, line: Line) -> list[Payment]:
    """Payments that were asked for at the right time and have no receipt, locked.

    Ids are ordered by time, so that only the payments of some minutes are looked at.
    """
    since, until = line.paid_at - timedelta(hours=1), line.paid_at + EARLY
    rows = Payment.objects.filter(
        Q(created_at__lte=until, prompt_until__gte=line.paid_at - LATE),
        merchant=credential.merchant_id,
        pk__gte=first_uuid7(since),
        pk__lt=first_uuid7(until + EARLY),
        credential=credential,
        amount=line.amount,
        receipt_number="",
    )
    return list(rows.exclude(sending_at=None).order_by("pk").select_for_update(no_key=True))


def refers(payment: Payment, reference: str) -> bool:
    """Whether an account number may be the payment's. Tills have none."""
    if payment.credential.kind == MpesaCredential.Kind.TILL or not reference:
        return True
    return _plain(payment.account_reference) == _plain(reference)


def _plain(reference: str) -> str:
    return "".join(reference.split()).upper()


def is_known_reference(credential: MpesaCredential, reference: str) -> bool:
    """Whether an account number can stand: its check digits fit, or a prompt has given it.

    Everything does where the short code's payers need none.
    """
    if not credential.checked_references or credential.kind == MpesaCredential.Kind.TILL:
        return True
    try:
        read_checked(reference)
    except InvalidRequest:
        asked = {"credential": credential, "payment__account_reference__iexact": reference.strip()}
        return OpenPrompt.objects.filter(**asked).exists()
    return True


# --- what nobody was prompted for -----------------------------------------------------------


def _new_payment(credential: MpesaCredential, line: Line) -> Payment:
    """A payment that its payer began, at the counter or in the M-Pesa menu."""
    now = hours.now()
    at = min(now, line.paid_at)
    payment = Payment(
        id=uuid7(),
        merchant_id=credential.merchant_id,
        credential=credential,
        credential_version=credential.version,
        environment=credential.environment,
        short_code=credential.short_code,
        party_b=credential.party_b,
        amount=line.amount,
        phone=_short(line.phone),
        account_reference=line.reference[:20],
        requested_by="payer",
        created_at=at,
        prompt_until=at,
    )
    event = notify.next_event(payment, "payment.created", now)
    payment.save(force_insert=True)
    notify.write([event])
    if not is_known_reference(credential, line.reference):
        _flag(payment, now)
    return payment


def _flag(payment: Payment, now: datetime) -> None:
    """The money is here, and whose account it is for a person has to find out."""
    Doubt.objects.create(
        merchant_id=payment.merchant_id,
        payment=payment,
        kind="unknown_reference",
        amount=payment.amount,
        owner=ATTENTION_TO,
        raised_at=now,
    )


def _short(phone: str) -> str:
    """A number as a payment keeps it: whole or masked. A hash is nobody's number."""
    text = "".join(phone.split())
    return text if len(text) <= 12 else ""


def _keep(credential: MpesaCredential, line: Line, source: Source) -> None:
    Receipt.objects.get_or_create(
        environment=credential.environment,
        short_code=credential.party_b,
        code=line.receipt,
        defaults={
            "credential": credential,
            "source": source.value,
            "amount": line.amount,
            "phone": line.phone,
            "reference": line.reference,
            "paid_at": line.paid_at,
        },
    )


def _evidence(
    payment: Payment, line: Line, source: Source, owner: Owner, *, listed: bool
) -> Evidence:
    return Evidence(
        payment_id=payment.pk,
        source=source,
        outcome=Outcome.PAID,
        observed_at=hours.now(),
        amount=line.amount,
        receipt=line.receipt,
        phone=line.phone or None,
        paid_at=line.paid_at if line.is_timed else None,
        code="0",
        listed=listed,
        problem=_problem(payment, line, owner),
    )
