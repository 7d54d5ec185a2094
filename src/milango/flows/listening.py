"""Hears what PostgreSQL calls out, on a connection of its own that is made anew when it breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from django.db import connection

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

logger = logging.getLogger(__name__)

AGAIN: Final = (0.1, 0.5, 1, 2, 5)
"""Seconds before the connection is tried again; the last one for ever."""

CONNECTION: Final = (
    "dbname user password host port service sslmode sslrootcert sslcert sslkey connect_timeout "
    "keepalives_idle keepalives_interval keepalives_count tcp_user_timeout"
).split()


async def listen(
    channels: Sequence[str], heard: Callable[[str, str], None], missed: Callable[[], None]
) -> None:
    """Listen until cancelled. `heard` takes channel and payload; `missed` is called whenever
    something may have been called out while nobody listened."""
    failures = 0
    while True:
        try:
            listener = await _connect()
            try:
                failures = 0
                for channel in channels:
                    await listener.execute(f"LISTEN {channel}")
                missed()
                await _hear(listener.pgconn, heard)
            finally:
                # Not with `async with`: it waits once more, and a loop that ends cancels that too.
                await listener.close()
        except Exception as error:
            if not failures:
                logger.warning("nobody is woken just now: %s", type(error).__name__)
        await asyncio.sleep(AGAIN[min(failures, len(AGAIN) - 1)])
        failures += 1


async def _hear(server: PGconn, heard: Callable[[str, str], None]) -> None:
    """Straight from libpq: psycopg's own generator costs several times as much, and each batch of
    each process calls out to every process. Ends with the error that broke the connection."""
    loop, socket = asyncio.get_running_loop(), server.socket
    broken: asyncio.Future[None] = loop.create_future()

    def read() -> None:
        try:
            server.consume_input()
            while call := server.notifies():
                heard(call.relname.decode(), call.extra.decode())
        except Exception as error:
            # Here and not later: libpq has closed the socket, and its number is the next caller's.
            loop.remove_reader(socket)
            if not broken.done():
                broken.set_exception(error)

    loop.add_reader(socket, read)
    try:
        read()  # what came before anybody looked at the socket
        await broken
    finally:
        if broken.cancelled():
            loop.remove_reader(socket)


async def _connect() -> Any:
    """A connection outside any pool: listening is a session's matter."""
    from psycopg import AsyncConnection

    wanted = connection.get_connection_params()
    named = {name: wanted[name] for name in CONNECTION if wanted.get(name)}
    return await AsyncConnection.connect(**named, autocommit=True)
