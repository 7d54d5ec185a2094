"""The ASGI application in front of Django: hot routes here, everything else there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from typing import Any, Final, NamedTuple, TypeVar
from uuid import UUID

from django.core.exceptions import SynchronousOnlyOperation
from django.db import Error as AnyDatabaseError
from django.db import InterfaceError, OperationalError, connection

from milango.conf import conf
from milango.core.answers import Answer, cors_headers, problem_answer
from milango.core.intake import origin_of
from milango.flows import hours, read
from milango.flows.callers import is_known_origin
from milango.flows.problems import our_error
from milango.models import Payment
from milango.seen import requests, spans

from . import callbacks, push, spool, status, streams
from .bell import Bell
from .bounds import Bounded
from .http import BODY_SECONDS, Gone, Patience, Receive, Request, Scope, Send, write
from .inbox import Inbox
from .lateness import Lateness
from .spool import Spool
from .streams import EVENT_STREAM
from .tally import Tally
from .together import Together
from .turns import Turns
from .waiting import Documents, Waiters

T = TypeVar("T")

Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Route(NamedTuple):
    """A hot route: a method, and a path around one variable part (or none)."""

    method: str
    prefix: str
    suffix: str
    handle: Callable[..., Awaitable[Answer | None]]
    streams: bool = False
    """Taken only when an event stream is asked for; writes its answer itself."""

    @property
    def template(self) -> str:
        """The route as it is counted: its variable part is nobody's business."""
        return f"{self.prefix}{'*' if self.prefix.endswith('/') else ''}{self.suffix}"

    def match(self, scope: Scope) -> str | None:
        """The variable part of the path; None: this is not the route."""
        path: str = scope["path"]
        if not path.startswith(self.prefix) or scope["method"] != self.method:
            return None
        variable = path[len(self.prefix) :]
        if not variable.endswith(self.suffix):
            return None
        variable = variable[: len(variable) - len(self.suffix)]
        if bool(variable) != self.prefix.endswith("/") or "/" in variable:
            return None
        return variable if not self.streams or _wants_a_stream(scope) else None


def _wants_a_stream(scope: Scope) -> bool:
    accepted = b",".join(value for name, value in scope["headers"] if name == b"accept")
    return EVENT_STREAM.encode() in accepted


PAGES: Final = "/api/v1/"
"""Below this, pages of listed origins may read what is answered."""

ROUTES: Final = (
    Route("POST", "/callbacks/stk/", "", callbacks.stk_callback),
    Route("POST", "/callbacks/c2b/", "/confirm", callbacks.c2b_confirmation),
    Route("POST", "/callbacks/c2b/", "/validate", callbacks.c2b_validation),
    Route("POST", "/callbacks/result/", "/timeout", callbacks.status_timeout),
    Route("POST", "/callbacks/result/", "", callbacks.status_result),
    Route("POST", "/api/v1/stk-push", "", push.stk_push),
    Route("GET", "/api/v1/payments/status/", "", status.payment_status),
    Route("GET", "/api/v1/payments/", "/events", streams.payment_events, streams=True),
)

WRITERS: Final = 1
"""Writers of one process: two of them and the loop would fight for the interpreter."""

READERS: Final = 4
"""Threads for reads that block."""


