"""Ask Daraja about payments whose truth is not known yet: `notice` → `take` → ask → settle.

Any number of workers may do this at once. A payment is moved to its next due time before it is
asked about, so a crash costs one question and never the schedule.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Window
from django.db.models.functions import RowNumber

from milango.core import payments as policy
from milango.core.errors import DarajaBusy, MilangoError
from milango.core.payments import Evidence, Outcome, Source, Status
from milango.core.schedule import (
    LONGEST_GAP,
    UNANSWERED_AFTER,
    check_of_claim,
    check_of_silence,
)
from milango.daraja import DynamicMpesaClient
from milango.daraja.sessions import bridge
from milango.models import MpesaCredential, OpenPrompt, Payment, Reversal
from milango.models.ids import first_uuid7
from milango.seen import spans

from . import batches, hours, pacing, pulls, questions
from .clients import client_for
from .receive import EVIDENCE

logger = logging.getLogger(__name__)

UNRESOLVED: Final = "unresolved"
"""The doubt about a payment whose schedule has run out: a person decides."""

AT_ONCE: Final = 100
"""Payments of one short code that are taken in one turn."""

TURN: Final = 3.0
"""Seconds that one turn may wait for places in an app's pace."""

PATIENCE: Final = 10.0
"""Seconds for one answer of STK query."""

QUERIES_BEFORE_STATUS: Final = 4
"""STK query is asked so often about a claim before Transaction Status is."""

REVERSED_WITHIN: Final = timedelta(days=1)
"""So new is what is said to have gone back, when Transaction Status is asked about it."""

MOST_NOTICED: Final = 1_000


def ask_due() -> int:
    """Ask STK query about payments that are due, all short codes side by side, and settle what
    was answered. Returns how many were taken.

    Memory and cost are bounded by the turn, whatever is due. The time is the database's.
    """
    now = hours.database_now()
    notice(now)
    taken = [(credential, take(credential, now)) for credential in _with_due(now)]
    taken = [(credential, payments) for credential, payments in taken if payments]
    if not taken:
        return 0
    turns = bridge.run(_ask_all(_to_ask(taken), now))
    answers = [answer for turn in turns for answer in turn.answers]
    answers += [_unresolved(p) for _, payments in taken for p in payments if _has_run_out(p)]
    _settle(answers)
    for turn in turns:
        _put_back(turn.left, now)
    for credential, payments in taken:
        _ask_elsewhere(credential, payments, now)
    return sum(len(payments) for _, payments in taken)


# --- whose callback is missing --------------------------------------------------------------


def notice(now: datetime) -> int:
    """Make payments due whose prompt is still open although its callback should have come.

    They are found by their open prompts, so that the many payments whose callback comes in time
    are never touched for this. Of each short code the oldest, then the next ones: another one's
    many come between nobody and his first.
    """
    silent = Q(payment_id__lt=first_uuid7(now - timedelta(seconds=UNANSWERED_AFTER)))
    prompts = OpenPrompt.objects.filter(silent | Q(until__lte=now))
    unknown = Payment.objects.filter(status=Status.PENDING.value, next_check_at=None)
    unnoticed = unknown.filter(pk=OuterRef("payment_id"))
    place = Window(RowNumber(), partition_by="credential_id", order_by="payment_id")
    turns = prompts.filter(Exists(unnoticed)).annotate(place=place).order_by("place", "payment_id")
    first = list(turns.values_list("payment_id", flat=True)[:MOST_NOTICED])
    with transaction.atomic(durable=True):
        mine = unknown.filter(pk__in=first).order_by("pk")
        mine = mine.select_for_update(skip_locked=True, no_key=True)
        ids = list(mine.values_list("pk", flat=True))
        Payment.objects.filter(pk__in=ids).update(next_check_at=now)
    # By its prompt the sweep finds what was never sent.
    unsent = Payment.objects.filter(
        pk=OuterRef("payment_id"), status=Status.PENDING.value, sending_at=None
    )
    OpenPrompt.objects.filter(~Exists(unnoticed), ~Exists(unsent), until__lte=now).delete()
    return len(ids)


