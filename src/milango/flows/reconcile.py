"""Ask Daraja about payments whose truth is not known yet, and put away what time has decided."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from milango.conf import conf
from milango.core import payments as policy
from milango.core.errors import DarajaBusy, MilangoError
from milango.core.payments import Evidence, Source, Status
from milango.core.schedule import LONGEST_GAP, following_check
from milango.models import IdempotencyKey, InboundCallback, OAuthToken, Payment

from . import counters, pacing
from .charge import never_sent
from .clients import client_for
from .opening import keys_of
from .settle import Settled, settle_many

logger = logging.getLogger(__name__)

UNSENT_AFTER: Final = timedelta(seconds=60)
"""A row without `sending_at` for this long belongs to a process that died before sending."""


def ask_due(limit: int = 50) -> int:
    """Ask STK query about every payment that is due; returns how many were asked.

    Any number of workers may do this at once: each takes a row by a conditional update.
    """
    asked = 0
    for payment in _due(limit):
        if _take(payment):
            ask(payment)
            asked += 1
    return asked


def _due(limit: int) -> list[Payment]:
    soon = Payment.objects.filter(next_check_at__isnull=False)
    far = timezone.now() + LONGEST_GAP
    soon.filter(next_check_at__gt=far, prompt_until__lt=far).update(next_check_at=Now())
    due = soon.filter(next_check_at__lte=Now()).order_by("next_check_at")
    return list(due.select_related("credential", "merchant")[:limit])


def _take(payment: Payment) -> bool:
    """Move the due time on before asking, so that a crash costs one question, not the schedule."""
    standing = policy.decode_standing(payment.standing)
    claimed = bool(standing.claims or standing.all_doubts)
    again = following_check(claimed=claimed, checks=payment.checks + 1, now=timezone.now())
    mine = Payment.objects.filter(
        pk=payment.pk, checks=payment.checks, next_check_at=payment.next_check_at
    )
    return bool(mine.update(checks=payment.checks + 1, next_check_at=again))


def ask(payment: Payment) -> Settled | None:
    """Ask STK query about one payment and settle the answer. None: there was no answer."""
    if not payment.checkout_request_id:
        return None
    try:
        client = client_for(payment.credential)
        pacing.admit(client, patience=0.0)  # payers go first; the schedule brings us back
        answer = client.payment_status(checkout_request_id=payment.checkout_request_id)
        pacing.learn(client, None)
    except MilangoError as error:
        if isinstance(error, DarajaBusy):
            pacing.learn(client, error)
        # No answer, or a credential that cannot be opened: the schedule brings us back.
        logger.warning("payment %s could not be asked about: %s", payment.public_id, error.code)
        return None
    evidence = Evidence(
        payment_id=payment.pk,
        source=Source.QUERY,
        outcome=answer.outcome,
        observed_at=timezone.now(),
        checkout_request_id=payment.checkout_request_id,
        code=answer.code,
        text=answer.text,
    )
    with transaction.atomic(durable=True):
        (settled,) = settle_many([evidence])
    return settled


def sweep(now: datetime | None = None) -> dict[str, int]:
    """Put away what time has decided. Returns what was done, by name."""
    now = now or timezone.now()
    return {
        "never_sent": _fail_never_sent(now),
        "idempotency_keys": _forget_keys(now),
        "counters": counters.forget_before(now - timedelta(days=2)),
        "raw_bodies": _forget_bodies(now),
        "tokens": OAuthToken.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()[0],
    }


def _fail_never_sent(now: datetime) -> int:
    """No `sending_at`: nothing provably went out, so the payment fails as `not_sent` (A11)."""
    rows = Payment.objects.filter(
        status=Status.PENDING.value, sending_at=None, created_at__lt=now - UNSENT_AFTER
    )
    ids = list(rows.values_list("pk", flat=True)[:500])
    for payment_id in ids:
        with transaction.atomic(durable=True):
            payment = Payment.objects.select_for_update().get(pk=payment_id)
            if payment.sending_at is None:
                keys_of(payment).filter(payment=payment).delete()
                settle_many([never_sent(payment)])
    return len(ids)


def _forget_keys(now: datetime) -> int:
    old = now - timedelta(hours=conf().idempotency_hours)
    return IdempotencyKey.objects.filter(created_at__lt=old).delete()[0]


def _forget_bodies(now: datetime) -> int:
    """Raw bodies and source addresses go after 90 days; hash and verdict stay."""
    old = now - timedelta(days=conf().raw_days)
    rows = InboundCallback.objects.filter(received_at__lt=old, body__isnull=False)
    return rows.update(body=None, peer="", headers={})
