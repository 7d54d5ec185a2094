"""Rows that are asked for at every request, remembered for a few seconds.

A change is seen at once in the process that makes it, and within the seconds stated in others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, Final, Generic, TypeVar

from django.db.models import Model
from django.db.models.signals import post_delete, post_save

T = TypeVar("T")

MOST: Final = 10_000
"""Entries of one cache; a full one is emptied."""

_all: Final[list[Remembered[Any]]] = []


class Remembered(Generic[T]):
    """Values by key, each for so many seconds; forgotten when a row of `of` is saved or deleted."""

    def __init__(self, *, seconds: float, of: tuple[type[Model], ...]) -> None:
        self._seconds = seconds
        self._kept: dict[Hashable, tuple[float, T]] = {}
        for model in of:
            for signal in (post_save, post_delete):
                signal.connect(self._forget, sender=model, weak=False)
        _all.append(self)

    def get(self, key: Hashable, look_up: Callable[[], T]) -> T:
        """The value, looked up when it is not known or not fresh. Errors are not remembered."""
        found = self.peek(key)
        if found is not None:
            return found
        value = look_up()
        if len(self._kept) >= MOST:
            self._kept.clear()
        self._kept[key] = time.monotonic() + self._seconds, value
        return value

    def peek(self, key: Hashable) -> T | None:
        """The value if it is known and fresh; asks nobody."""
        found = self._kept.get(key)
        return found[1] if found and found[0] > time.monotonic() else None

    def _forget(self, **kwargs: Any) -> None:
        self._kept.clear()


def forget_everything() -> None:
    """Empty all caches: the database was changed behind our back."""
    for cache in _all:
        cache._forget()
