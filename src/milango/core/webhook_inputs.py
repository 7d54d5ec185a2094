"""What a merchant's program may say about its webhook endpoints. Pure: bytes in, checked words out.

Whether events may be sent to an address is not known here: `outbound.check_url` judges it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from .errors import InvalidRequest
from .filters import read_moment
from .inputs import read_fields
from .webhooks import OLD_SECRET_FOR, event_types

LONGEST_URL: Final = 500
LONGEST_KEPT: Final = 30 * 24
"""Hours that the secret before may sign too."""
LONGEST_SPAN: Final = timedelta(days=31)
"""What one replay of a span may cover."""


class NewEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address that wants to be told."""

    url: str
    event_types: list[str] = []
    """Empty: all of them."""
    full_phone: bool = False
    ed25519: bool = False


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """A new secret."""

    keep_hours: int = int(OLD_SECRET_FOR / timedelta(hours=1))
    """How long the secret before signs too."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """What happened in a span of time is told again."""

    since: datetime
    until: datetime
    event_types: list[str] = []
    """Empty: all that the endpoint subscribes to."""


def read_new(body: bytes) -> NewEndpoint:
    """A new endpoint from a JSON body. Raises InvalidRequest, naming every field at fault."""
    return NewEndpoint(**read_fields(body, NEW, ("url",)))


def read_change(body: bytes) -> dict[str, Any]:
    """The fields to change, and what they shall be. Raises InvalidRequest like `read_new`."""
    return read_fields(body, CHANGE)


def read_rotation(body: bytes) -> Rotation:
    """How a secret is replaced. Raises InvalidRequest like `read_new`."""
    return Rotation(**read_fields(body, ROTATION))


def read_test(body: bytes) -> str:
    """The type of a test event. Raises InvalidRequest like `read_new`."""
    return str(read_fields(body, TEST).get("event_type", "ping"))


def read_span(body: bytes, now: datetime) -> Span:
    """What is to be told again. Raises InvalidRequest like `read_new`."""
    span = Span(**{"until": now} | read_fields(body, SPAN, ("since",)))
    if not timedelta() <= span.until - span.since <= LONGEST_SPAN:
        message = f"since must be before until, by {LONGEST_SPAN.days} days at most."
        raise InvalidRequest(message, field="since")
    return span


def _url(raw: object) -> str:
    if not isinstance(raw, str) or len(raw) > LONGEST_URL:
        message = f"url must be text of at most {LONGEST_URL} characters."
        raise InvalidRequest(message, code="invalid_url")
    return raw


def _event_types(raw: object) -> list[str]:
    if not isinstance(raw, list) or not all(isinstance(each, str) for each in raw):
        message = "event_types must be a list of event types; an empty one means all of them."
        raise InvalidRequest(message, code="invalid_event_type")
    return event_types(raw)


def _event_type(raw: object) -> str:
    return _event_types([raw])[0]


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise InvalidRequest("It must be true or false.")
    return raw


def _hours(raw: object) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= LONGEST_KEPT:
        message = f"keep_hours must be a whole number from 0 to {LONGEST_KEPT}."
        raise InvalidRequest(message)
    return raw


def _moment(raw: object) -> datetime:
    try:
        return read_moment(raw if isinstance(raw, str) else "")
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


Readers = dict[str, Callable[[Any], Any]]

CHANGE: Final[Readers] = {
    "url": _url,
    "event_types": _event_types,
    "full_phone": _flag,
    "active": _flag,
}
NEW: Final[Readers] = {
    "url": _url,
    "event_types": _event_types,
    "full_phone": _flag,
    "ed25519": _flag,
}
ROTATION: Final[Readers] = {"keep_hours": _hours}
TEST: Final[Readers] = {"event_type": _event_type}
SPAN: Final[Readers] = {"since": _moment, "until": _moment, "event_types": _event_types}
