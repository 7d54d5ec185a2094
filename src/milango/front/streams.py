"""GET /api/v1/payments/<id>/events as an event stream: what happens, as it happens.

An idle stream is one suspended coroutine; what it is told is written by a short task of its own.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import UUID

import msgspec

from milango.core.answers import Answer
from milango.core.errors import Declined
from milango.core.intake import origin_of
from milango.flows import read

from .http import Receive, Request, Send
from .waiting import Documents

if TYPE_CHECKING:
    from .app import Front

EVENT_STREAM: Final = "text/event-stream"

OVER: Final = frozenset({"payment.succeeded", "payment.reversed", "payment.voided"})
"""After these nothing is waited for. A failure may still turn into a success."""

MOST_LEFT: Final = 16_384
"""Bytes that wait for a reader who is slow, before it is told more: a timeline may be longer."""

HELLO: Final = b"retry: 2000\n\n"
HEARTBEAT: Final = b":\n\n"
END: Final = b"event: end\ndata: {}\n\n"


class Stream:
    """One caller who is told of one payment."""

    __slots__ = ("_has_begun", "_key", "_left", "_send", "_sending", "_seq", "_task", "done")

    def __init__(self, send: Send, seq: int, key: Key) -> None:
        self._send = send
        self._seq = seq
        self._key = key
        self._left = HELLO
        self._has_begun = False
        self._sending: asyncio.Task[None] | None = None
        self.done = False
        self._task = asyncio.current_task()

    def begin(self) -> None:
        """The head of the answer is out: write what was told meanwhile, and what will be."""
        self._has_begun = True
        self._write(b"")

    def tell(self, events: Documents) -> None:
        """Write the events that this caller has not seen."""
        news = [event for event in events if event["seq"] > self._seq]
        if not news or self.done:
            return
        self._seq = news[-1]["seq"]
        self.done = news[-1]["type"] in OVER
        parts = b"".join(map(written, news))
        self._write(parts + END if self.done else parts)

    def beat(self) -> None:
        """Write a sign of life."""
        self._write(END if self.done else HEARTBEAT)

    def may_stay(self) -> bool:
        """Whether its key or ticket would still open it. May look that up."""
        return self._key.is_good()

    def end(self) -> None:
        """Its key is no good any more."""
        self.done = True
        self._write(END)

    def part(self) -> None:
        """Finish without an end: browsers come back by themselves."""
        self.done = True
        self._write(b"")

    def _write(self, part: bytes) -> None:
        if self._sending and self._task and len(self._left) > MOST_LEFT:
            # Somebody who does not read for that long is not there, or means no good.
            self._task.cancel()
            return
        self._left += part
        if self._has_begun and self._sending is None:
            self._sending = asyncio.ensure_future(self._send_what_is_left())

    async def _send_what_is_left(self) -> None:
        more = True
        while more and (self._left or self.done):
            part, self._left, more = self._left, b"", not self.done
            await self._send({"type": "http.response.body", "body": part, "more_body": more})
        self._sending = None


class Key:
    """What the stream was opened with; looked at again from time to time."""

    __slots__ = ("_authorization", "_origin", "_ticket")

    def __init__(self, request: Request) -> None:
        self._authorization = request.header(b"authorization")
        self._origin = origin_of(request.header(b"origin"))
        self._ticket = request.query("ticket")

    def reader(self) -> read.Reader:
        """Who reads. Raises Declined."""
        return read.reader_of(self._authorization, self._origin, self._ticket)

    def is_good(self) -> bool:
        """Whether it would still be taken."""
        try:
            self.reader()
        except Declined:
            return False
        return True


def written(event: dict[str, object]) -> bytes:
    """One event as a stream writes it; its number is what a caller resumes from."""
    head = f"id: {event['seq']}\nevent: {event['type']}\ndata: ".encode()
    return head + msgspec.json.encode(event) + b"\n\n"


async def payment_events(
    front: Front, request: Request, public_id: str, receive: Receive, send: Send
) -> Answer | None:
    """Stream a payment's events from where the caller left off. None: it has been answered."""
    key = Key(request)
    reader = await front.quickly(key.reader)
    payment = read.known(await front.payment(read.by_public_id(reader, public_id)))
    seen = _seen(request)
    if payment.status in {"Success", "Reversed", "Voided"} and seen >= payment.event_count:
        return Answer(status=204)  # browsers come back after an end, unless they are told this
    stream = Stream(send, seen, key)
    front.waiters.add(payment.pk, stream)
    try:
        await _begin(front, stream, payment.pk, request, send)
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        front.waiters.remove(payment.pk, stream)
    return None


async def _begin(
    front: Front, stream: Stream, payment_id: UUID, request: Request, send: Send
) -> None:
    headers = {"content-type": EVENT_STREAM, "cache-control": "no-store", "x-accel-buffering": "no"}
    headers |= await front.cors(request)
    # Subscribed first, read afterwards: nothing falls between the two. Read before the head is
    # out, so that a database that is away can still be told.
    stream.tell(await front.timelines.ask(payment_id) or [])
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [(n.lower().encode(), v.encode("latin-1")) for n, v in headers.items()],
        }
    )
    stream.begin()


def _seen(request: Request) -> int:
    """The number of the last event that the caller has, 0 for none."""
    word = request.header(b"last-event-id") or request.query("last_event_id") or "0"
    return int(word) if word.isdecimal() and len(word) < 10 else 0
