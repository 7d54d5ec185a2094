"""HTTP as the hot door needs it: a request read from ASGI, an answer written to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qsl

from milango.conf import Conf, conf
from milango.core.answers import Answer
from milango.core.errors import Declined
from milango.core.intake import check_length, too_large
from milango.core.peers import peer_of

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

BODY_SECONDS: Final = 5.0
"""A request that has not arrived whole by then is refused; from the first byte of its head on,
where the server tells when that was."""


class Patience:
    """So many seconds for something, of many tasks at once: `with patience.since(then): await ...`.

    Raises TimeoutError, up to a quarter late: one timer looks at all of them. A timer for each
    would cost a tenth of what a callback does.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._waits: set[Wait] = set()
        self._timer: asyncio.TimerHandle | None = None

    def since(self, began: float | None = None) -> Wait:
        """From that moment on the loop's clock; None: from now on."""
        return Wait(self, began)

    def add(self, wait: Wait) -> None:
        """Look at this one too."""
        self._waits.add(wait)
        if self._timer is None:
            self._set_timer()

    def remove(self, wait: Wait) -> None:
        """It is over."""
        self._waits.discard(wait)

    def _set_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.seconds / 4, self._look)

    def _look(self) -> None:
        moment = asyncio.get_running_loop().time() - self.seconds
        for wait in [wait for wait in self._waits if wait.began <= moment]:
            self._waits.discard(wait)
            wait.give_up()
        self._timer = None
        if self._waits:
            self._set_timer()


class Wait:
    """One task's patience."""

    __slots__ = ("_is_late", "_patience", "_task", "began")

    def __init__(self, patience: Patience, began: float | None) -> None:
        self.began = asyncio.get_running_loop().time() if began is None else began
        self._patience = patience
        self._task = asyncio.current_task()
        self._is_late = False

    def give_up(self) -> None:
        """It is late."""
        self._is_late = True
        if self._task:
            self._task.cancel()

    def __enter__(self) -> None:
        self._patience.add(self)

    def __exit__(self, kind: type[BaseException] | None, *other: object) -> None:
        self._patience.remove(self)
        if not self._is_late or not self._task:
            return
        # Somebody else may have cancelled the task as well: then that is what it is told.
        if self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise TimeoutError


class Gone(Exception):
    """The caller went away before the request was whole."""


class Request:
    """One request. Headers are looked up when somebody asks for them."""

    __slots__ = (
        "_began",
        "_is_whole",
        "_lines",
        "_named",
        "_patience",
        "_receive",
        "client",
        "method",
        "path",
        "query_string",
    )

    def __init__(self, scope: Scope, receive: Receive, patience: Patience) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.client: tuple[str, int] | None = scope.get("client")
        self._lines: list[tuple[bytes, bytes]] = scope["headers"]
        self._named: dict[bytes, bytes] = dict(self._lines)
        self._receive = receive
        self._patience = patience
        self._began: float | None = scope.get("milango.began")
        self._is_whole: bool = scope.get("milango.whole", False)

    def header(self, name: bytes) -> str | None:
        """The header's value; lines of the same name are joined by commas."""
        found = self._named.get(name)
        if found is None:
            return None
        if len(self._named) < len(self._lines):
            return ",".join(self.all(name))
        return found.decode("latin-1")

    def all(self, name: bytes) -> list[str]:
        """Every line of the header."""
        return [value.decode("latin-1") for key, value in self._lines if key == name]

    def query(self, name: str) -> str | None:
        """A parameter of the address; the last one when it is given twice."""
        if not self.query_string:
            return None
        pairs = parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True)
        return dict(pairs).get(name)

    @property
    def peer(self) -> str:
        """The address that asks, as far as our own proxies vouch for it."""
        settings = conf()
        forwarded = self.all(b"x-forwarded-for") if settings.trusted_proxies else []
        return _peer(self.client[0] if self.client else "", tuple(forwarded), settings)

    async def body(self, limit: int) -> bytes:
        """The body, of which never more than `limit` bytes are held.

        Raises Declined `body_too_large` by what is announced or by what arrives, and
        `body_too_slow`; raises Gone when the caller leaves.
        """
        check_length(self.header(b"content-length"), limit)
        if self._is_whole:
            return await self._read(limit)
        try:
            with self._patience.since(self._began):
                return await self._read(limit)
        except TimeoutError:
            raise too_slow(self._patience) from None

    async def _read(self, limit: int) -> bytes:
        body = b""
        while True:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            body += bytes(message.get("body", b""))
            if len(body) > limit:
                raise too_large(limit)
            if not message.get("more_body", False):
                return body


def too_slow(patience: Patience) -> Declined:
    """The refusal of a body that takes too long."""
    message = f"The body did not arrive whole within {patience.seconds:.0f} seconds."
    return Declined("body_too_slow", message)


@lru_cache(maxsize=4096)
def _peer(socket_peer: str, forwarded: tuple[str, ...], settings: Conf) -> str:
    return peer_of(socket_peer, forwarded, settings.trusted_proxies)


async def write(answer: Answer, send: Send) -> None:
    """Send an answer whole."""
    headers = [
        (b"content-type", answer.content_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    if answer.headers:
        headers += [
            (name.lower().encode(), value.encode("latin-1"))
            for name, value in answer.headers.items()
        ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
