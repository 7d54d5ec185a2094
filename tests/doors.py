"""Both doors behind one client: what the hot door takes goes there, everything else to Django."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import connections
from django.http import HttpResponse
from django.test import Client

from milango.flows import batches
from milango.flows.batches import Verb
from milango.front.app import Front, find
from milango.front.turns import Turns

T = TypeVar("T")


class Inline:
    """An inbox without threads: the test's own connection, and so its transaction."""

    async def submit(self, verb: Verb, item: Any, **options: Any) -> Any:
        (outcome,) = batches.run(verb, [item])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class InlineFront(Front):
    """The hot door within the test's thread."""

    def __init__(self) -> None:
        super().__init__(_nowhere)
        self.inbox = Inline()  # type: ignore[assignment]
        self.turns = Turns()
        self.waiters = None  # type: ignore[assignment]  # nobody waits in one request
        self._connection = connections["default"]

    async def in_thread(self, work: Callable[[], T]) -> T:
        connections["default"] = self._connection  # also in a context of its own
        return work()


async def _nowhere(scope: Any, receive: Any, send: Any) -> None:
    raise AssertionError("the test client asks Django by itself")


class FrontClient(Client):
    """Django's test client, whose hot requests are answered by the hot door."""

    def request(self, **request: Any) -> Any:
        environ = self._base_environ(**request)  # type: ignore[attr-defined]  # as Client has it
        scope = _scope(environ)
        if find(scope) is None:
            return super().request(**request)
        body = environ.get("wsgi.input", io.BytesIO())
        return asyncio.run(_within(connections["default"], scope, body))


async def _within(own: Any, scope: dict[str, Any], body: Any) -> Response:
    """Under a loop Django would open another connection; the test's transaction is in this one."""
    connections["default"] = own
    return await ask(InlineFront(), scope, body)


def _scope(environ: dict[str, Any]) -> dict[str, Any]:
    headers = [
        (name[5:].replace("_", "-").lower().encode(), str(value).encode("latin-1"))
        for name, value in environ.items()
        if name.startswith("HTTP_")
    ]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            key = name.replace("_", "-").lower().encode()
            headers.append((key, str(environ[name]).encode("latin-1")))
    return {
        "type": "http",
        "method": environ["REQUEST_METHOD"],
        "path": environ["PATH_INFO"].encode("latin-1").decode("utf-8", "replace"),
        "query_string": environ.get("QUERY_STRING", "").encode("latin-1"),
        "headers": headers,
        "client": (environ.get("REMOTE_ADDR", ""), 1),
    }


class Response(HttpResponse):
    """What Django's test client gives."""

    def json(self) -> Any:
        return json.loads(self.content)


async def ask(front: Front, scope: dict[str, Any], body: Any) -> Response:
    """One request to an ASGI application, its body in pieces; gives Django's response."""
    sent: list[dict[str, Any]] = []
    left = int(dict(scope["headers"]).get(b"content-length", 0))

    async def receive() -> dict[str, Any]:
        nonlocal left
        piece = body.read(min(left, 4_096))
        left -= len(piece)
        return {"type": "http.request", "body": piece, "more_body": left > 0}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await front(scope, receive, send)
    response = Response(
        b"".join(message.get("body", b"") for message in sent[1:]), status=sent[0]["status"]
    )
    for name, value in sent[0]["headers"]:
        response.headers[name.decode().title()] = value.decode("latin-1")
    return response


# The loop of a hot request runs in the test's thread, and the flows use that thread's connection:
# whoever opens this door sets DJANGO_ALLOW_ASYNC_UNSAFE.
DOORS: dict[str, type[Client]] = {"django": Client, "front": FrontClient}
