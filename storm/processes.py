"""Programs that are killed and started again, as a service manager would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from bench.processes import ROOT, family

AGAIN: Final = 0.3
"""Seconds before a program that ended is started again."""

GROWN_UP: Final = 5.0
"""Seconds; who ends by itself after so long did not merely find the database away at its start."""


class Program:
    """`python -m …`, kept running until `stop`."""

    def __init__(self, name: str, words: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.ended: Counter[str] = Counter()
        """How often it ended by itself, by exit code, long after its start."""
        self._words = words
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), **env}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._killed = False

    def start(self) -> None:
        """Run it, and again whenever it ends."""
        self._keeping = asyncio.create_task(self._keep())

    @property
    def pid(self) -> int | None:
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if running and self._process else None

    def kill(self) -> bool:
        """SIGKILL to it and its children. False: it does not run just now."""
        if self.pid is None:
            return False
        self._killed = True
        return _kill(family(self.pid))

    def kill_a_child(self, which: int) -> bool:
        """SIGKILL to one of its children, which it has to start again itself."""
        children = family(self.pid)[1:] if self.pid else []
        return bool(children) and _kill([children[which % len(children)]])

    def signal(self, number: int) -> None:
        """Send it a signal."""
        if self.pid:
            os.kill(self.pid, number)

    async def stop(self) -> None:
        """End it gently, and leave it so."""
        if self._keeping:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        if self.pid and self._process:
            self._process.terminate()
            try:
                await asyncio.wait_for(self._process.wait(), 15)
            except TimeoutError:
                _kill(family(self._process.pid))

    async def _keep(self) -> None:
        with self._log.open("ab") as log:
            while True:
                self._killed = False
                born = time.monotonic()
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-W", "ignore", "-m", *self._words),
                    cwd=ROOT,
                    env=self._env,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
                code = await self._process.wait()
                if not self._killed and time.monotonic() - born > GROWN_UP:
                    self.ended[f"{self.name} ended with {code}"] += 1
                await asyncio.sleep(AGAIN)


def _kill(pids: list[int]) -> bool:
    killed = False
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed = True
    return killed
