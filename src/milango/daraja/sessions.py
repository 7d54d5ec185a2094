"""Event loops and connection pools: one HTTP session for each loop, one loop for all sync code."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from typing import Any, Final, TypeVar
from weakref import WeakKeyDictionary

import aiohttp

T = TypeVar("T")

IDLE_SECONDS: Final = 4.0
"""Shorter than any server's own limit: a request on a connection that the other side is closing
would end as "unknown" although nothing was sent."""

_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, aiohttp.ClientSession] = WeakKeyDictionary()


def session() -> aiohttp.ClientSession:
    """The session of the running loop. aiohttp's sessions die with their loop."""
    loop = asyncio.get_running_loop()
    found = _sessions.get(loop)
    if found is None or found.closed:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_SECONDS)
        found = aiohttp.ClientSession(connector=connector, trust_env=False)
        _sessions[loop] = found
    return found


async def close_session() -> None:
    """Close the running loop's session, where there is one."""
    found = _sessions.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


class _Bridge:
    """One background loop in a daemon thread, for callers that are not async."""

    def __init__(self) -> None:
        self._start = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._running_loop()).result()

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._start:
            # A forked child has the parent's loop object, but not its thread.
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = asyncio.new_event_loop(), os.getpid()
                threading.Thread(
                    target=self._loop.run_forever, name="milango-daraja", daemon=True
                ).start()
            return self._loop

    def stop(self) -> None:
        """Close the session and stop the loop, at the process's end."""
        loop = self._loop
        if loop is None or self._pid != os.getpid() or not loop.is_running():
            return
        asyncio.run_coroutine_threadsafe(close_session(), loop).result(timeout=2)
        loop.call_soon_threadsafe(loop.stop)
        self._loop = None


bridge: Final = _Bridge()
atexit.register(bridge.stop)
