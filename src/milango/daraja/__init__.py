"""The wire to Safaricom's Daraja. Usable without Django.

The client loads when it is first asked for: whoever needs the addresses only, or reads callbacks
only, does not pay for an HTTP library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent

if TYPE_CHECKING:
    from .asking import NoInitiator
    from .client import DynamicMpesaClient
    from .messages import PushAccepted, QueryAnswer
    from .questions import (
        PulledPayment,
        PullPage,
        PullRegistered,
        Registered,
        ResponseType,
        StatusAccepted,
    )

__all__ = [
    "DarajaBusy",
    "DarajaError",
    "DarajaRefused",
    "DarajaSilent",
    "DynamicMpesaClient",
    "NoInitiator",
    "PullPage",
    "PullRegistered",
    "PulledPayment",
    "PushAccepted",
    "QueryAnswer",
    "Registered",
    "ResponseType",
    "StatusAccepted",
]

_HOMES = {
    "DynamicMpesaClient": "client",
    "NoInitiator": "asking",
    "PullPage": "questions",
    "PullRegistered": "questions",
    "PulledPayment": "questions",
    "PushAccepted": "messages",
    "QueryAnswer": "messages",
    "Registered": "questions",
    "ResponseType": "questions",
    "StatusAccepted": "questions",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{home}", __name__), name)
