"""The id of the request that is being answered: in each log line, and in the payment's timeline.

A caller may bring its own in `X-Request-ID`; a request without one is given one.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar
from typing import Final

HEADER: Final = "X-Request-ID"

_USABLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")

_current: Final[ContextVar[str]] = ContextVar("milango_request_id", default="")


def begin(given: str | None) -> str:
    """Take the caller's id, or make one when it brought none that can be used; remember it for
    this request and all that it does."""
    usable = given is not None and _USABLE.fullmatch(given)
    found = given if usable and given else f"req_{secrets.token_hex(12)}"
    _current.set(found)
    return found


def echo(given: str | None) -> dict[str, str]:
    """The header of the answer: the caller's own id comes back. One that we made stays with us,
    so that answers which must not be told apart are the same bytes."""
    return {HEADER: given} if given is not None and given == _current.get() else {}


def begin_if(given: str | None) -> None:
    """Remember the caller's id where it brought one: a callback needs none of ours."""
    if given is not None:
        begin(given)


def current() -> str:
    """The id of the request under way; "" outside of requests."""
    return _current.get()
