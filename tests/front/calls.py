"""HTTP as tests speak it: whole answers, and streams that are read line by line."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit


def ask(url: str, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, Any]:
    """One request; gives the status and the JSON, or None where there is none."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=30)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(method, path, body or None, named)
        answer = connection.getresponse()
        text = answer.read()
    finally:
        connection.close()
    return answer.status, json.loads(text) if text else None


def post(url: str, path: str, body: bytes) -> int:
    """Post a callback; gives the status."""
    return ask(url, "POST", path, body, Content_Type="application/json")[0]


class Stream:
    """An open event stream."""

    def __init__(self, url: str, path: str, **headers: str) -> None:
        parts = urlsplit(url)
        self.socket = socket.create_connection((str(parts.hostname), parts.port or 80), timeout=10)
        named = {"Accept": "text/event-stream"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{n}: {v}" for n, v in named.items())]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self._file = self.socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])

    def lines(self) -> Any:
        """The lines that arrive, until the stream ends."""
        for line in self._file:
            yield line.decode().strip()

    def until(self, wanted: str) -> list[str]:
        """Everything up to the line that is wanted."""
        found = []
        for line in self.lines():
            found.append(line)
            if line == wanted:
                return found
        raise AssertionError(f"the stream ended without {wanted!r}: {found}")

    def close(self) -> None:
        self._file.close()
        self.socket.close()


def answered(url: str, path: str, **headers: str) -> int:
    """The status that a stream is answered with; it is closed at once."""
    stream = Stream(url, path, **headers)
    stream.close()
    return stream.status
