"""A Daraja that says yes to every push after half a second, and costs almost nothing.

    python -m bench.twin PORT SECONDS

The simulator tells stories; this one only keeps the server waiting, as Safaricom does, so that the
machine's two cores are left to what is measured.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

import uvloop

_numbers = itertools.count()


class Daraja(asyncio.Protocol):
    """One connection: answers in the order of the requests."""

    def __init__(self, delay: float) -> None:
        self._delay = delay
        self._waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self._waiting += data
        head, blank, body = self._waiting.partition(b"\r\n\r\n")
        if not blank:
            return
        at = head.lower().find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) < length:
            return
        self._waiting = b""
        if head.startswith(b"GET"):
            self._say({"access_token": "a" * 28, "expires_in": "3599"})
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(self._delay, self._say, _accepted())

    def _say(self, document: dict[str, str]) -> None:
        if self._transport.is_closing():
            return
        body = json.dumps(document).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self._transport.write(head.encode() + b"\r\n\r\n" + body)


def _accepted() -> dict[str, str]:
    number = next(_numbers)
    return {
        "MerchantRequestID": f"6c1d-4f0a-9b27-{number:018}",
        "CheckoutRequestID": f"ws_CO_{number:024}",
        "ResponseCode": "0",
        "ResponseDescription": "Success. Request accepted for processing",
        "CustomerMessage": "Success. Request accepted for processing",
    }


async def main(port: int, delay: float) -> None:
    """Serve until somebody stops us."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Daraja(delay), "127.0.0.1", port, backlog=2_048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2])))
