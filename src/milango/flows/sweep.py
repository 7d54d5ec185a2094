"""Put away what time has decided: rows that were never sent, keys, counters, raw bodies, tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from milango.conf import conf
from milango.core.payments import Status
from milango.models import IdempotencyKey, InboundCallback, OAuthToken, OpenPrompt, Payment

from . import counters, errands, hours, reconcile, replay
from .charge import never_sent
from .opening import keys_of
from .settle import settle_many

UNSENT_AFTER: Final = timedelta(seconds=60)
"""A row without `sending_at` for this long belongs to a process that died before sending."""


def sweep(now: datetime | None = None) -> dict[str, int]:
    """Put away what time has decided. Returns what was done, by name."""
    now = now or hours.now()
    return {
        "never_sent": _fail_never_sent(now),
        "idempotency_keys": _forget_keys(now),
        "counters": counters.forget_before(now - timedelta(days=2)),
        "raw_bodies": _forget_bodies(now),
        "due_times": reconcile.clamp(now),
        "errands": errands.forget_old(now),
        "replayed": replay.replay_due(now),
        "tokens": OAuthToken.objects.filter(expires_at__lt=now - timedelta(days=1)).delete()[0],
    }


def _fail_never_sent(now: datetime) -> int:
    """No `sending_at`: nothing provably went out, so the payment fails as `not_sent`.

    Such a payment holds an open prompt until it is settled (`reconcile.notice` leaves it), so that
    it is found among the few that are open, whatever the number of payments. Money that a payer
    brought unasked has none.
    """
    rows = Payment.objects.filter(
        pk__in=OpenPrompt.objects.values("payment_id"),
        status=Status.PENDING.value,
        sending_at=None,
        created_at__lt=now - UNSENT_AFTER,
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
