"""Ask Transaction Status about a receipt, and take in what it answers later.

The question is written down before it is asked; its result address holds a secret of this one
question. An answer counts when it names the receipt that was asked about, the amount, and the
merchant's own short code as the one who was paid. An initiator that Daraja refused is
not used again until the credential is changed: more tries would lock it (2001, then 8006).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec
from django.db import transaction

from milango import sealing
from milango.conf import conf
from milango.core import signing
from milango.core.errors import MilangoError
from milango.core.payments import Evidence, Original, Outcome, Source
from milango.daraja.asking import NoInitiator
from milango.daraja.results import StatusResult, read_result, read_timeout
from milango.models import CredentialState, MpesaCredential, Payment, StatusQuestion
from milango.models.ids import uuid7

from . import batches, hours, originals, reversals
from . import rows as tables
from .batches import Verb
from .book import Line, book, hold, is_anothers, owner_of
from .clients import client_for
from .receive import is_listed_peer, keep_poisoned, original_of
from .settle import settle_many
from .store import store

logger = logging.getLogger(__name__)

PURPOSE: Final[sealing.Purpose] = "result"
TIMEOUT: Final = "timeout"
"""The kind of what came to the time-out address: the same bytes mean something else there."""

AGAIN_AFTER: Final = timedelta(minutes=10)
"""A question that was not answered for so long may be asked again."""


# --- asking ---------------------------------------------------------------------------------


def may_ask(credential: MpesaCredential) -> bool:
    """Whether the credential has an initiator that Daraja has not refused."""
    if not credential.can_ask_by_receipt:
        return False
    refused = CredentialState.objects.filter(
        credential=credential, refused_version=credential.version
    )
    return not refused.exists()


def why_not_ask(credential: MpesaCredential, receipt: str) -> str:
    """Why Transaction Status is not asked now, and what mends it; empty: it can be asked."""
    if not credential.can_ask_by_receipt:
        return "The short code has no API operator: milango shortcodes initiator --help"
    if not may_ask(credential):
        return (
            "Daraja refused the API operator, and more tries would lock it. Mend it in the "
            "M-Pesa portal, then store it anew: milango shortcodes initiator --help"
        )
    since = hours.now() - AGAIN_AFTER
    asked = StatusQuestion.objects.filter(
        credential=credential, receipt=receipt, answered_at=None, asked_at__gt=since
    )
    if asked.exists():
        return "The same question is still open. Its answer is settled when it comes."
    return ""


def ask_by_receipt(
    credential: MpesaCredential, receipt: str, *, why: str, payment: Payment | None = None
) -> StatusQuestion | None:
    """Ask Transaction Status what became of a receipt. None: it cannot be asked, or just was.

    `why` is `claim`, `statement`, `reversal` or `operator`. The answer comes to the result address.
    """
    now = hours.now()
    if why_not_ask(credential, receipt):
        return None
    question_id, kid = uuid7(), sealing.current_key_id()
    token = signing.make_callback_token(
        question_id, kid, sealing.derive(PURPOSE, kid), secrets.token_bytes(16)
    )
    with transaction.atomic(durable=True):
        question = StatusQuestion.objects.create(
            id=question_id,
            credential=credential,
            payment=payment,
            receipt=receipt,
            why=why,
            token_hash=signing.token_hash(token),
            asked_at=now,
        )
    _send(question, credential, token)
    return question


def _send(question: StatusQuestion, credential: MpesaCredential, token: str) -> None:
    """What is not refused may have been taken: the result tells."""
    mine = StatusQuestion.objects.filter(pk=question.pk)
    try:
        accepted = client_for(credential).payment_status(
            question.receipt,
            result_url=conf().address(f"/callbacks/result/{token}"),
            timeout_url=conf().address(f"/callbacks/result/{token}/timeout"),
        )
    except NoInitiator as error:
        mine.update(answered_at=hours.now(), verdict="no_initiator")
        _give_up(credential, str(error))
    except MilangoError as error:
        logger.warning("%s cannot be asked about a receipt: %s", credential.public_id, error.code)
        mine.update(verdict=error.code)
    else:
        mine.update(conversation_id=accepted.conversation_id)


def _give_up(credential: MpesaCredential, problem: str) -> None:
    """Say so, and stop: an initiator that is tried again and again gets locked."""
    CredentialState.objects.update_or_create(
        credential=credential,
        defaults={
            "initiator_refused_at": hours.now(),
            "initiator_problem": problem[:255],
            "refused_version": credential.version,
        },
    )
    logger.error(
        "%s: Daraja refused the initiator; it is not used again until the credential changes",
        credential.public_id,
    )


# --- the answer -----------------------------------------------------------------------------


class Answer(msgspec.Struct, frozen=True):
    """A result as it arrived, read."""

    question_id: UUID
    said: StatusResult
    original: Original
    listed: bool
    kind: str
    """Which of the question's two addresses it came to: `result` or `timeout`."""


