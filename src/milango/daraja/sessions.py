"""Event loops and connection pools: one HTTP session for each loop, one loop for all sync code."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import suppress
from typing import Any, Final, TypeVar

import aiohttp

T = TypeVar("T")

IDLE_SECONDS: Final = 4.0
"""Shorter than any server's own limit: a request on a connection that the other side is closing
would end as "unknown" although nothing was sent."""

_Loop = asyncio.AbstractEventLoop
_Keeper = AsyncGenerator[aiohttp.ClientSession, None]

_kept: dict[_Loop, tuple[_Keeper, aiohttp.ClientSession]] = {}
_inherited: list[object] = []


async def session() -> aiohttp.ClientSession:
    """The session of the running loop, for all merchants: connections are pooled by host.

    aiohttp's sessions die with their loop; this one is closed when `asyncio.run` ends.
    """
    loop = asyncio.get_running_loop()
    if loop not in _kept:
        _forget_closed_loops()
        keeper = _keep(loop)
        _kept[loop] = keeper, await anext(keeper)
    return _kept[loop][1]


async def _keep(loop: _Loop) -> _Keeper:
    """Every loop finishes its asynchronous generators before it closes, so this is its `atexit`.

    Nothing is awaited before the yield, so two callers cannot start two.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS)
    jar = aiohttp.DummyCookieJar()  # what one merchant's answer sets is not sent for the next one
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, trust_env=False) as found:
        try:
            yield found
        finally:
            _kept.pop(loop, None)


def _forget_closed_loops() -> None:
    """Loops that were closed without finishing their generators took their sockets along."""
    for loop in [each for each in list(_kept) if each.is_closed()]:
        if kept := _kept.pop(loop, None):
            kept[1].detach()


class _Bridge:
    """One background loop in a daemon thread, for callers that are not async."""

    def __init__(self) -> None:
        self._start = threading.Lock()
        self._loop: _Loop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a sync method was called inside the loop that would have to run it")
        return asyncio.run_coroutine_threadsafe(work, self._running_loop()).result()

    def _running_loop(self) -> _Loop:
        with self._start:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(
                    target=self._loop.run_forever, name="milango-daraja", daemon=True
                )
                self._thread.start()
            return self._loop

    def stop(self) -> None:
        """Close the session and the loop, at the process's end or between tests."""
        with self._start:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
        if loop is None or thread is None:
            return
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(loop.shutdown_asyncgens(), loop).result(timeout=2)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=2)
        if not thread.is_alive():
            loop.close()


bridge: Final = _Bridge()
atexit.register(bridge.stop)


def _after_fork() -> None:
    """A forked child has the parent's loops and sockets, but none of the threads.

    They are put aside unclosed: closing them here would disturb the parent's.
    """
    for loop, (keeper, found) in _kept.items():
        _inherited.append((loop, keeper, found.connector))
        found.detach()
    _kept.clear()
    _inherited.append((bridge._loop, bridge._thread))
    bridge.__init__()  # type: ignore[misc]  # its lock may have been held by a thread that is gone


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
