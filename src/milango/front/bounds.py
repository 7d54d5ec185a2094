"""What Django is handed: requests whose body has a bound, in bytes and in seconds.

By itself Django writes a body of any length to the disk, and waits for it for ever.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from milango.core.answers import problem_answer
from milango.core.errors import Declined
from milango.core.intake import check_length, too_large

from .http import BODY_SECONDS, Patience, Receive, Scope, Send, too_slow, write


class Bound(NamedTuple):
    """How large a body may be below a path, and how long it may take."""

    prefix: str
    limit: int
    """Bytes."""
    seconds: float


BOUNDS: Final = (
    Bound("/callbacks/", 65_536, BODY_SECONDS),
    Bound("", 32 * 1024 * 1024, 60.0),
)
"""The first that fits. A door may ask for less."""


class Bounded:
    """An ASGI application behind the bounds."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._patiences = {bound: Patience(bound.seconds) for bound in BOUNDS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        bound = next(each for each in BOUNDS if scope["path"].startswith(each.prefix))
        body = Body(receive, bound.limit, self._patiences[bound], scope.get("milango.began"))
        try:
            check_length(_length(scope), bound.limit)
            await self._application(scope, body.receive, send)
            if body.refusal:
                raise body.refusal
        except Declined as refusal:
            await write(problem_answer(refusal), send)


class Body:
    """A body on its way. One that goes too far ends as if the caller had left."""

    def __init__(
        self, receive: Receive, limit: int, patience: Patience, began: float | None
    ) -> None:
        self._receive = receive
        self._limit = limit
        self._left = limit
        self._patience = patience
        self._began = began
        self._is_whole = False
        self.refusal: Declined | None = None

    async def receive(self) -> dict[str, Any]:
        """The next message, as ASGI has it."""
        if self._is_whole:
            return await self._receive()  # nothing but that the caller leaves
        if self.refusal:
            return {"type": "http.disconnect"}
        try:
            with self._patience.since(self._began):
                message = await self._receive()
        except TimeoutError:
            return self._refuse(too_slow(self._patience))
        self._left -= len(message.get("body", b""))
        if self._left < 0:
            return self._refuse(too_large(self._limit))
        self._is_whole = not message.get("more_body", False)
        return message

    def _refuse(self, refusal: Declined) -> dict[str, Any]:
        self.refusal = refusal
        return {"type": "http.disconnect"}


def _length(scope: Scope) -> str | None:
    found = dict(scope["headers"]).get(b"content-length")
    return found.decode("latin-1") if found else None
