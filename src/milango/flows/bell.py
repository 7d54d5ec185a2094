"""Tells this process's waiters that payments have news, after the commit.

On PostgreSQL the settling transaction itself calls the ids out (NOTIFY), and the hot door listens.
SQLite has one process, so its waiters are told here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from uuid import UUID

Listener = Callable[[Sequence[UUID]], None]
"""Takes the ids of payments with news. Called in whatever thread has committed."""

_listeners: Final[set[Listener]] = set()


def subscribe(listener: Listener) -> Callable[[], None]:
    """Have the listener told from now on; returns what ends that."""
    _listeners.add(listener)
    return lambda: _listeners.discard(listener)


def ring(payment_ids: Sequence[UUID]) -> None:
    """Tell everybody who listens in this process."""
    for listener in tuple(_listeners):
        listener(payment_ids)