class Heard(msgspec.Struct, frozen=True):
    """What became of a result."""

    verdict: str


def question_of(token: str) -> UUID | None:
    """The question that the address was made for; None: not ours (404). In memory alone."""
    return signing.open_callback_token(token, sealing.key_finder(PURPOSE))


def read_answer(
    token: str, body: bytes, headers: dict[str, str], peer: str, *, timed_out: bool
) -> Answer | None:
    """A result, read, with its original. None: the token is not ours (404). In memory alone."""
    question_id = question_of(token)
    if question_id is None:
        return None
    now = hours.now()
    original = original_of(token, body, headers, peer, now)
    read = timeout_of if timed_out else answer_of
    return read(question_id, original, is_listed_peer(peer), now)


def answer_of(question_id: UUID, original: Original, listed: bool, now: datetime) -> Answer:
    """What came to the result address, from its original. Never raises."""
    return Answer(question_id, read_result(original.body), original, listed, PURPOSE)


def timeout_of(question_id: UUID, original: Original, listed: bool, now: datetime) -> Answer:
    """What came to the time-out address, from its original. Never raises."""
    return Answer(question_id, read_timeout(original.body), original, listed, TIMEOUT)


def receive_answer(
    token: str, body: bytes, headers: dict[str, str], peer: str, *, timed_out: bool
) -> Heard | None:
    """Store a result and settle what it says. None: 404. Raises Declined as `receive_stk`."""
    answer = read_answer(token, body, headers, peer, timed_out=timed_out)
    if answer is None:
        return None
    (outcome,) = batches.run(ANSWERS, [answer])
    if isinstance(outcome, Heard):
        return outcome
    raise outcome


def _hear(answers: Sequence[Answer]) -> list[Heard]:
    """Short code by short code, in the order of confirmations: each is held until the end."""
    asked = _asked(answers)
    heard = [(answer, asked.get(answer.question_id)) for answer in answers]
    held = {
        index: question.credential_id.int if question else 0
        for index, (_, question) in enumerate(heard)
    }
    verdicts = {index: _hear_one(*heard[index]) for index in sorted(held, key=held.__getitem__)}
    return [
        _kept(answer, verdicts[index], question) for index, (answer, question) in enumerate(heard)
    ]


def hear_again(answer: Answer) -> tuple[str, UUID | None]:
    """Settle a result whose body is kept already: its verdict, and its merchant's id.

    In the caller's transaction.
    """
    question = _asked([answer]).get(answer.question_id)
    return _hear_one(answer, question), question.credential.merchant_id if question else None


def _asked(answers: Sequence[Answer]) -> dict[UUID, StatusQuestion]:
    ids = sorted({answer.question_id for answer in answers})
    rows = StatusQuestion.objects.filter(pk__in=ids).order_by("pk")
    locked = rows.select_for_update(no_key=True, of=("self",))
    return {row.pk: row for row in locked.select_related("credential", "payment")}


