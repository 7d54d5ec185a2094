"""The simulator as an ASGI application: `milango.simulator.app:app`, or `create_app(...)`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from milango.simulator import c2b, control, handset, oauth, pull, push, query, status
from milango.simulator.errors import Refused
from milango.simulator.settings import Settings, changed
from milango.simulator.wire import Answer, Call, Endpoint
from milango.simulator.world import World

DARAJA = (
    ("GET", "/oauth/v1/generate", oauth.generate),
    ("POST", "/mpesa/stkpush/v1/processrequest", push.process_request),
    ("POST", "/mpesa/stkpushquery/v1/query", query.query),
    ("POST", "/mpesa/transactionstatus/v1/query", status.query),
    ("POST", "/mpesa/c2b/v1/registerurl", partial(c2b.register, version="v1")),
    ("POST", "/mpesa/c2b/v2/registerurl", partial(c2b.register, version="v2")),
    ("POST", "/mpesa/c2b/v1/simulate", c2b.simulate),
    ("POST", "/mpesa/c2b/v2/simulate", c2b.simulate),
    ("POST", "/pulltransactions/v1/register", pull.register),
    ("*", "/pulltransactions/v1/query", pull.query),
)
"""The part of Daraja that this simulator speaks."""


def create_app(*, key: str = "", **settings: Any) -> Starlette:
    """A simulator of its own. `settings` are those of `Settings`; raises TypeError on others.

    `key` is the private key (PEM, RSA) behind its certificate, for one that outlives the process.
    """
    try:
        world = World(changed(Settings(), settings), key)
    except ValueError as error:
        raise TypeError(str(error)) from None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await world.close()

    routes = [
        *(Route(path, Endpoint(world, method, handler)) for method, path, handler in DARAJA),
        *control.routes(world),
        Route("/healthz", _healthy),
        *handset.routes(world),
        Route("/{path:path}", Endpoint(world, "*", _nowhere)),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.state.world = world
    return app


async def _healthy(request: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def _nowhere(world: World, call: Call) -> Answer:
    raise Refused("not_found")


def __getattr__(name: str) -> Any:
    """`app` is made when a server asks for it, so that an import alone starts nothing."""
    if name != "app":
        raise AttributeError(name)
    app = create_app()
    globals()["app"] = app
    return app
