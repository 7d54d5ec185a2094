"""Several processes behind one port. Each listens for itself, so the kernel shares connections
out evenly; a process that dies is started again."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from types import FrameType
from typing import Final

logger = logging.getLogger(__name__)

PAUSE: Final = 0.2
"""Seconds between two looks at the processes."""

TOO_SOON: Final = 2.0
"""Seconds; who dies younger than that is started again only after this long."""

WORKER: Final = "MILANGO_WORKER"
"""Set in the environment of the processes that share the port."""


def run(command: list[str], number: int, grace: float) -> None:
    """Keep so many processes of the command running until SIGINT or SIGTERM."""
    stop = _Stop()
    born: dict[subprocess.Popen[bytes], float] = {}
    try:
        while not stop.asked:
            for process in [each for each in born if each.poll() is not None]:
                age = time.monotonic() - born.pop(process)
                logger.error("a server process ended with %s", process.returncode)
                time.sleep(max(0.0, TOO_SOON - age))
            while len(born) < number and not stop.asked:
                born[_start(command)] = time.monotonic()
            time.sleep(PAUSE)
    finally:
        _end(list(born), grace)


def is_worker() -> bool:
    """Whether this process is one of several."""
    return bool(os.environ.get(WORKER))


class _Stop:
    """Whether somebody asked us to stop."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "milango.server", *command]
    return subprocess.Popen(words, env=os.environ | {WORKER: "1"})


def _end(processes: list[subprocess.Popen[bytes]], grace: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
