"""Starts programs, waits until they answer, measures what they cost, and ends them."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
TICK: Final = 1e6 / os.sysconf("SC_CLK_TCK")


@contextmanager
def program(
    module: list[str], env: dict[str, str], port: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `python -m …` until the block ends, with all that it starts."""
    log = (ROOT / ".milango" / "bench" / f"{module[0]}.log").open("ab")
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", *module],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    try:
        if port:
            _wait_for(port, process)
        yield process
    finally:
        _end(process)
        log.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if not probe.connect_ex(("127.0.0.1", port)):
                time.sleep(0.5)  # its other processes may still be starting
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing answers on port {port}; see .milango/bench/*.log")


def free_port() -> int:
    """A port of the loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def python(words: list[str], env: dict[str, str]) -> str:
    """Run `python -m …` to its end; gives what it said."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *words],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{done.stderr[-2_000:]}")
    return done.stdout


def load(words: list[str], env: dict[str, str]) -> dict[str, Any]:
    """What `bench.load` measured."""
    return last_line(python(["bench.load", *words], env))


def last_line(said: str) -> dict[str, Any]:
    """The document that a program said last."""
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def family(first: int) -> list[int]:
    """A process and all its children."""
    found = [first]
    for each in found:
        children = Path(f"/proc/{each}/task/{each}/children")
        if children.exists():
            found += [int(word) for word in children.read_text().split()]
    return found


def cpu_us(processes: Iterable[int]) -> float:
    """Microseconds of CPU that these processes have used so far."""
    used = 0.0
    for each in processes:
        try:
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        used += (int(fields[11]) + int(fields[12])) * TICK
    return used


def memory_mb(processes: Iterable[int]) -> float:
    """Proportional memory of these processes: what two share counts half for each."""
    used = 0.0
    for each in processes:
        try:
            lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        used += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return used / 1_024
