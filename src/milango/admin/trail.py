"""What is done in the admin stands in the audit trail, for pages that are not ours as well."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Final

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry, LogEntryManager
from django.db.models import Manager
from django.db.models.signals import post_save
from django.dispatch import receiver

from milango.flows import audit
from milango.models import Merchant

TOLD_BY_THEIR_FLOW: Final = frozenset(
    {"mpesacredential", "apikey", "webhookendpoint", "doubt", "statementimport"}
)
"""Models of ours whose changes are written down with more detail where they are made."""

VERBS: Final = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}


@receiver(post_save, sender=LogEntry, dispatch_uid="milango.admin.trail")
def keep(instance: LogEntry, created: bool, **kwargs: Any) -> None:
    """Django's own history can be edited; ours cannot. Only names of fields are taken over."""
    kind = instance.content_type
    if not created or kind is None:
        return
    ours = kind.app_label == "milango"
    if ours and kind.model in TOLD_BY_THEIR_FLOW:
        return
    audit.record(
        f"admin:{instance.user.get_username()}",
        f"{kind.model[:30]}.{VERBS.get(instance.action_flag, 'touched')}",
        f"{kind.model} {instance.object_id}",
        merchant=_merchant(instance) if ours and kind.model == "merchant" else None,
        fields=_fields(instance),
    )


def _keep_many(
    manager: LogEntryManager, entries: Iterable[LogEntry], *args: Any, **kwargs: Any
) -> list[LogEntry]:
    """Rows that a list's action deletes are noted together, which no signal tells."""
    made = Manager.bulk_create(manager, entries, *args, **kwargs)
    for entry in made:
        keep(entry, created=True)
    return made


# The one place that every page passes, ours and others': Django offers none to hook into.
LogEntryManager.bulk_create = _keep_many  # type: ignore[method-assign,assignment]


def _merchant(entry: LogEntry) -> Merchant | None:
    return Merchant.objects.filter(pk=str(entry.object_id)).first()


def _fields(entry: LogEntry) -> list[str]:
    """Which fields, and which rows below it, were touched; never what stands in them."""
    try:
        said = json.loads(entry.change_message or "[]")
    except ValueError:
        return []
    found: list[str] = []
    for each in said if isinstance(said, list) else []:
        for verb, what in each.items():
            below = [f"{what['name']} {verb}"] if isinstance(what, dict) and "name" in what else []
            found += below or list(what.get("fields", []) if isinstance(what, dict) else [])
    return found
