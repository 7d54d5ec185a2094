"""The wire to Safaricom's Daraja. Usable without Django."""

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent

from .client import DynamicMpesaClient, NotYetSupported
from .messages import PushAccepted, QueryAnswer

__all__ = [
    "DarajaBusy",
    "DarajaError",
    "DarajaRefused",
    "DarajaSilent",
    "DynamicMpesaClient",
    "NotYetSupported",
    "PushAccepted",
    "QueryAnswer",
]
