"""A `milango demo` in a process of its own, as people start it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests import databases

MILANGO = Path(sys.executable).with_name("milango")
READY_WITHIN = 90
"""Seconds, on a machine that is busy with other tests; five is the promise on a quiet one."""


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now."""
    holders = [socket.socket() for _ in range(count)]
    for holder in holders:
        holder.bind(("127.0.0.1", 0))
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return ports


def plain_environment(**more: str) -> dict[str, str]:
    """Our environment without what the tests themselves have set."""
    ours = ("DJANGO_", "MILANGO_", "DATABASE_")
    return {k: v for k, v in os.environ.items() if not k.startswith(ours)} | more


class Demo:
    """A running demo."""

    def __init__(self, folder: Path, *arguments: str, ports: list[int] | None = None) -> None:
        self.ports = ports or free_ports(2)
        port, simulator_port = (str(each) for each in self.ports)
        self.process = subprocess.Popen(
            [
                *[str(MILANGO), "demo", "--json", "--port", port],
                *["--simulator-port", simulator_port, "--data", str(folder), *arguments],
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
        watchdog = threading.Timer(READY_WITHIN, self.process.kill)
        watchdog.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        watchdog.cancel()
        assert line, f"no demo: {self.process.communicate()}"
        self.ready: dict[str, Any] = json.loads(line)
        self.base_url: str = self.ready["base_url"]
        self.simulator_url: str = self.ready["simulator_url"]

    def merchant(self, kind: str) -> dict[str, str]:
        return next(each for each in self.ready["merchants"] if each["kind"] == kind)

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Call the simulator's control API."""
        return call(method, f"{self.simulator_url}/control/{path}", body)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str, str]:
        """(exit code, what else it wrote to stdout, what to stderr)."""
        self.process.send_signal(number)
        try:
            out, err = self.process.communicate(timeout=10)
        finally:
            self.process.kill()
        return self.process.returncode, out, err


def begun(folder: Path) -> Path:
    """Makes it the folder of a demo that ran once, without payments: a first run takes seconds."""
    return shutil.copytree(databases.once("demo", _first_run) / "data", folder)


def seconds_of_the_first_run() -> float:
    """Processor time until it was ready: the clock on the wall measures who else works here."""
    return float((databases.once("demo", _first_run) / "seconds").read_text())


def _first_run(folder: Path) -> None:
    running = Demo(folder / "data")
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    assert running.stop() == (0, "", "")
    (folder / "seconds").write_text(str(seconds))


def call(method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
    """An HTTP request with JSON both ways."""
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")
    except urllib.error.HTTPError as error:
        with error:
            raise Refused(error.code, error.read().decode("utf-8", "replace")) from None


class Refused(Exception):
    """The answer was an error."""

    def __init__(self, code: int, body: str) -> None:
        super().__init__(f"{code} {body[:500]}")
        self.code = code
