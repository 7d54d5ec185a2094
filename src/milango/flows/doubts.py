"""Doubts wait for a person: who has them, how long, about how much. Resolving moves no money."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, TypeVar
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Count, Min, QuerySet, Sum

from milango.core.errors import InvalidRequest
from milango.models import AuditEntry, Doubt, Merchant, StatementImport

from . import audit, hours

logger = logging.getLogger(__name__)

R = TypeVar("R", Doubt, StatementImport)

OVERDUE: Final = timedelta(days=3)
"""How old an open doubt may get; with an older one `milango check` fails."""


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
    with transaction.atomic():
        doubt = _closed(Doubt.objects.filter(pk=doubt_id), reason)
        _audit(actor, "doubt.resolved", doubt, kind=doubt.kind)
    return doubt


def resolved_by(doubt: Doubt) -> str:
    """Who closed it, as the audit trail has it; empty for one that is open."""
    closings = AuditEntry.objects.filter(action="doubt.resolved", subject=doubt.public_id)
    last = closings.order_by("-number").first() if doubt.resolved_at else None
    return last.actor if last else ""


def resolve_statement(import_id: UUID, *, actor: str, reason: str) -> StatementImport:
    """The same for a statement that does not add up. It proves no more than before."""
    with transaction.atomic():
        statement = _closed(StatementImport.objects.filter(pk=import_id), reason)
        _audit(actor, "statement.resolved", statement, problem=statement.problem)
    return statement


def _closed(rows: QuerySet[R], reason: str) -> R:
    reason = " ".join(reason.split())
    if not reason or len(reason) > 255:
        message = "Say in 1 to 255 characters what you found and what you did. It stays open."
        raise InvalidRequest(message, field="reason")
    mine = rows.filter(resolved_at=None).select_related("merchant")
    row = mine.select_for_update(of=("self",)).first()
    if row is None:
        what = rows.model._meta.verbose_name
        raise InvalidRequest(f"No open {what} has this id. Nothing was changed.", field="id")
    row.resolved_at, row.resolution = hours.heard(), reason
    row.save(update_fields=["resolved_at", "resolution"])
    return row


def _audit(actor: str, action: str, row: Doubt | StatementImport, **detail: str) -> None:
    audit.record(
        actor,
        action,
        row.public_id,
        merchant=row.merchant,
        resolution=row.resolution,
        **detail,
    )