# --- who is due -----------------------------------------------------------------------------


def _with_due(now: datetime) -> list[MpesaCredential]:
    due = Payment.objects.filter(credential=OuterRef("pk"), next_check_at__lte=now)
    found = list(MpesaCredential.objects.filter(Exists(due)).select_related("merchant"))
    random.shuffle(found)  # so that several workers begin with different ones
    return found


def take(credential: MpesaCredential, now: datetime) -> list[Payment]:
    """Payments of this short code that are due, each moved to its next time; nobody else has them.

    As many as Daraja's pace allows for now.
    """
    room = min(AT_ONCE, _room(credential))
    if not room:
        return []
    due = Payment.objects.filter(credential=credential, next_check_at__lte=now)
    with transaction.atomic(durable=True):
        locked = due.order_by("next_check_at").select_for_update(skip_locked=True, no_key=True)
        payments = list(locked[:room])
        for payment in payments:
            payment.checks += 1
            payment.next_check_at = _following(payment, now)
        Payment.objects.bulk_update(payments, ["checks", "next_check_at"])
    return payments


def _room(credential: MpesaCredential) -> int:
    try:
        return pacing.room(client_for(credential), TURN)
    except MilangoError:
        return AT_ONCE  # a credential that cannot be opened: its payments move on, and are told of


def _following(payment: Payment, now: datetime) -> datetime | None:
    standing = policy.decode_standing(payment.standing)
    chance = random.random()  # noqa: S311 - it spreads questions, and guards nothing
    if standing.claims or standing.all_doubts - {UNRESOLVED}:
        return check_of_claim(checks=payment.checks, now=now, chance=chance)
    return check_of_silence(
        asked_at=payment.sending_at or payment.created_at,
        prompt_until=payment.prompt_until,
        now=now,
        chance=chance,
    )


def _has_run_out(payment: Payment) -> bool:
    return payment.next_check_at is None


def _put_back(payments: Iterable[Payment], now: datetime) -> None:
    """There was no place for them in the pace: as if they had not been taken."""
    for payment in payments:
        mine = Payment.objects.filter(pk=payment.pk, checks=payment.checks)
        mine.filter(next_check_at=payment.next_check_at).update(
            checks=payment.checks - 1, next_check_at=now
        )


def _ask_elsewhere(credential: MpesaCredential, payments: Sequence[Payment], now: datetime) -> None:
    """What STK query cannot tell: a claimed receipt's truth, and whose answer was lost."""
    for payment in payments:
        claims = policy.decode_standing(payment.standing).claims
        receipts = sorted({claim.receipt for claim in claims} - {""})
        if payment.checks > QUERIES_BEFORE_STATUS and receipts:
            questions.ask_by_receipt(credential, receipts[0], why="claim", payment=payment)
    if any(p.checks > 1 and not p.checkout_request_id for p in payments):
        pulls.soon([credential], now)


def clamp(now: datetime) -> int:
    """Bring due times back that only a wrong clock can have set."""
    far = Payment.objects.filter(next_check_at__gt=now + LONGEST_GAP)
    return bring_forward(far.exclude(prompt_until__gte=now + LONGEST_GAP), now)


def bring_forward(payments: QuerySet[Payment], now: datetime) -> int:
    """Make payments due now. Those that somebody is settling are left for the next time: whoever
    waited here, in no order of its own, would deadlock with the settling."""
    with transaction.atomic():
        mine = payments.order_by("pk").select_for_update(skip_locked=True, no_key=True)
        ids = list(mine.values_list("pk", flat=True)[:MOST_NOTICED])
        return Payment.objects.filter(pk__in=ids).update(next_check_at=now)


# --- asking ---------------------------------------------------------------------------------

Asking = list[tuple[DynamicMpesaClient, list[Payment]]]


