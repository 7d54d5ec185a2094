"""A Daraja that does as it is told, on a real socket: also what no well-behaved server would do."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.daraja.payloads import payload

Act = Callable[[BaseHTTPRequestHandler], None]

PATHS = {
    "/oauth/v1/generate": "oauth",
    "/mpesa/stkpush/v1/processrequest": "push",
    "/mpesa/stkpushquery/v1/query": "query",
    "/mpesa/transactionstatus/v1/query": "status",
    "/mpesa/c2b/v1/registerurl": "register_v1",
    "/mpesa/c2b/v2/registerurl": "register",
    "/pulltransactions/v1/query": "pull",
    "/pulltransactions/v1/register": "register_pull",
}


def answer(status: int, body: bytes, **headers: str) -> Act:
    """A whole answer."""

    def act(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)

    return act


def said(name: str, status: int = 200) -> Act:
    """An answer of the payload library."""
    return answer(status, payload(name))


def token(access_token: str, expires_in: object = "3599") -> Act:
    """A token of one's own choice."""
    body = {"access_token": access_token, "expires_in": expires_in}
    return answer(200, json.dumps(body).encode())


def half(name: str) -> Act:
    """Half of an answer that was announced whole; then the line goes dead."""

    def act(request: BaseHTTPRequestHandler) -> None:
        body = payload(name)
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[: len(body) // 2])
        request.close_connection = True

    return act


def hang_up(request: BaseHTTPRequestHandler) -> None:
    """No answer: the connection is closed after the request was read."""
    request.close_connection = True


def no_http(request: BaseHTTPRequestHandler) -> None:
    """Bytes that are no answer at all."""
    request.wfile.write(b"\0" * 99)
    request.close_connection = True


def wait(seconds: float, then: Act = hang_up) -> Act:
    """Think first."""

    def act(request: BaseHTTPRequestHandler) -> None:
        time.sleep(seconds)
        then(request)

    return act


class Twin:
    """What it was asked, and what it is to answer; the last answer is repeated."""

    def __init__(self) -> None:
        self.base_url = ""
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.tokens: list[str] = []
        self.connections: set[tuple[str, int]] = set()
        self._calls: Counter[str] = Counter()
        self._plans: dict[str, deque[Act]] = {
            "oauth": deque([said("oauth.response")]),
            "push": deque([said("stk_push.response")]),
            "query": deque([said("stk_query.response.success")]),
            "status": deque([said("transaction_status.response")]),
            "register": deque([said("c2b_register.response")]),
            "register_v1": deque([said("c2b_register.response")]),
            "pull": deque([said("pull_query.response")]),
            "register_pull": deque([said("pull_register.response")]),
        }
        self._lock = threading.Lock()

    def plan(self, call: str, *acts: Act) -> None:
        """From now on a call (a name in PATHS) is answered so."""
        self._plans[call] = deque(acts)

    def calls(self, call: str) -> int:
        """How often it was asked for a call (a name in PATHS)."""
        return self._calls[call]

    def meet(self, request: BaseHTTPRequestHandler) -> None:
        """Read a request whole, remember it, and do what is planned."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        call = PATHS[request.path.partition("?")[0]]
        with self._lock:
            self._calls[call] += 1
            self.connections.add(request.client_address)
            self.headers.append(dict(request.headers))
            if call != "oauth":
                self.bodies.append(json.loads(body))
                self.tokens.append(request.headers["Authorization"].removeprefix("Bearer "))
            plan = self._plans[call]
            act = plan.popleft() if len(plan) > 1 else plan[0]
        act(request)


@contextmanager
def running() -> Iterator[Twin]:
    """A twin on a free port of the loopback."""
    twin = Twin()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 5  # seconds that an idle connection may hold its thread

        def do_GET(self) -> None:
            twin.meet(self)

        def do_POST(self) -> None:
            twin.meet(self)

        def log_message(self, *args: Any) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, *args: Any) -> None:
            """The client went away: some tests want that."""

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    twin.base_url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield twin
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
