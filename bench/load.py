"""Load on a server of this machine, and what came of it, as one line of JSON.

    python -m bench.load send PORT CONNECTIONS FILE [SECONDS]
    python -m bench.load streams PORT PID FILE

FILE is a pickled list of whole requests; the streams are beside it, in FILE.streams. Connections
begin within SECONDS, evenly, or all of them at once.

Requests are made beforehand and answers are only counted, so that the generator costs little: its
own CPU per request is part of the result. Traffic goes to 127.0.0.1 alone.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import uvloop

from .processes import family, memory_mb

HOST = "127.0.0.1"


class Caller(asyncio.Protocol):
    """One connection, which sends a request as soon as the one before is answered."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._answer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._next()

    def _next(self) -> None:
        request = next(self._run.requests, None)
        if request is None:
            self._transport.close()
            self._run.one_done()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        code = _code(self._answer)
        if not code:
            return
        now = time.perf_counter()
        self._run.took.append(now - self._began)
        self._run.ended.append(now)
        self._run.codes[code] += 1
        self._answer = b""
        self._next()

    def connection_lost(self, error: Exception | None) -> None:
        if error or self._answer:
            self._run.codes["lost"] += 1
            self._run.one_done()


@lru_cache(maxsize=64)
def _code(answer: bytes) -> str:
    """The status of a whole answer; "" while more of it has to come. Many answers are alike."""
    head, blank, body = answer.partition(b"\r\n\r\n")
    return head[9:12].decode() if blank and len(body) >= _length(head) else ""


def _length(head: bytes) -> int:
    at = head.lower().find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Run:
    """All connections together; what was measured stands in the order of the answers."""

    def __init__(self, requests: Iterator[bytes], connections: int) -> None:
        self.requests = requests
        self.took: list[float] = []
        self.ended: list[float] = []
        self.codes: Counter[str] = Counter()
        self._left = connections
        self._wave = connections
        self._over = asyncio.get_running_loop().create_future()

    def steady(self) -> slice:
        """The answers between the first wave and the last: while all connections were busy."""
        wave = min(self._wave, len(self.ended) // 6)
        return slice(wave, len(self.ended) - wave)

    def one_done(self) -> None:
        self._left -= 1
        if not self._left and not self._over.done():
            self._over.set_result(None)

    async def go(self, port: int, seconds: float = 0.0) -> None:
        """Send everything; the connections begin within so many seconds."""
        loop = asyncio.get_running_loop()
        began, number = time.perf_counter(), self._left
        for n in range(number):
            if (early := began + seconds * n / number - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            await loop.create_connection(lambda: Caller(self), HOST, port)
        await self._over


def percentile(took: list[float], share: float) -> float:
    """In milliseconds; 0 when nothing was measured."""
    if not took:
        return 0.0
    return sorted(took)[min(len(took) - 1, int(len(took) * share))] * 1_000


async def send(
    port: int, connections: int, requests: list[bytes], seconds: float
) -> dict[str, Any]:
    """Send the requests over so many connections."""
    run = Run(iter(requests), connections)
    cpu = time.process_time()
    await run.go(port, seconds)
    cpu = time.process_time() - cpu
    ended, took = run.ended[run.steady()], run.took[run.steady()]
    return {
        "per_s": (len(ended) - 1) / (ended[-1] - ended[0]) if len(ended) > 1 else 0.0,
        "p50_ms": percentile(took, 0.5),
        "p99_ms": percentile(took, 0.99),
        "most_ms": percentile(run.took, 1.0),
        "answers": dict(run.codes),
        "generator_us": cpu / max(1, len(run.took)) * 1e6,
    }


class Follower(asyncio.Protocol):
    """One open event stream."""

    def __init__(self, request: bytes) -> None:
        self._request = request
        self.opened = asyncio.get_running_loop().create_future()
        self.paid_at = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(data[9:12])
        if b"event: payment.succeeded" in data:
            self.paid_at = time.perf_counter()


async def _open(loop: asyncio.AbstractEventLoop, follower: Follower, port: int) -> None:
    await loop.create_connection(lambda: follower, HOST, port)


async def streams(port: int, pid: int, file: Path) -> dict[str, Any]:
    """Open all streams, then settle payments, 200 a second, and see who hears of it when."""
    loop = asyncio.get_running_loop()
    requests = pickle.loads(file.read_bytes())  # noqa: S301 - written by us a moment ago
    following = pickle.loads(file.with_suffix(".streams").read_bytes())  # noqa: S301 - the same
    before = memory_mb(family(pid))
    followers = []
    for start in range(0, len(following), 100):
        part = [Follower(request) for request in following[start : start + 100]]
        await asyncio.gather(*(_open(loop, each, port) for each in part))
        await asyncio.gather(*(each.opened for each in part))
        followers += part
    await asyncio.sleep(1)
    after = memory_mb(family(pid))
    took = []
    for request, follower in list(zip(requests, followers, strict=True))[:1_000]:
        began = time.perf_counter()
        run = Run(iter([request]), 1)
        await run.go(port)
        took.append((began, follower))
        await asyncio.sleep(max(0.0, 0.005 - (time.perf_counter() - began)))
    await asyncio.sleep(1)
    woken = [follower.paid_at - began for began, follower in took if follower.paid_at]
    return {
        "open": sum(each.opened.result() == b"200" for each in followers),
        "mb": after - before,
        "woken": len(woken),
        "told": len(took),
        "wake_p50_ms": percentile(woken, 0.5),
        "wake_p99_ms": percentile(woken, 0.99),
    }


def main(words: list[str]) -> None:
    what, port, number, file, *more = words
    if what == "streams":
        found = uvloop.run(streams(int(port), int(number), Path(file)))
    else:
        requests = pickle.loads(Path(file).read_bytes())  # noqa: S301 - written by us a moment ago
        seconds = float(more[0]) if more else 0.0
        found = uvloop.run(send(int(port), int(number), requests, seconds))
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1:])
