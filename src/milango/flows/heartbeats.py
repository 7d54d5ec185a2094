"""Which processes do the background work, and whether they still do."""

from __future__ import annotations

import hashlib
import os
import socket
from datetime import datetime, timedelta
from typing import Final

from django.db.models.functions import Now

from milango.models import Heartbeat

from . import hours

EVERY: Final = 5.0
"""Seconds between two signs of life of one process."""

ALIVE: Final = timedelta(seconds=60)
"""A worker that has said nothing for so long counts as gone: one round may wait for Daraja."""

FORGOTTEN: Final = timedelta(days=1)


def beat() -> None:
    """Say that this process works. The time is the database's."""
    host = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:12]
    name = f"{host}:{os.getpid()}"
    row = Heartbeat.objects.filter(pk=name)
    if not row.update(at=Now()):
        Heartbeat.objects.filter(at__lt=hours.now() - FORGOTTEN).delete()
        born = Heartbeat(name=name, host=host, started_at=Now(), at=Now())
        Heartbeat.objects.bulk_create([born], ignore_conflicts=True)


def last() -> datetime | None:
    """When any worker was heard of last; None: never."""
    return Heartbeat.objects.order_by("-at").values_list("at", flat=True).first()


def alive() -> int:
    """How many workers are at work."""
    return Heartbeat.objects.filter(at__gt=hours.now() - ALIVE).count()
