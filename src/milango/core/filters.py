"""What a list may be asked for. Pure: query parameters in, a `PageRequest` out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from . import references
from .errors import InvalidRequest
from .payments import Status
from .phones import normalise
from .webhooks import STATES

LIMIT: Final = 20
MOST: Final = 100


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a list, newest first."""

    where: dict[str, Any] = {}
    """Filters by their name in the API, with checked values."""
    limit: int = LIMIT
    starting_after: UUID | None = None
    """What stood last on the page before."""


Readers = Mapping[str, Callable[[str], Any]]


def read_page(pairs: Iterable[tuple[str, str]], readers: Readers | None = None) -> PageRequest:
    """A page request from query parameters, of payments unless `readers` says of what.

    Raises InvalidRequest `invalid_filter`, naming the parameter, for one that is unknown, given
    twice or not usable.
    """
    values: dict[str, Any] = {}
    readers = READERS if readers is None else readers
    for name, text in pairs:
        if name not in readers:
            known = ", ".join(readers)
            raise _invalid(name[:40], f"There is no such filter; the filters are {known}.")
        if name in values:
            raise _invalid(name, f"{name} is given twice.")
        try:
            values[name] = readers[name](text)
        except ValueError as error:
            raise _invalid(name, str(error)) from None
    limit = values.pop("limit", LIMIT)
    starting_after = values.pop("starting_after", None)
    return PageRequest(where=values, limit=limit, starting_after=starting_after)


def _invalid(name: str, message: str) -> InvalidRequest:
    return InvalidRequest(message, field=name, code="invalid_filter")


def _limit(text: str) -> int:
    if not re.fullmatch("[0-9]{1,3}", text) or not 1 <= int(text) <= MOST:
        raise ValueError(f"limit must be a number from 1 to {MOST}.")
    return int(text)


def _last_of(prefix: str, what: str) -> Callable[[str], UUID]:
    def read(text: str) -> UUID:
        match = re.fullmatch(f"{prefix}_([0-9a-f]{{32}})", text)
        if match is None:
            message = f"starting_after must be the id of a {what}, such as {prefix}_0190…."
            raise ValueError(message)
        return UUID(hex=match[1])

    return read


def _status(text: str) -> str:
    if text not in {status.value for status in Status}:
        raise ValueError(f"status must be one of {', '.join(status.value for status in Status)}.")
    return text


def _state(text: str) -> str:
    if text not in STATES:
        raise ValueError(f"state must be one of {', '.join(STATES)}.")
    return text


def _receipt(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9]{1,32}", text):
        raise ValueError("receipt_number must be an M-Pesa code such as UCE5K7Q2XD.")
    return text.upper()


def read_moment(text: str) -> datetime:
    """An instant from ISO 8601 with a zone. Raises ValueError."""
    message = "Give a time with its zone, such as 2026-03-01T00:00:00Z."
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(message) from None
    if moment.tzinfo is None or not 1970 < moment.year < 9999:
        raise ValueError(message)
    return moment


READERS: Final[dict[str, Callable[[str], Any]]] = {
    "limit": _limit,
    "starting_after": _last_of("pay", "payment"),
    "status": _status,
    "phone_number": normalise,
    "shortcode": references.short_code,
    "receipt_number": _receipt,
    "order_id": references.order_id,
    "account_reference": references.account_reference,
    "service_type": references.service_type,
    "created_after": read_moment,
    "created_before": read_moment,
}

ENDPOINTS: Final[Readers] = {
    "limit": _limit,
    "starting_after": _last_of("whe", "webhook endpoint"),
}
DELIVERIES: Final[Readers] = {
    "limit": _limit,
    "starting_after": _last_of("whd", "delivery"),
    "state": _state,
}
"""The same for a merchant's webhook endpoints, and for the deliveries of one of them."""
