"""Rows that are asked for at every request, remembered for a few seconds.

A change is seen at once in the process that makes it, and on PostgreSQL in every process that
listens (`front.bell`); where nobody listens, within the seconds stated.
"""

from __future__ import annotations

import os
import time
from asyncio import _get_running_loop
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection, transaction
from django.db.models import Model
from django.db.models.signals import post_delete, post_save

T = TypeVar("T")

MOST: Final = 10_000
"""Entries of one cache; a full one is emptied."""

CHANNEL: Final = "milango_changes"
"""Where PostgreSQL calls out that something remembered has changed."""

_all: Final[list[Remembered[Any]]] = []


def refuse_to_block() -> None:
    """Raise SynchronousOnlyOperation on a loop, before half a query is put together for nothing."""
    if _get_running_loop() and not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE"):
        raise SynchronousOnlyOperation("this has to be looked up in a thread")


class Remembered(Generic[T]):
    """Values by key, each for so many seconds; forgotten when a row of `of` is saved or deleted."""

    def __init__(self, *, seconds: float, of: tuple[type[Model], ...]) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[float, T]] = {}
        self._forgotten = 0
        for model in of:
            for signal in (post_save, post_delete):
                signal.connect(self._changed, sender=model, weak=False)
        _all.append(self)

    def get(self, key: Hashable, look_up: Callable[[], T]) -> T:
        """The value, looked up when it is not known or not fresh. Errors are not remembered.

        On an event loop nothing is looked up: raises SynchronousOnlyOperation, as Django would.
        """
        found = self._kept.get(key)
        if found and found[0] > time.monotonic():
            return found[1]
        refuse_to_block()
        before = self._forgotten
        value = look_up()
        if before == self._forgotten:  # or it may be from before the change
            if len(self._kept) >= MOST:
                self._kept.clear()
            self._kept[key] = time.monotonic() + self._seconds, value
        return value

    def _changed(self, **kwargs: Any) -> None:
        self.forget()
        # Once more after the commit: somebody may have looked up the old row meanwhile.
        transaction.on_commit(self.forget)
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_notify(%s, '')", [CHANNEL])

    def forget(self) -> None:
        """Look everything up again."""
        self._forgotten += 1
        self._kept.clear()


def forget_everything() -> None:
    """Empty all caches: the database was changed behind our back."""
    for cache in _all:
        cache.forget()