def _to_ask(taken: Iterable[tuple[MpesaCredential, Sequence[Payment]]]) -> Asking:
    """Without a CheckoutRequestID there is nothing to ask by: Daraja's answer was lost."""
    asking: Asking = []
    for credential, payments in taken:
        named = [payment for payment in payments if payment.checkout_request_id]
        try:
            asking.append((client_for(credential), named))
        except MilangoError as error:
            logger.warning("%s cannot be asked about: %s", credential.public_id, error.code)
    return asking


class Turn(NamedTuple):
    """What one app's turn brought."""

    answers: list[Evidence]
    left: list[Payment]
    """Payments for which there was no place in the pace."""


async def _ask_all(asking: Asking, now: datetime) -> list[Turn]:
    return await asyncio.gather(*(_ask_in_turn(client, rows, now) for client, rows in asking))


async def _ask_in_turn(client: DynamicMpesaClient, payments: list[Payment], now: datetime) -> Turn:
    """Ask at the app's pace; payers' own requests go first."""
    ends = time.monotonic() + TURN
    asked: list[asyncio.Task[Evidence | None]] = []
    for payment in payments:
        if not await _has_place(client, ends):
            break
        asked.append(asyncio.create_task(_ask(client, payment, now)))
    answers = [answer for answer in await asyncio.gather(*asked) if answer]
    return Turn(answers, payments[len(asked) :])


async def _has_place(client: DynamicMpesaClient, ends: float) -> bool:
    while wait := pacing.try_for_place(client):
        if time.monotonic() + wait > ends:
            return False
        await asyncio.sleep(wait)
    return True


async def _ask(client: DynamicMpesaClient, payment: Payment, now: datetime) -> Evidence | None:
    """What STK query says of one payment. None: there was no answer."""
    name = payment.checkout_request_id or ""
    try:
        with spans.span("ask", payment=payment.public_id):
            async with asyncio.timeout(PATIENCE):
                answer = await client.apayment_status(checkout_request_id=name)
    except TimeoutError:
        logger.warning("payment %s: no answer in %s s", payment.public_id, PATIENCE)
        return None
    except MilangoError as error:
        if isinstance(error, DarajaBusy):
            pacing.learn(client, error)
        # No answer: the schedule brings us back.
        logger.warning("payment %s could not be asked about: %s", payment.public_id, error.code)
        return None
    pacing.learn(client, None)
    return Evidence(
        payment_id=payment.pk,
        source=Source.QUERY,
        outcome=answer.outcome,
        observed_at=now,
        checkout_request_id=payment.checkout_request_id,
        code=answer.code,
        text=answer.text,
    )


def ask_about_reversals(now: datetime) -> int:
    """Ask Transaction Status, once, about successes whose money is said to have gone back.

    Where it cannot be asked, the doubt waits for a person. Returns how many were asked about.
    """
    rows = Reversal.objects.filter(
        asked_at=None, created_at__gt=now - REVERSED_WITHIN, payment__status=Status.SUCCESS
    ).exclude(payment__receipt_number="")
    asked = 0
    for row in list(rows.select_related("credential", "payment")[:AT_ONCE]):
        mine = Reversal.objects.filter(pk=row.pk, asked_at=None)
        if (payment := row.payment) and mine.update(asked_at=now):
            question = questions.ask_by_receipt(
                row.credential, payment.receipt_number, why="reversal", payment=payment
            )
            asked += question is not None
    return asked


# --- settling -------------------------------------------------------------------------------


def _unresolved(payment: Payment) -> Evidence:
    return Evidence(
        payment_id=payment.pk,
        source=Source.MILANGO,
        outcome=Outcome.UNKNOWN,
        observed_at=hours.now(),
        problem=UNRESOLVED,
    )


def _settle(answers: Sequence[Evidence]) -> None:
    without: set[UUID] = set()
    for outcome in batches.run(EVIDENCE, answers):
        if isinstance(outcome, Exception):
            raise outcome
        row = outcome.payment
        if row and outcome.status is Status.SUCCESS and not row.receipt_number:
            without.add(row.credential_id)
    # STK query names no receipt; only Pull or a confirmation does.
    pulls.soon(MpesaCredential.objects.filter(pk__in=without, pull=True), hours.now())
