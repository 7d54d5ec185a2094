"""One HTTP connection, as uvicorn serves it, without what costs every request a little.

- An answer leaves in one piece: a head and a body written apart are two calls into the kernel, and
  wake the caller twice.
- Whoever only holds a connection is parted with, and whoever sends without end. All connections
  are looked at together, about once a second: a timer for each request costs a tenth of what a
  callback does, and uvicorn has no bound at all for a head.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS: Final = 5.0
"""Until a request's head has arrived, from its first byte on; and until the next request begins."""

UNREAD_SECONDS: Final = 60.0
"""How long a caller may leave unread what was written to it."""

HEAD_LIMIT: Final = 65_536
"""Bytes of a head."""

REQUEST_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of what follows it, as they are on the wire: more than any door takes."""

MOST_AHEAD: Final = 32
"""Requests that a caller may send before it has read the answer to the first."""

TICKS: Final = 10
"""uvicorn's server ticks so often in a second."""


class Whole:
    """A transport that holds the head of an answer back until its body comes."""

    __slots__ = ("_held", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._held = b""

    def write(self, data: bytes) -> None:
        """Write, unless it is a head: then with what comes next."""
        if self._held:
            data, self._held = self._held + data, b""
        elif _is_head(data):
            self._held = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Write the head of an answer that has no body."""
        if self._held:
            self.write(b"")

    def close(self) -> None:
        """Close, after what was held back."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _is_head(data: bytes) -> bool:
    """Whether an answer follows; `100 Continue` is what the caller waits for before it goes on."""
    return (
        data.startswith(b"HTTP/1.1 ")
        and data.endswith(b"\r\n\r\n")
        and not data.startswith(b"HTTP/1.1 100 ")
    )


class Connection(HttpToolsProtocol):
    """One connection."""

    waits_since: float | None
    """Since when it has no request under way, on the loop's clock."""
    unread_since: float | None
    """Since when what was written to it is not read."""
    room: int
    """Bytes that it may still send of what it is sending."""

    def connection_made(self, transport: Any) -> None:
        """Somebody called."""
        super().connection_made(Whole(transport))  # type: ignore[arg-type]
        self.waits_since = self.loop.time()
        self.unread_since = None
        self.room = HEAD_LIMIT

    def data_received(self, data: bytes) -> None:
        """Something came."""
        self.room -= len(data)
        super().data_received(data)
        if self.room < 0:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """The first byte of a request: its head has so long, and so much, from now on."""
        super().on_message_begin()
        self.room = HEAD_LIMIT
        if self.waits_since is not None:
            self.waits_since = self.loop.time()

    def on_headers_complete(self) -> None:
        """The request is under way: what comes now is the application's to wait for."""
        if len(self.pipeline) >= MOST_AHEAD:
            # The parser takes any error for a bad request, and stops there.
            raise ValueError("too many requests ahead of their answers")
        self.scope["milango.began"] = self.waits_since  # type: ignore[typeddict-unknown-key]
        self.waits_since = None
        self.room = REQUEST_LIMIT
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Nothing of the request is to come; mostly it came with the head, before anybody asks."""
        self.scope["milango.whole"] = True  # type: ignore[typeddict-unknown-key]
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """As uvicorn's own, without its timer."""
        self.transport.flush()  # type: ignore[attr-defined]
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self.waits_since = self.loop.time()

    def pause_writing(self) -> None:
        """The caller does not read."""
        super().pause_writing()
        self.unread_since = self.loop.time()

    def resume_writing(self) -> None:
        """It does."""
        super().resume_writing()
        if not self.transport.is_closing():
            self.unread_since = None

    def part_if_late(self, now: float) -> None:
        """Close it, if it has waited too long for a request, or for somebody who reads."""
        if self.waits_since is not None and self.waits_since < now - HEAD_SECONDS:
            self.waits_since = None
            # The end of a long answer may still be on its way to somebody slow.
            self.unread_since = self.unread_since or now
            self.transport.close()
        elif self.unread_since is not None and self.unread_since < now - UNREAD_SECONDS:
            self.transport.abort()


class Server(uvicorn.Server):
    """uvicorn's server, which parts with those who only hold a connection."""

    async def on_tick(self, counter: int) -> bool:
        """Called about ten times a second."""
        if counter % TICKS == 0:
            now = asyncio.get_running_loop().time()
            for each in tuple(self.server_state.connections):
                if isinstance(each, Connection):
                    each.part_if_late(now)
        return await super().on_tick(counter)
