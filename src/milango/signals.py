"""One signal for the host project."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from django.dispatch import Signal

payment_changed: Final = Signal()
"""Sent after the commit, once for each payment with news. Argument: `payment_id` (a UUID).

Receivers run after the answer to Safaricom is decided: what they raise is logged, and changes
nothing about the money.
"""


def announce(payment_ids: Sequence[UUID]) -> None:
    """Send `payment_changed` for each id; a receiver's error stops nobody."""
    for payment_id in payment_ids:
        payment_changed.send_robust(sender=None, payment_id=payment_id)


endpoint_disabled: Final = Signal()
"""Sent after the commit, when a webhook endpoint is told nothing any more: by hand, because it
answered 410, or because it took nothing for days. Argument: `endpoint_id` (a UUID)."""


def announce_disabled(endpoint_id: UUID) -> None:
    """Send `endpoint_disabled`; a receiver's error stops nobody."""
    endpoint_disabled.send_robust(sender=None, endpoint_id=endpoint_id)