def _hear_one(answer: Answer, question: StatusQuestion | None) -> str:
    if question is None or question.token_hash != answer.original.token_hash:
        return "orphan"
    if question.answered_at:
        return "duplicate"
    verdict = _why_not(answer, question) or _settled(answer.said, question)
    if verdict not in SILENT:
        question.answered_at = answer.original.received_at
    question.verdict = verdict
    question.save(update_fields=["answered_at", "verdict"])
    return verdict


SILENT: Final = frozenset({"unlisted", "foreign", "unreadable"})
"""Answers that answer nothing: the true one may still come."""


def _kept(answer: Answer, verdict: str, question: StatusQuestion | None) -> Heard:
    merchant_id = question.credential.merchant_id if question and verdict != "orphan" else None
    row = originals.row_of(answer.original, answer.kind, verdict, answer.question_id, merchant_id)
    store().insert(tables.ORPHANS, [row])
    return Heard(verdict)


def _why_not(answer: Answer, question: StatusQuestion) -> str:
    """Why this answer says nothing about the money, in a word; an empty one: it does."""
    said, credential = answer.said, question.credential
    asked = question.conversation_id
    if credential.livemode and not answer.listed:
        return "unlisted"
    if asked and said.conversation_id and said.conversation_id != asked:
        return "foreign"
    if said.problem and not said.is_timeout:
        return "unreadable"
    if asked and not said.conversation_id and not said.is_timeout:
        return "foreign"
    if said.initiator_trouble:
        _give_up(credential, f"{said.code}: {said.text}")
        return f"initiator:{said.code}"[:48]
    if said.is_timeout:
        return "timeout"
    if said.outcome not in {Outcome.PAID, Outcome.REVERSED}:
        return f"says:{said.transaction_status or said.code}"[:48]
    if said.receipt != question.receipt:
        return "other_receipt"
    if said.credit_short_code not in credential.numbers:
        return "other_short_code"
    return "" if said.amount else "no_amount"


def _settled(said: StatusResult, question: StatusQuestion) -> str:
    hold(question.credential_id)
    owner = owner_of(question.credential, question.receipt)
    payment = question.payment or owner
    if payment is None and said.outcome is Outcome.PAID:
        (booking,) = book(
            question.credential, [_line(said)], Source.TRANSACTION_STATUS, listed=True
        )
        return booking.value
    if payment is None:
        (noted,) = reversals.note(question.credential, [_line(said)], Source.TRANSACTION_STATUS)
        return noted
    (settled,) = settle_many([_evidence(said, payment)])
    if ":" in settled.verdict and said.outcome is Outcome.PAID and owner:
        # A word has put the receipt to a payment that it contradicts: whose it is hears of it.
        book(question.credential, [_line(said)], Source.TRANSACTION_STATUS, listed=True)
    return settled.verdict


def _line(said: StatusResult) -> Line:
    return Line(
        receipt=said.receipt or "",
        amount=said.amount or Decimal(0),
        paid_at=said.paid_at or hours.now(),
        phone=said.phone or "",
        is_timed=said.paid_at is not None,
    )


def _evidence(said: StatusResult, payment: Payment) -> Evidence:
    other = is_anothers(payment, said.phone or "")
    return Evidence(
        payment_id=payment.pk,
        source=Source.TRANSACTION_STATUS,
        outcome=said.outcome,
        observed_at=hours.now(),
        amount=said.amount,
        receipt=said.receipt,
        phone=said.phone,
        paid_at=said.paid_at,
        code=said.code,
        text=said.text,
        # A prompt is answered by the phone that it is on: this receipt is somebody else's.
        problem="other_payer" if other else "",
    )


def _keep_poisoned(answer: Answer, error: Exception) -> Heard:
    keep_poisoned(answer.original, answer.kind, answer.question_id)
    return Heard("poisoned")


ANSWERS: Final = Verb("answers", _hear, attrgetter("question_id"), _keep_poisoned)
"""Settle results of Transaction Status; keep those that cannot be settled for a person."""
