"""Runs one or more ASGI applications and the background work in one process, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, NamedTuple

import click
import uvicorn

from .connections import Connection, Server

GRACE: Final = 20
"""Seconds that requests under way get when we are told to stop; a push may wait for Daraja."""


YOUNG: Final = 10_000
"""So many new objects are looked through for garbage at once. Python's 700 are those of a few
requests that are still under way."""


class Quiet(Server):
    """Leaves signals alone: several servers share a process here, and one place stops them all."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Site(NamedTuple):
    """An application and the socket that it listens on."""

    server: Quiet
    listener: socket.socket
    leave: Callable[[], None]
    """Lets those go who only wait for news; the server would wait for them."""


def bind(host: str, port: int, *, shared: bool = False, listen: bool = True) -> socket.socket:
    """Take the port now, so that a taken one is told before anything is started.

    A `shared` port is taken by several processes, each with a socket of its own. Raises
    click.ClickException.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        if listen:
            listener.listen(2048)
    except OSError as error:
        listener.close()
        what = {
            errno.EADDRINUSE: "is taken by another program; choose another one",
            errno.EACCES: "may not be used by this user; choose one above 1023",
            errno.EADDRNOTAVAIL: "cannot be had: this machine does not have the address",
        }.get(error.errno or 0, f"cannot be had ({error.strerror})")
        raise click.ClickException(f"Port {port} on {host} {what}.") from None
    except OverflowError:
        listener.close()
        raise click.ClickException(f"{port} is not a port; they go from 1 to 65535.") from None
    listener.setblocking(False)
    return listener


def site(
    application: Any, listener: socket.socket, *, lifespan: bool = False, grace: int = GRACE
) -> Site:
    """An application on a socket. Nothing is logged but errors: addresses hold secrets, and
    forwarded headers are read by us alone."""
    config = uvicorn.Config(
        application,
        http=Connection,
        ws="none",
        lifespan="on" if lifespan else "off",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=grace,
    )
    leave = getattr(application, "leave", lambda: None)
    return Site(Quiet(config), listener, leave)


def run(sites: list[Site], *, ready: Callable[[], Awaitable[None]]) -> None:
    """Serve until SIGINT or SIGTERM. `ready` is awaited once all sites answer."""
    _make_room()
    loop_factory = sites[0].server.config.get_loop_factory()
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_serve(sites, ready))


def _make_room() -> None:
    """Have as many connections as the machine allows: the usual 1,024 files are soon held by
    callers who say nothing."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(sites: list[Site], ready: Callable[[], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    servers = [asyncio.create_task(each.server.serve(sockets=[each.listener])) for each in sites]
    stopped = asyncio.create_task(stop.wait())
    try:
        await _until_started(sites, servers)
        await ready()
        # What was loaded stays. Looking through all of it for garbage stopped everybody, now and
        # then, for seventy milliseconds.
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG)
        await asyncio.wait([stopped, *servers], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in sites:
            each.server.should_exit = True
            each.leave()
        await asyncio.gather(*servers, return_exceptions=True)
        stopped.cancel()


async def _until_started(sites: list[Site], servers: list[asyncio.Task[None]]) -> None:
    while not all(each.server.started for each in sites):
        for task in servers:
            if task.done():
                await task  # raises what went wrong
                return
        await asyncio.sleep(0.01)


def leave() -> None:
    """End the process now if a request still waits for somebody else's answer.

    Python would wait for its thread. A payment in that state is safe: it is written down, and
    counts as in doubt.
    """
    others = {threading.main_thread(), threading.current_thread()}
    if any(each not in others and not each.daemon for each in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
