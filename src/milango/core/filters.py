"""What a list of payments may be asked for. Pure: query parameters in, a `PageRequest` out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from . import references
from .errors import InvalidRequest
from .payments import Status
from .phones import normalise

LIMIT: Final = 20
MOST: Final = 100


class PageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One page of payments, newest first."""

    where: dict[str, Any] = {}
    """Filters by their name in the API, with checked values."""
    limit: int = LIMIT
    starting_after: UUID | None = None
    """The last payment of the page before."""


def read_page(pairs: Iterable[tuple[str, str]]) -> PageRequest:
    """A page request from query parameters.

    Raises InvalidRequest `invalid_filter`, naming the parameter, for one that is unknown, given
    twice or not usable.
    """
    values: dict[str, Any] = {}
    for name, text in pairs:
        if name not in READERS:
            known = ", ".join(READERS)
            raise _invalid(name[:40], f"There is no such filter; the filters are {known}.")
        if name in values:
            raise _invalid(name, f"{name} is given twice.")
        try:
            values[name] = READERS[name](text)
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


def _payment_id(text: str) -> UUID:
    match = re.fullmatch("pay_([0-9a-f]{32})", text)
    if match is None:
        raise ValueError("starting_after must be the id of a payment, such as pay_0190….")
    return UUID(hex=match[1])


def _status(text: str) -> str:
    if text not in {status.value for status in Status}:
        raise ValueError(f"status must be one of {', '.join(status.value for status in Status)}.")
    return text


def _receipt(text: str) -> str:
    if not re.fullmatch("[A-Za-z0-9]{1,32}", text):
        raise ValueError("receipt_number must be an M-Pesa code such as UCE5K7Q2XD.")
    return text.upper()


def _moment(text: str) -> datetime:
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
    "starting_after": _payment_id,
    "status": _status,
    "phone_number": normalise,
    "shortcode": references.short_code,
    "receipt_number": _receipt,
    "order_id": references.order_id,
    "account_reference": references.account_reference,
    "service_type": references.service_type,
    "created_after": _moment,
    "created_before": _moment,
}
