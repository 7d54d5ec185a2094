"""A line to the database that breaks: python -m storm.proxy PORT SOCKET

SIGUSR1 cuts every connection. SIGUSR2 first swallows what the database answers, so that whoever
has just sent COMMIT never hears that it was done, and then cuts.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import Final

import uvloop

SWALLOW: Final = 0.2
"""Seconds in which answers vanish before the line is cut."""


class Line:
    """All connections that are open now."""

    def __init__(self, socket: str) -> None:
        self._socket = socket
        self._open: set[asyncio.WriteTransport] = set()
        self.mute = False

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either end, or we, let go."""
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        ends: set[asyncio.Transport] = {writer.transport, far_writer.transport}  # type: ignore[arg-type]  # both are whole transports
        self._open |= ends
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, far_writer, answers=False))
                both.create_task(self._carry(far_reader, writer, answers=True))
        except* OSError:
            pass  # one end is gone: the other follows
        finally:
            for end in ends:
                end.abort()
            self._open -= ends

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await source.read(65_536):
            if answers and self.mute:
                continue
            target.write(data)
            await target.drain()
        raise ConnectionResetError

    def cut(self) -> None:
        """Break every connection."""
        for end in list(self._open):
            end.abort()

    async def swallow_and_cut(self) -> None:
        """Lose the database's answers for a moment, then break every connection."""
        self.mute = True
        await asyncio.sleep(SWALLOW)
        self.cut()
        self.mute = False


async def main(port: int, socket: str) -> None:
    """Serve until somebody stops us."""
    line = Line(socket)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, line.cut)
    tasks: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(
        signal.SIGUSR2, lambda: tasks.add(loop.create_task(line.swallow_and_cut()))
    )
    server = await asyncio.start_server(line.connect, "127.0.0.1", port, backlog=512)
    with suppress(asyncio.CancelledError):
        await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
