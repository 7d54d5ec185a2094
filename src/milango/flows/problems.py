"""What callers are told of an exception, whichever door they came through."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Final

from django.db import InterfaceError, OperationalError

from milango.core.errors import DarajaBusy, Declined, InvalidRequest, MilangoError

logger = logging.getLogger(__name__)

SHOWN: Final = (InvalidRequest, Declined, DarajaBusy)
"""Our errors that are meant for the caller. Any other one is a matter of our own."""

TRAIL: Final = 8
"""Calls that the log names for an unexpected error, the innermost first."""

DATABASE_DOWN: Final = (
    "The database cannot be reached now. If this was a request for a prompt, "
    "repeat it with the same Idempotency-Key: at most one prompt is sent."
)
BROKEN: Final = (
    "Something broke on our side. If this was a request for a prompt, repeat it with the "
    "same Idempotency-Key, or look for the payment first: a prompt may have been sent."
)


def our_error(error: Exception) -> MilangoError:
    """The error as the caller may see it; one that is not the caller's business is logged."""
    if isinstance(error, SHOWN):
        return error
    log_unexpected(error)
    if isinstance(error, OperationalError | InterfaceError):
        return Declined("database_unavailable", DATABASE_DOWN, retry_after=5)
    return Declined("internal_error", BROKEN)


def log_unexpected(error: Exception) -> None:
    """Say in the log where an error was raised, and nothing of what it says."""
    # An exception's text may hold a phone number or a secret; where it was raised does not.
    frames = traceback.extract_tb(error.__traceback__)[-TRAIL:]
    trail = " < ".join(
        f"{Path(frame.filename).stem}.{frame.name}:{frame.lineno}" for frame in reversed(frames)
    )
    logger.error("unexpected %s in %s", type(error).__name__, trail)
