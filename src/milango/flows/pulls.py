"""Pull what reached a short code in the last 48 hours: for callbacks that were lost.

Hourly where it is switched on, and sooner when a payment can be resolved by nothing else. Booking
a row twice changes nothing, so windows overlap.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Q

from milango.conf import conf
from milango.core.errors import MilangoError
from milango.core.payments import Source
from milango.daraja.questions import PulledPayment
from milango.models import CredentialState, MpesaCredential

from . import hours, reversals
from .book import Line, book
from .clients import client_for
from .credentials import change_credential

logger = logging.getLogger(__name__)

EVERY: Final = timedelta(hours=1)
SOON: Final = timedelta(seconds=60)
"""How long a payment that only Pull can resolve waits for it."""

AFTER_TROUBLE: Final = timedelta(minutes=10)

FARTHEST: Final = timedelta(hours=48) - timedelta(minutes=5)
"""How far back Daraja answers."""

OVERLAP: Final = timedelta(hours=1)
"""Rows may be late."""

MOST_PAGES: Final = 1_000

AT_ONCE: Final = 8
"""Short codes that one worker pulls for side by side. Almost all the time Daraja is waited for."""


def switch(credential: MpesaCredential, *, on: bool, number: str | None, actor: str) -> None:
    """Begin or stop to pull; with the number on its papers, register it with Daraja first."""
    if on and number:
        client_for(credential).register_pull(number, conf().address("/callbacks/pull"))
    change_credential(credential, actor=actor, pull=on)


def soon(credentials: Iterable[MpesaCredential], now: datetime) -> None:
    """Something can be resolved by Pull alone: have it asked within a minute."""
    for credential in credentials:
        if credential.pull:
            state, _ = CredentialState.objects.get_or_create(credential=credential)
            later = Q(next_pull_at__isnull=True) | Q(next_pull_at__gt=now + SOON)
            CredentialState.objects.filter(later, pk=state.pk).update(next_pull_at=now + SOON)


def pull_due(now: datetime | None = None) -> int:
    """Pull for each short code that is due. Returns how many lines were booked."""
    now = now or hours.database_now()
    _begin(now)
    due = CredentialState.objects.filter(next_pull_at__lte=now, credential__active=True)
    states = list(due.select_related("credential__merchant"))
    if len(states) < 2:
        return sum(_pull_mine(state, now) for state in states)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="milango-pull") as pool:
        return sum(pool.map(lambda state: _in_thread(state, now), states))


def _in_thread(state: CredentialState, now: datetime) -> int:
    try:
        return _pull_mine(state, now)
    finally:
        connection.close()


def _pull_mine(state: CredentialState, now: datetime) -> int:
    """Pull for a short code, unless another worker does."""
    mine = CredentialState.objects.filter(pk=state.pk, next_pull_at=state.next_pull_at)
    return _pull(state, now) if mine.update(next_pull_at=now + EVERY) else 0


def _begin(now: datetime) -> None:
    """Short codes for which it was switched on."""
    for credential in MpesaCredential.objects.filter(pull=True, active=True, state=None):
        CredentialState.objects.get_or_create(credential=credential)
    idle = CredentialState.objects.filter(credential__pull=True, next_pull_at=None)
    idle.update(next_pull_at=now)
    CredentialState.objects.filter(credential__pull=False).exclude(next_pull_at=None).update(
        next_pull_at=None
    )


def _pull(state: CredentialState, now: datetime) -> int:
    credential, known = state.credential, CredentialState.objects.filter(pk=state.pk)
    known_until = min(state.pulled_until or now - FARTHEST, now)
    since = max(now - FARTHEST, known_until - OVERLAP)
    booked = 0
    back: list[Line] = []
    try:
        for rows in _pages(credential, since, now):
            back += [_line(row, now) for row in rows if row.is_reversal]
            paid = [_line(row, now) for row in rows if not row.is_reversal]
            with transaction.atomic(durable=True):
                book(credential, paid, Source.PULL, listed=True)
            booked += len(paid)
        # Rows come newest first: what went back after what it went back from.
        with transaction.atomic(durable=True):
            reversals.note(credential, back, Source.PULL)
    except MilangoError as error:
        logger.warning("%s cannot be pulled: %s", credential.public_id, error.code)
        known.update(pull_problem=str(error)[:255], next_pull_at=now + AFTER_TROUBLE)
    else:
        known.update(pull_problem="", pulled_until=now)
    return booked


def _pages(
    credential: MpesaCredential, since: datetime, until: datetime
) -> Iterable[tuple[PulledPayment, ...]]:
    client = client_for(credential)
    offset: int | None = 0
    for _ in range(MOST_PAGES):
        if offset is None:
            return
        page = client.pull(since, until, offset)
        for place, problem in page.problems:
            logger.warning("%s: row %s of Pull: %s", credential.public_id, place, problem)
        yield page.rows
        offset = page.next_offset


def _line(row: PulledPayment, now: datetime) -> Line:
    return Line(
        receipt=row.trans_id,
        amount=row.amount,
        paid_at=row.paid_at or now,
        phone=row.msisdn,
        reference=row.bill_ref,
        is_timed=row.zone_known and row.paid_at is not None,
    )
