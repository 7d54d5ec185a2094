"""Tasks of a host's, to be seen at work."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from milango.tasks.compat import task


@task
def note(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


@task
def die_once(path: str) -> None:
    """Kill the process that runs it, the first time."""
    with Path(path).open("a") as file:
        file.write("begun\n")
    if len(Path(path).read_text().splitlines()) == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@task
def hang(path: str) -> None:
    Path(path).write_text("begun")
    time.sleep(600)
