"""The process's paces toward Daraja: asked before anything is written down or sent."""

from __future__ import annotations

import math
import threading
import time
from typing import Final

from milango.core.errors import DarajaBusy
from milango.core.fairness import SOON, Shares, is_pushing_back
from milango.daraja import DynamicMpesaClient

_lock: Final = threading.Lock()
shares: Final = Shares()


def admit(client: DynamicMpesaClient, *, patience: float = SOON) -> float:
    """Take a place in the app's pace; returns the seconds to wait for it.

    Raises DarajaBusy when it cannot be soon: nothing was written and nothing was sent.
    """
    with _lock:
        wait = shares.reserve(client.app, time.monotonic(), patience=patience)
    if wait > patience:
        message = "Daraja takes no more requests from this app just now. No prompt was sent."
        raise DarajaBusy(message, retry_after=max(1, math.ceil(wait)))
    return wait


def try_for_place(client: DynamicMpesaClient) -> float:
    """Take a place in the app's pace if one is free now: 0.0. Otherwise the seconds until one
    may be, and none is taken: payers' own requests go first."""
    with _lock:
        return shares.reserve(client.app, time.monotonic(), patience=0.0)


def room(client: DynamicMpesaClient, seconds: float) -> int:
    """How many requests of this app may go out within so many seconds."""
    with _lock:
        return shares.room(client.app, time.monotonic(), seconds)


def learn(client: DynamicMpesaClient, error: DarajaBusy | None) -> None:
    """Keep in mind how Daraja took a request; an error that is not about the pace says nothing."""
    with _lock:
        if error is None:
            shares.taken(client.app, time.monotonic())
        elif is_pushing_back(error.daraja_code):
            shares.pushed_back(client.app, time.monotonic())
