"""An `Idempotency-Key` for what is no payment: the same request twice makes one thing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from django.db import transaction

from milango.core.errors import Declined
from milango.models import IdempotencyKey
from milango.models.ids import Identified

from . import hours
from .callers import Caller

M = TypeVar("M", bound=Identified)

MODE = "any"
"""These requests belong neither to live nor to test money."""


def body_hash(asked: Any) -> str:
    """What was asked for, in short: by it a key's second request is told from another one."""
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).hexdigest()


def once(caller: Caller, route: str, key: str, asked: Any, make: Callable[[], M]) -> M | UUID:
    """What `make` makes; or the id of what the key has made before, and nothing is made.

    The key is taken in the transaction that makes: while the first request is in flight, the
    second waits for it. Raises Declined `idempotency_conflict` for another request with this key.
    """
    if not key:
        return make()
    said = body_hash(asked)
    with transaction.atomic():
        row, is_new = IdempotencyKey.objects.get_or_create(
            merchant=caller.merchant,
            mode=MODE,
            key_kind=caller.kind,
            route=route,
            key=key,
            defaults={"body_hash": said, "created_at": hours.now()},
        )
        if is_new:
            made = make()
            IdempotencyKey.objects.filter(pk=row.pk).update(made=made.pk)
            return made
    if row.body_hash != said:
        message = "This Idempotency-Key was used for another request. Nothing was done."
        raise Declined("idempotency_conflict", message, field="Idempotency-Key")
    IdempotencyKey.objects.filter(pk=row.pk).update(replayed=True)
    return UUID(str(row.made))
