"""Several processes behind one port. Each listens for itself, so the kernel shares connections
out evenly; a process that dies is started again."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Final

from prometheus_client.multiprocess import mark_process_dead

from milango.seen.metrics import FOLDER

logger = logging.getLogger(__name__)

PAUSE: Final = 0.2
"""Seconds between two looks at the processes."""

TOO_SOON: Final = 2.0
"""Seconds; who dies younger than that is started again only after this long."""

WORKER: Final = "MILANGO_WORKER"
"""Set in the environment of the processes that share the port: their parent's id."""


def run(command: list[str], number: int, grace: float) -> None:
    """Keep so many processes of the command running until SIGINT or SIGTERM."""
    stop = _Stop()
    born: dict[subprocess.Popen[bytes], float] = {}
    numbers, mine = _folder_of_numbers()
    try:
        while not stop.asked:
            for process in [each for each in born if each.poll() is not None]:
                age = time.monotonic() - born.pop(process)
                mark_process_dead(process.pid, numbers)  # type: ignore[no-untyped-call]
                logger.error("a server process ended with %s", process.returncode)
                time.sleep(max(0.0, TOO_SOON - age))
            while len(born) < number and not stop.asked:
                born[_start(command, numbers)] = time.monotonic()
            time.sleep(PAUSE)
    finally:
        _end(list(born), grace)
        if mine:
            shutil.rmtree(numbers, ignore_errors=True)


def is_worker() -> bool:
    """Whether this process is one of several."""
    return bool(os.environ.get(WORKER))


def end_with_parent() -> None:
    """Have this process end as if it were told to, once the one that started it is gone.

    A parent that was killed tells nobody. Its children would go on with the port, the old release
    and the old settings, beside those that are started next.
    """
    threading.Thread(target=_watch_parent, name="milango-parent", daemon=True).start()


def _watch_parent() -> None:
    while os.getppid() == int(os.environ[WORKER]):
        time.sleep(PAUSE)
    logger.error("the process that started this one is gone, so this one ends too")
    os.kill(os.getpid(), signal.SIGTERM)


class _Stop:
    """Whether somebody asked us to stop."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def _folder_of_numbers() -> tuple[str, bool]:
    """Where the processes put what they count, and whether the folder is ours to remove.

    An operator who names one may name it for `milango worker` as well: then /metrics tells of both.
    """
    if given := os.environ.get(FOLDER):
        Path(given).mkdir(parents=True, exist_ok=True)
        return given, False
    return tempfile.mkdtemp(prefix="milango-metrics-"), True


def _start(command: list[str], numbers: str) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "milango.server", *command]
    return subprocess.Popen(words, env=os.environ | {WORKER: str(os.getpid()), FOLDER: numbers})


def _end(processes: list[subprocess.Popen[bytes]], grace: float) -> None:
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + grace
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
