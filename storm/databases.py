"""The two databases, as the storm hurts them."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from bench import postgres

from .disk import Disk

SETTINGS: Final = {
    "listen_addresses": "''",
    "shared_buffers": "'128MB'",
    "max_wal_size": "'512MB'",
    "checkpoint_timeout": "'30s'",
    "max_connections": "200",
}
"""Durability is left as it is by default; checkpoints are frequent, so that many are cut short."""

NAME: Final = "storm"


class Database(Protocol):
    """What the storm needs of a database."""

    disk: Disk
    socket: str
    """Where it listens; "" for a file."""

    def url(self, port: int = 0) -> str:
        """For DATABASE_URL; over the port of a proxy, where there is one."""

    async def start(self) -> None:
        """Run, empty."""

    async def kill(self) -> bool:
        """SIGKILL to all of it, and start again. False: there is nothing to kill."""

    async def kill_a_backend(self, chance: random.Random) -> bool:
        """SIGKILL to the process of one connection."""

    async def cut(self, share: float) -> bool:
        """End about this share of the connections."""

    async def recover(self) -> None:
        """Make it run, whatever it went through."""

    async def stop(self) -> None:
        """End it."""


class Sqlite:
    """A file, which has no process to kill: those that use it die instead."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk(folder / "disk")
        self.socket = ""

    def url(self, port: int = 0) -> str:
        return f"sqlite:///{self.disk.folder / 'storm.sqlite3'}"

    async def start(self) -> None:
        return None

    async def kill(self) -> bool:
        return False

    async def kill_a_backend(self, chance: random.Random) -> bool:
        return False

    async def cut(self, share: float) -> bool:
        return False

    async def recover(self) -> None:
        return None

    async def stop(self) -> None:
        self.disk.close()


class Postgres:
    """A server of the storm's own, its data on the small disk."""

    def __init__(self, folder: Path) -> None:
        self.disk = Disk(folder / "disk")
        self.server = postgres.made(self.disk.folder / "pg", SETTINGS, install=False)
        self.socket = str(self.server.folder / ".s.PGSQL.5432")

    def url(self, port: int = 0) -> str:
        if port:
            return f"postgres://postgres@127.0.0.1:{port}/{NAME}?sslmode=disable"
        return f"postgres://postgres@/{NAME}?host={self.server.folder}"

    async def start(self) -> None:
        await asyncio.to_thread(self.server.start)
        await asyncio.to_thread(self.server.new_database, NAME)

    async def kill(self) -> bool:
        found = self._processes()
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.recover()
        return bool(found)

    async def kill_a_backend(self, chance: random.Random) -> bool:
        try:
            found = await self._psql(f"SELECT pid FROM {CLIENTS}")
            os.kill(int(chance.choice(sorted(found.split()))), signal.SIGKILL)
        except (RuntimeError, IndexError, ProcessLookupError):
            return False
        return True

    async def cut(self, share: float) -> bool:
        with suppress(RuntimeError):
            await self._psql(
                f"SELECT pg_terminate_backend(pid) FROM {CLIENTS} AND random() < {share}"
            )
            return True
        return False

    async def recover(self) -> None:
        deadline = asyncio.get_running_loop().time() + 120
        while True:
            try:
                await self._psql("SELECT 1")
                return
            except RuntimeError:
                if asyncio.get_running_loop().time() > deadline:
                    raise
            with suppress(RuntimeError):
                await asyncio.to_thread(self.server.start)
            await asyncio.sleep(0.2)

    async def stop(self) -> None:
        with suppress(RuntimeError):
            await asyncio.to_thread(self.server.stop)
        self.disk.close()

    def _processes(self) -> list[int]:
        """None while it is down: what its file names then may be anybody's process by now."""
        with suppress(OSError, ValueError, IndexError):
            first, *others = self.server.processes()
            if str(self.server.data).encode() in Path(f"/proc/{first}/cmdline").read_bytes():
                return [first, *others]
        return []

    async def _psql(self, statement: str) -> str:
        return await asyncio.to_thread(self.server.psql, statement)


CLIENTS: Final = (
    "pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
)

KINDS: Final[dict[str, Callable[[Path], Database]]] = {"postgres": Postgres, "sqlite": Sqlite}
