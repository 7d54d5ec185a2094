"""Doubts wait for a person: who has them, how long, about how much. Resolving moves no money."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Count, Min, Sum
from django.utils import timezone

from milango.core.errors import InvalidRequest
from milango.models import Doubt, Merchant

from . import audit

logger = logging.getLogger(__name__)

OVERDUE: Final = timedelta(days=3)
"""How old an open doubt may get (threats B19)."""


class Open(msgspec.Struct, frozen=True):
    """The open doubts of one kind at one merchant."""

    merchant: str
    """Its public id, `mer_…`."""
    kind: str
    count: int
    amount: Decimal
    """KES at stake, added up."""
    oldest: datetime
    """When the oldest was raised, UTC."""


def open_doubts() -> list[Open]:
    """What is open now, by merchant and kind: for metrics and for the daily notice."""
    rows = (
        Doubt.objects.filter(resolved_at=None)
        .values("merchant_id", "kind")
        .annotate(count=Count("pk"), total=Sum("amount"), oldest=Min("raised_at"))
        .order_by("merchant_id", "kind")
    )
    return [
        Open(
            f"mer_{row['merchant_id'].hex}",
            row["kind"],
            row["count"],
            row["total"],
            row["oldest"],
        )
        for row in rows
    ]


def notice(now: datetime) -> int:
    """One line in the log for each merchant with open doubts. Returns how many merchants."""
    by_merchant: dict[str, list[Open]] = {}
    for found in open_doubts():
        by_merchant.setdefault(found.merchant, []).append(found)
    for merchant, doubts in by_merchant.items():
        logger.warning(
            "%s: %s open doubts about KES %s, the oldest for %s days: milango doubts list",
            merchant,
            sum(each.count for each in doubts),
            sum(each.amount for each in doubts),
            (now - min(each.oldest for each in doubts)).days,
        )
    return len(by_merchant)


def listed(
    merchant: Merchant | None = None, *, kind: str = "", resolved: bool = False
) -> Iterable[Doubt]:
    """Doubts with their payments and merchants, the oldest first."""
    rows = Doubt.objects.select_related("payment", "merchant").order_by("raised_at")
    rows = rows if resolved else rows.filter(resolved_at=None)
    rows = rows.filter(merchant=merchant) if merchant else rows
    return rows.filter(kind=kind) if kind else rows


def resolve(doubt_id: UUID, *, actor: str, reason: str) -> Doubt:
    """Close a doubt, with what was found and done about it; audited. Moves no money.

    Raises InvalidRequest without a reason, and for a doubt that is closed or not there.
    """
    reason = " ".join(reason.split())
    if not reason or len(reason) > 255:
        message = "Say in 1 to 255 characters what you found and what you did. It stays open."
        raise InvalidRequest(message, field="reason")
    with transaction.atomic():
        rows = Doubt.objects.select_related("merchant").select_for_update(of=("self",))
        doubt = rows.filter(pk=doubt_id, resolved_at=None).first()
        if doubt is None:
            raise InvalidRequest("No open doubt has this id. Nothing was changed.", field="id")
        doubt.resolved_at, doubt.resolution = timezone.now(), reason
        doubt.save(update_fields=["resolved_at", "resolution"])
        audit.record(
            actor,
            "doubt.resolved",
            doubt.public_id,
            merchant=doubt.merchant,
            kind=doubt.kind,
            resolution=reason,
        )
    return doubt
