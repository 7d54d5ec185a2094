"""Process callbacks again that were stored and not processed. Nothing counts twice.

Three kinds of them: those that the database refused (`poisoned`), those whose payment was not
there (`orphan`: a restored backup), and those that an earlier release could not read. The first
two carry their own due time; the third are looked for once after an upgrade. Each is evidence
like any other, from the bytes as they arrived.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Final
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet

from milango import __version__
from milango.conf import conf
from milango.core.payments import Original, Outcome
from milango.daraja.c2b import Unread, read_c2b
from milango.daraja.results import read_result
from milango.models import CheckRun, InboundCallback, Payment
from milango.models.ids import first_uuid7

from . import confirmations, hours, kinds, questions
from .originals import REPLAYED
from .receive import evidence_of, is_listed_peer
from .settle import settle_many

logger = logging.getLogger(__name__)

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

GAPS: Final = (10 * MINUTE, HOUR, 6 * HOUR, DAY, DAY, DAY, 3 * DAY, 7 * DAY)
"""Between two tries. After the last one only a person tries again, and `milango check` says so."""

AT_ONCE: Final = 100
"""Callbacks that one sweep processes again."""

PAGE: Final = 20_000
"""Callbacks that one sweep looks at after an upgrade."""

REREAD: Final = "reread"

WEIGHED: Final = frozenset(
    f"doubt:{kind}"
    for kind in (
        *("other_checkout_id", "other_amount", "before_request", "receipt_taken"),
        *("unknown_checkout_id", "other_payer", "other_account"),
        *("reversed_in_part", "reversed_in_c2b"),
    )
)
"""Verdicts about what was read well: reading it again finds nothing new."""


class Replayed(msgspec.Struct, frozen=True):
    """What became of one callback."""

    callback_id: UUID
    was: str
    verdict: str

    @property
    def is_processed(self) -> bool:
        """Nothing is left to be done about it."""
        return self.verdict not in REPLAYED


# --- one of them ----------------------------------------------------------------------------


def again(callback_id: UUID) -> Replayed:
    """Process one stored callback, and write down what became of it. Idempotent.

    Raises OperationalError or InterfaceError: the database is away.
    """
    now = hours.now()
    row = InboundCallback.objects.get(pk=callback_id)
    was = row.verdict
    try:
        # Not locked: settling takes the payment first and this row last, and so do we.
        with transaction.atomic(durable=True):
            if row.body is not None and row.kind in KINDS:
                KINDS[row.kind](row, original_of_row(row), now)
            _move_on(row, now)
            row.save(update_fields=[*WRITTEN, "payment", "merchant", "receipt"])
    except (OperationalError, InterfaceError):
        raise
    except DatabaseError as error:
        logger.error("%s cannot be processed: %s", row.public_id, type(error).__name__)
        row.verdict = "poisoned"
        _move_on(row, now)
        row.save(update_fields=[*WRITTEN])
    return Replayed(callback_id, was, row.verdict)


WRITTEN: Final = ("verdict", "replay_at", "replays")


def _move_on(row: InboundCallback, now: datetime) -> None:
    """To the next try, or to none."""
    tried, row.replays = row.replays, row.replays + 1
    left = row.verdict in REPLAYED and row.body is not None and tried < len(GAPS)
    row.replay_at = now + GAPS[tried] if left else None


def original_of_row(row: InboundCallback) -> Original:
    """What arrived, from its row."""
    return Original(
        body=bytes(row.body or b""),
        headers=row.headers,
        peer=row.peer,
        received_at=row.received_at,
        sha256=row.body_sha256,
        token_hash=row.token_hash,
    )


def _stk(row: InboundCallback, original: Original, now: datetime) -> None:
    payment_id = row.payment_id or row.named_id
    payment = Payment.objects.filter(pk=payment_id).first() if payment_id else None
    if payment is None or not _belongs(row, payment):
        return
    said = evidence_of(payment.pk, original, is_listed_peer(row.peer), now)
    # The bytes are kept already.
    (settled,) = settle_many([msgspec.structs.replace(said, original=None)])
    row.verdict = settled.verdict
    if row.payment_id is None and not _is_kept_for(payment, row):
        row.payment_id, row.merchant_id = payment.pk, payment.merchant_id


def _belongs(row: InboundCallback, payment: Payment) -> bool:
    """What was settled once had its token compared then; of the others only the hash is known."""
    if row.payment_id and row.verdict not in REPLAYED:
        return True
    return compare_digest(row.token_hash, payment.callback_token_hash)


def _is_kept_for(payment: Payment, row: InboundCallback) -> bool:
    return InboundCallback.objects.filter(payment=payment, body_sha256=row.body_sha256).exists()


def _c2b(row: InboundCallback, original: Original, now: datetime) -> None:
    if row.named_id is None:
        return
    arrival = kinds.C2B.read(row.named_id, original, is_listed_peer(row.peer), now)
    row.verdict, row.merchant_id, row.receipt = confirmations.take_again(arrival)


def _result(row: InboundCallback, original: Original, now: datetime) -> None:
    if row.named_id is None:
        return
    kind = kinds.KINDS[row.kind]
    answer = kind.read(row.named_id, original, is_listed_peer(row.peer), now)
    row.verdict, row.merchant_id = questions.hear_again(answer)


KINDS: Final[dict[str, Callable[[InboundCallback, Original, datetime], None]]] = {
    "stk": _stk,
    confirmations.PURPOSE: _c2b,
    questions.PURPOSE: _result,
    questions.TIMEOUT: _result,
}


# --- by themselves --------------------------------------------------------------------------


def replay_due(now: datetime) -> int:
    """Process again what is due, so many at once. Returns how many are processed now."""
    _look_after_an_upgrade(now)
    due = InboundCallback.objects.filter(replay_at__lte=now).order_by("replay_at")
    ids = list(due.values_list("pk", flat=True)[:AT_ONCE])
    return sum(again(callback_id).is_processed for callback_id in ids)


def _look_after_an_upgrade(now: datetime) -> None:
    """Make due what an earlier release could not read and this one can. Page by page, once."""
    run = CheckRun.objects.filter(kind=REREAD).order_by("-id").first()
    if run is None or run.version != __version__:
        since = first_uuid7(now - timedelta(days=conf().raw_days))
        run = CheckRun(kind=REREAD, version=__version__, started_at=now, mark=since.hex)
    if run.finished_at:
        return
    page = InboundCallback.objects.filter(pk__gt=UUID(hex=run.mark)).order_by("pk")
    rows = list(page.values_list("pk", "verdict")[:PAGE])
    doubtful = [pk for pk, verdict in rows if _is_unread(verdict)]
    kept = InboundCallback.objects.filter(pk__in=doubtful, body__isnull=False)
    readable = [row.pk for row in kept.iterator(chunk_size=500) if _can_be_read(row)]
    InboundCallback.objects.filter(pk__in=readable).update(replay_at=now)
    if rows:
        run.mark = rows[-1][0].hex
    if len(rows) < PAGE:
        run.finished_at = now
    run.save()


def _is_unread(verdict: str) -> bool:
    return verdict.startswith(("doubt:", "unreadable")) and verdict not in WEIGHED


def _can_be_read(row: InboundCallback) -> bool:
    return row.kind in READERS and READERS[row.kind](bytes(row.body or b""))


def _stk_can_be_read(body: bytes) -> bool:
    nobody, never = UUID(int=0), hours.now()
    original = Original(body=body, headers={}, peer="", received_at=never, sha256="", token_hash="")
    said = evidence_of(nobody, original, False, never)
    return not said.problem and said.outcome is not Outcome.UNKNOWN


READERS: Final[dict[str, Callable[[bytes], bool]]] = {
    "stk": _stk_can_be_read,
    confirmations.PURPOSE: lambda body: not isinstance(read_c2b(body), Unread),
    questions.PURPOSE: lambda body: not read_result(body).problem,
}
"""Whether this release can read it. A notice of a time-out is never unread: it is unknown."""


# --- by a person ----------------------------------------------------------------------------


def chosen(
    *,
    ids: Iterable[UUID] = (),
    verdicts: Iterable[str] = (),
    since: datetime | None = None,
) -> QuerySet[InboundCallback]:
    """The callbacks that a person means, oldest first. Without a word: all that is unprocessed."""
    rows = InboundCallback.objects.filter(body__isnull=False).order_by("pk")
    if since:
        rows = rows.filter(received_at__gte=since)
    if ids := list(ids):
        return rows.filter(pk__in=ids)
    return rows.filter(Q(verdict__in=list(verdicts) or sorted(REPLAYED)))
