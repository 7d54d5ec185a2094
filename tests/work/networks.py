"""Network namespaces: processes that share a machine, and no address of it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

NET = "10.231.77"


def ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True)


class Place:
    """Where a process runs: its address, and the words before its command."""

    def __init__(self, address: str, within: tuple[str, ...] = ()) -> None:
        self.address = address
        self.within = within


def why_not() -> str:
    """Why this machine gives us no namespaces; "" when it does."""
    try:
        tried = ip("netns", "add", f"mil{os.getpid()}x")
    except OSError as error:
        return str(error)
    ip("netns", "del", f"mil{os.getpid()}x")
    return tried.stderr.strip()


@contextmanager
def apart(number: int) -> Iterator[tuple[str, list[Place]]]:
    """So many places, each a network of its own, and the address at which all reach ours."""
    bridge = f"mil{os.getpid()}b"
    names = [f"mil{os.getpid()}n{each}" for each in range(number)]
    try:
        _must("link", "add", bridge, "type", "bridge")
        _must("addr", "add", f"{NET}.1/24", "dev", bridge)
        _must("link", "set", bridge, "up")
        places = [_place(bridge, name, each) for each, name in enumerate(names)]
        yield f"{NET}.1", places
    finally:
        for name in names:
            ip("netns", "del", name)
        ip("link", "del", bridge)


def _place(bridge: str, name: str, number: int) -> Place:
    outer, inner = f"mil{os.getpid()}o{number}", f"mil{os.getpid()}i{number}"
    address = f"{NET}.{10 + number}"
    _must("netns", "add", name)
    _must("link", "add", outer, "type", "veth", "peer", "name", inner)
    _must("link", "set", inner, "netns", name)
    _must("link", "set", outer, "master", bridge, "up")
    _must("-n", name, "addr", "add", f"{address}/24", "dev", inner)
    _must("-n", name, "link", "set", inner, "up")
    _must("-n", name, "link", "set", "lo", "up")
    return Place(address, ("ip", "netns", "exec", name))


def _must(*words: str) -> None:
    done = ip(*words)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
