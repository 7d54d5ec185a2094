"""Ids: UUIDv7 inside, `pay_…` outside."""

from __future__ import annotations

import os
import secrets
import threading
from datetime import datetime
from typing import Final, TypeVar
from uuid import UUID

from django.db import models
from django.db.models import QuerySet

from .clock import nanoseconds

M = TypeVar("M", bound=models.Model)

PREFIXES: Final = {
    "payment": "pay",
    "paymentevent": "evt",
    "merchant": "mer",
    "customer": "cus",
    "mpesacredential": "crd",
    "apikey": "key",
    "accessgrant": "grt",
    "webhookendpoint": "whe",
    "webhookdelivery": "whd",
    "doubt": "dbt",
    "operatorword": "wrd",
    "statementimport": "stm",
    "errand": "ern",
    "inboundcallback": "cbk",
    "reversal": "rev",
}


def uuid7() -> UUID:
    """A time-ordered random id: new rows lie side by side in every index (RFC 9562, 5.7)."""
    return UUID(int=_uuid7())


def uuid7_bytes() -> bytes:
    """The same as 16 bytes, for rows that are written and not looked at."""
    return _uuid7().to_bytes(16)


def first_uuid7(at: datetime) -> UUID:
    """The lowest such id of an instant: ids from then on are not below it."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


class _Chance(threading.local):
    """Random bytes of one thread, fetched many at a time: each fetch hands the interpreter over."""

    bytes_left = b""

    def ten(self) -> bytes:
        if len(self.bytes_left) < 10:
            self.bytes_left = os.urandom(2_560)
        found, self.bytes_left = self.bytes_left[-10:], self.bytes_left[:-10]
        return found


_chance: Final = _Chance()


def _uuid7() -> int:
    value = (nanoseconds() // 1_000_000) << 80 | int.from_bytes(_chance.ten(), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return value & ~(0x3 << 62) | 0x2 << 62


def new_checkout_id() -> str:
    """The random id by which a browser may know a payment: it tells nothing about the payer."""
    return f"co_{secrets.token_hex(16)}"


def parse_public_id(text: str, prefix: str) -> UUID | None:
    """The UUID inside `pay_0190…`, or None when it is not one of ours."""
    head, _, tail = text.partition("_")
    if head != prefix or len(tail) != 32 or tail != tail.lower():
        return None
    try:
        return UUID(hex=tail)
    except ValueError:
        return None


def with_public_id(rows: QuerySet[M], text: str) -> M | None:
    """The one of these rows that has this public id; None where there is none of them."""
    known = parse_public_id(text.strip(), PREFIXES[str(rows.model._meta.model_name)])
    return rows.filter(pk=known).first() if known else None


class Identified(models.Model):
    """A row with a UUIDv7 for its key and a public id for people and machines outside."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True

    @property
    def public_id(self) -> str:
        """`pay_…`, `mer_…`: what the API and the admin show."""
        return f"{PREFIXES[str(self._meta.model_name)]}_{self.id.hex}"
