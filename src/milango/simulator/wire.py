"""HTTP as Daraja speaks it: one ASGI endpoint that reads, asks a handler, logs and answers."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import msgspec
from starlette.types import Receive, Scope, Send

from milango.simulator.errors import BadCredentials, Refused
from milango.simulator.ids import now

if TYPE_CHECKING:
    from milango.simulator.world import World

BODY_LIMIT = 64 * 1024
JSON = "application/json;charset=UTF-8"


@dataclass(slots=True, repr=False)
class Call:
    """One request; `consumer_key` is filled in by whoever finds out."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[bytes, bytes]
    body: bytes
    consumer_key: str = ""

    def header(self, name: str) -> str:
        return self.headers.get(name.encode(), b"").decode("latin-1")


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What goes back. `closed` shuts the connection and sends nothing."""

    status: int
    body: bytes
    media: str = JSON
    code: str = ""
    closed: bool = False


Handler = Callable[["World", Call], Awaitable[Answer]]


def json_answer(body: Any, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(body))


def error_answer(world: World, refused: Refused) -> Answer:
    """Daraja's error envelope."""
    error = refused.error
    body = {
        "requestId": world.ids.request_id(),
        "errorCode": error.code,
        "errorMessage": error.text.format(detail=refused.detail),
    }
    return Answer(error.status, msgspec.json.encode(body), code=error.code)


class Endpoint:
    """An ASGI application around one handler. Every call of it stands in `/control/requests`."""

    def __init__(self, world: World, method: str, handler: Handler) -> None:
        self._world = world
        self._method = method
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        call = await _read(scope, receive)
        answer = await self._answer(call)
        self._world.log_call(
            at=now().isoformat(),
            method=call.method,
            path=call.path,
            consumer_key=call.consumer_key,
            status=0 if answer.closed else answer.status,
            error_code=answer.code,
            milliseconds=round((time.perf_counter() - began) * 1000, 1),
        )
        await (_close(receive, send) if answer.closed else _send(answer, send))

    async def _answer(self, call: Call) -> Answer:
        try:
            if self._method not in ("*", call.method):
                raise Refused("method", call.method)
            if len(call.body) > BODY_LIMIT:
                raise Refused("invalid_payload")
            return await self._handler(self._world, call)
        except Refused as refused:
            return error_answer(self._world, refused)
        except BadCredentials:
            return Answer(self._world.settings.bad_credentials_status, b"")


async def _read(scope: Scope, receive: Receive) -> Call:
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if len(body) <= BODY_LIMIT:
            body += message.get("body", b"")
        more = message.get("more_body", False)
    return Call(
        method=scope["method"],
        path=scope["path"],
        query=parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True),
        headers=dict(scope["headers"]),
        body=bytes(body),
    )


async def _send(answer: Answer, send: Send) -> None:
    headers = [
        (b"content-type", answer.media.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _close(receive: Receive, send: Send) -> None:
    """Hang up without a byte.

    ASGI has no word for it. Under uvicorn `receive` belongs to the object that holds the
    transport; any other server is made to hang up by promising a body that never comes.
    """
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    abort = getattr(transport, "abort", None)
    if abort is not None:
        abort()
        await receive()
        return
    headers = [(b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
