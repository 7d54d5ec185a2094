"""The ASGI application in front of Django: hot routes here, everything else there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error as AnyDatabaseError
from django.db import connection

from milango.core.answers import Answer, cors_headers, problem_answer
from milango.core.intake import origin_of
from milango.flows.callers import is_known_origin
from milango.flows.problems import our_error

from . import callbacks, push, status
from .http import Gone, Receive, Request, Scope, Send, Streamed, write
from .inbox import Inbox

T = TypeVar("T")

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
Route = Callable[["Front", Request, str], Awaitable[Answer | Streamed]]

PAGES: Final = "/api/v1/"
"""Below this, pages of listed origins may read what is answered."""

ROUTES: Final[dict[str, tuple[str, Route]]] = {
    # path up to its variable part       method, handler
    "/callbacks/stk/": ("POST", callbacks.stk_callback),
    "/api/v1/stk-push": ("POST", push.stk_push),
    "/api/v1/payments/status/": ("GET", status.payment_status),
}

WRITERS: Final = {"postgresql": 1, "sqlite": 1}
"""Writers of one process. PostgreSQL waits for its disk; SQLite has one writer in any case."""

READERS: Final = 4
"""Threads for reads that block."""


class Front:
    """Answers the hot routes; hands everything else to Django."""

    inbox: Inbox

    def __init__(self, django: Application) -> None:
        self._django = django
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="milango-reader")
        self._to_the_end: set[asyncio.Task[Any]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        route = find(scope) if scope["type"] == "http" else None
        if route is None:
            await self._django(scope, receive, send)
        else:
            await self._answer(route, Request(scope, receive), send)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something that blocks, such as a read, beside the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def quickly(self, work: Callable[[], T]) -> T:
        """Do something that mostly finds all it asks for remembered; otherwise in a thread."""
        try:
            return work()
        except SynchronousOnlyOperation:
            # Django asks no database on the loop. Nothing has happened yet.
            return await self.in_thread(work)

    async def to_the_end(self, work: Coroutine[Any, Any, T]) -> T:
        """Await something that goes on when nobody waits for it any more."""
        task = asyncio.ensure_future(work)
        self._to_the_end.add(task)
        task.add_done_callback(self._to_the_end.discard)
        return await asyncio.shield(task)

    # --- its life ---------------------------------------------------------------------------

    async def _live(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await self.open()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def open(self) -> None:
        """Start what works in the background. Once, before the first request."""
        self.inbox = Inbox(writers=WRITERS.get(connection.vendor, 1))

    async def close(self) -> None:
        """Answer what was accepted, then stop."""
        await asyncio.gather(*self._to_the_end, return_exceptions=True)
        await self.inbox.close()
        self._pool.shutdown(wait=False)

    # --- one request ------------------------------------------------------------------------

    async def _answer(self, route: tuple[Route, str], request: Request, send: Send) -> None:
        handler, variable = route
        try:
            answer = await handler(self, request, variable)
        except Gone:
            return
        except Exception as error:
            answer = problem_answer(our_error(error))
        if isinstance(answer, Streamed):
            return
        if request.path.startswith(PAGES):
            answer = answer.plus(await self._cors(request))
        await write(answer, send)

    async def _cors(self, request: Request) -> dict[str, str]:
        origin = origin_of(request.header(b"origin"))
        known = origin is not None and await self.quickly(lambda: _is_listed(origin))
        return cors_headers(origin, known=known)


def _is_listed(origin: str) -> bool:
    try:
        return is_known_origin(origin)
    except AnyDatabaseError:
        return False


def find(scope: Scope) -> tuple[Route, str] | None:
    """The handler of a hot route and the variable part of its path; None: Django's."""
    path: str = scope["path"]
    for prefix, (method, handler) in ROUTES.items():
        if path.startswith(prefix):
            variable = path[len(prefix) :]
            whole = bool(variable) == prefix.endswith("/") and "/" not in variable
            return (handler, variable) if whole and scope["method"] == method else None
    return None