class Front:
    """Answers the hot routes; hands everything else to Django."""

    inbox: Inbox
    waiters: Waiters
    turns: Turns
    spool: Spool | None = None

    def __init__(self, django: Application) -> None:
        self._django = Bounded(django)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="milango-reader")
        self._to_the_end: set[asyncio.Task[Any]] = set()
        self.payments: Together[read.Named, Payment] = Together(self.in_thread, read.find)
        self.timelines: Together[UUID, Documents] = Together(self.in_thread, read.timelines)
        self._tally = Tally()
        self._for_bodies = Patience(BODY_SECONDS)
        self.commits = Lateness(callbacks.COMMIT_SECONDS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        found = find(scope) if scope["type"] == "http" else None
        if found is None:
            await self._django(scope, receive, send)
        else:
            await self._answer(*found, Request(scope, receive, self._for_bodies), receive, send)

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something that blocks, such as a read, beside the loop."""
        context = copy_context()  # the request's id goes along
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, context.run, _reading, work)

    async def quickly(self, work: Callable[[], T]) -> T:
        """Do something that mostly finds all it asks for remembered; otherwise in a thread."""
        try:
            return work()
        except SynchronousOnlyOperation:
            # Django asks no database on the loop. Nothing has happened yet.
            return await self.in_thread(work)

    async def payment(self, named: read.Named | None) -> Payment | None:
        """The payment that is meant; None where there is none, or nothing was named."""
        return await self.payments.ask(named) if named else None

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
        self._pool.submit(_hear_the_time)
        self.inbox = Inbox(writers=WRITERS)
        self.waiters = Waiters(self.in_thread)
        self.turns = Turns()
        self._bell = Bell(self.waiters.wake)
        self.spool = spool.opened(conf().spool, self.inbox)

    def leave(self) -> None:
        """The server is about to stop: let those go who only wait."""
        self.waiters.leave()

    async def close(self) -> None:
        """Answer what was accepted, then stop."""
        self._tally.hand_on()
        await asyncio.gather(*self._to_the_end, return_exceptions=True)
        if self.spool:
            await self.spool.close()
        await self._bell.close()
        await self.waiters.close()
        await self.inbox.close()
        here = threading.Barrier(READERS)
        await asyncio.gather(*(self.in_thread(lambda: _let_go(here)) for _ in range(READERS)))
        # Not waited for: a read that hangs would keep the process for as long as it hangs.
        self._pool.shutdown(wait=False)

    # --- one request ------------------------------------------------------------------------

    async def _answer(
        self, route: Route, variable: str, request: Request, receive: Receive, send: Send
    ) -> None:
        own = (receive, send) if route.streams else ()
        is_page = request.path.startswith(PAGES)
        take_id = requests.begin if is_page else requests.begin_if
        given_id = request.header(b"x-request-id")
        take_id(given_id)
        try:
            with spans.span(f"{route.method} {route.template}", request_id=requests.current()):
                answer = await route.handle(self, request, variable, *own)
        except Gone:
            return
        except Exception as error:
            answer = problem_answer(our_error(error))
        self._tally.add(route, answer.status if answer else 200)
        if answer is None:
            return
        if is_page:
            answer = answer.plus(await self.cors(request) | requests.echo(given_id))
        await write(answer, send)

    async def cors(self, request: Request) -> dict[str, str]:
        """The headers that let a listed page read the answer."""
        origin = origin_of(request.header(b"origin"))
        known = origin is not None and await self.quickly(lambda: _is_listed(origin))
        return cors_headers(origin, known=known)


def _reading(work: Callable[[], T]) -> T:
    """Work in a reader's thread. Its connection outlives the request, so nobody but us would let
    go of one that broke, and each request that met this thread would fail with it."""
    try:
        return work()
    except (OperationalError, InterfaceError):
        if not connection.in_atomic_block:
            connection.close()
        raise


def _hear_the_time() -> None:
    """Before the first request, if the database is there: it may come later than we do."""
    with suppress(AnyDatabaseError):
        _reading(hours.look)


def _let_go(all_readers: threading.Barrier) -> None:
    """Close this thread's connection; each reader does so once, because all of them meet here."""
    with suppress(threading.BrokenBarrierError):
        all_readers.wait(2)
    connection.close()


def _is_listed(origin: str) -> bool:
    try:
        return is_known_origin(origin)
    except AnyDatabaseError:
        return False


def find(scope: Scope) -> tuple[Route, str] | None:
    """The hot route and the variable part of its path; None: Django's."""
    for route in ROUTES:
        variable = route.match(scope)
        if variable is not None:
            return route, variable
    return None
