"""Which installation a database belongs to: a copy must never send prompts."""

from __future__ import annotations

from typing import Final

from milango.conf import conf
from milango.core.errors import Declined
from milango.models import Installation

from . import audit
from .caches import Remembered

_known: Final = Remembered[str](seconds=30, of=(Installation,))


def current() -> Installation:
    """The installation's row; the first caller makes it."""
    row, _ = Installation.objects.get_or_create(pk=1, defaults={"public_url": conf().public_url})
    return row


def require_adopted() -> None:
    """Raise Declined `not_adopted` when this database was made for another public address."""
    known = _known.get("", lambda: current().public_url)
    ours = conf().public_url
    if known != ours:
        message = (
            f"This database belongs to {known}, but MILANGO['PUBLIC_URL'] is {ours}. "
            "No prompt was sent. If that is meant, run: milango adopt"
        )
        raise Declined("not_adopted", message, retry_after=60)


def adopt(*, actor: str) -> Installation:
    """Declare that this database now belongs to the configured public address."""
    row = current()
    before, row.public_url = row.public_url, conf().public_url
    if before != row.public_url:
        row.save()
        audit.record(actor, "installation.adopted", row.public_url, before=before)
    return row
