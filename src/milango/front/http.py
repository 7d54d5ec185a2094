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
"""A body that has not arrived whole by then is refused (B1)."""


class Gone(Exception):
    """The caller went away before the request was whole."""


class Request:
    """One request. Headers are looked up when somebody asks for them."""

    __slots__ = ("_lines", "_named", "_receive", "client", "method", "path", "query_string")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query_string: bytes = scope["query_string"]
        self.client: tuple[str, int] | None = scope.get("client")
        self._lines: list[tuple[bytes, bytes]] = scope["headers"]
        self._named: dict[bytes, bytes] = dict(self._lines)
        self._receive = receive

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
        """The address that asks, as far as our own proxies vouch for it (A13)."""
        settings = conf()
        forwarded = self.all(b"x-forwarded-for") if settings.trusted_proxies else []
        return _peer(self.client[0] if self.client else "", tuple(forwarded), settings)

    async def body(self, limit: int) -> bytes:
        """The body, of which never more than `limit` bytes are held.

        Raises Declined `body_too_large` by what is announced or by what arrives, and
        `body_too_slow`; raises Gone when the caller leaves.
        """
        check_length(self.header(b"content-length"), limit)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                return await self._read(limit)
        except TimeoutError:
            message = f"The body did not arrive whole within {BODY_SECONDS:.0f} seconds."
            raise Declined("body_too_slow", message) from None

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
