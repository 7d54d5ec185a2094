"""Those who only hold a connection, and databases that hold us: nobody else waits for them."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.core.asgi import get_asgi_application
from django.db import connections as databases
from django.db.backends.base.base import BaseDatabaseWrapper
from django.http import HttpResponse
from django.urls import clear_url_caches, path

from milango.flows import confirmations, receive, settle
from milango.front import Front, bounds, callbacks, spool
from milango.models import InboundCallback, MpesaCredential
from milango.server import connections, run

from .calls import ask, post
from .test_spool import settled, wait_until

pytestmark = pytest.mark.django_db(transaction=True)


class Door:
    """A real server as `milango serve` runs it, whose patience is short."""

    def __init__(self) -> None:
        self.listener = run.bind("127.0.0.1", 0)
        self.address: tuple[str, int] = self.listener.getsockname()
        self.url = f"http://127.0.0.1:{self.address[1]}"
        self.site = run.site(Front(get_asgi_application()), self.listener, lifespan=True)  # type: ignore[arg-type]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        asyncio.run(self.site.server.serve(sockets=[self.listener]))

    def __enter__(self) -> Door:
        self._thread.start()
        wait_until(lambda: self.site.server.started)
        return self

    def __exit__(self, *error: object) -> None:
        self.site.server.should_exit = True
        self.site.leave()
        self._thread.join(10)
        self.listener.close()
        databases.close_all()

    def call(self, *pieces: bytes) -> socket.socket:
        """A connection on which these bytes were sent."""
        caller = socket.create_connection(self.address, timeout=10)
        for piece in pieces:
            caller.sendall(piece)
        return caller

    def slow_reader(self, request: bytes) -> socket.socket:
        """A connection that takes in little by itself."""
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.settimeout(10)
        caller.connect(self.address)
        caller.sendall(request)
        return caller

    def ask(self, request: bytes, answers: int = 1) -> bytes:
        """What comes back, up to so many whole answers."""
        with closing(self.call(request)) as caller:
            found = b""
            while found.count(b"HTTP/1.1") < answers or not found.endswith((b"}", b"\r\n\r\n")):
                piece = caller.recv(65_536)
                if not piece:
                    break
                found += piece
            return found


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of a second, where it is five in life."""
    monkeypatch.setattr(connections, "HEAD_SECONDS", 1.0)
    monkeypatch.setattr("milango.front.app.BODY_SECONDS", 1.0)
    monkeypatch.setattr(bounds, "BOUNDS", (bounds.Bound("", 65_536, 1.0),))
    monkeypatch.setattr(callbacks, "COMMIT_SECONDS", 1.0)


@pytest.fixture
def door(quick: None, transactional_db: None) -> Iterator[Door]:
    with Door() as door:
        yield door


@pytest.fixture
def meetings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Grows with each time that any thread is about to ask the database."""
    found: list[str] = []
    real = BaseDatabaseWrapper.ensure_connection

    def ensure(self: Any) -> None:
        found.append(threading.current_thread().name)
        real(self)

    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", ensure)
    return found


def ended(caller: socket.socket) -> bool:
    """Whether the server has closed the connection, which it does within some seconds."""
    try:
        return caller.recv(65_536) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize(
    "pieces",
    [(), (b"POST /callb",), (b"GET / HTTP/1.1\r\nHost: x\r\n",)],
    ids=["nothing", "half a line", "half a head"],
)
def test_a_head_that_does_not_come_is_not_waited_for(door: Door, pieces: Any) -> None:
    with closing(door.call(*pieces)) as caller:
        began = time.monotonic()
        assert ended(caller)
        assert time.monotonic() - began < 4


def test_a_second_head_is_not_waited_for_either(door: Door) -> None:
    whole = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    with closing(door.call(whole)) as caller:
        assert b" 200 " in caller.recv(65_536)
        caller.sendall(b"GET /hea")
        assert ended(caller)


def test_what_trickles_in_after_the_answer_holds_no_connection(door: Door, prompted: Any) -> None:
    head = f"POST {prompted().path} HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"
    with closing(door.call(head.encode())) as caller:
        assert b" 413 " in caller.recv(65_536)
        with pytest.raises(ConnectionError):  # noqa: PT012 - it breaks at one of the pieces
            for _ in range(40):
                caller.sendall(b"x")
                time.sleep(0.1)


def trickle(caller: socket.socket, piece: bytes, seconds: float = 4.0) -> float:
    """Send a piece again and again; gives the seconds after which the server had enough."""
    began = time.monotonic()
    caller.settimeout(0.1)
    while time.monotonic() - began < seconds:
        try:
            caller.sendall(piece)
            if not caller.recv(65_536):
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - began


@pytest.mark.parametrize(
    ("begun", "piece"),
    [
        (b"", b"\r\n"),
        (b"GET /healthz HTTP/1.1\r\n", b"X-Slow: 1\r\n"),
        (b"GET /", b"x"),
    ],
    ids=["empty lines", "headers", "an address"],
)
def test_a_head_that_trickles_in_is_cut_off(door: Door, begun: bytes, piece: bytes) -> None:
    with closing(door.call(begun)) as caller:
        assert trickle(caller, piece) < 3.5


def test_a_head_without_end_is_cut_off(door: Door) -> None:
    with closing(door.call(b"GET /healthz HTTP/1.1\r\n")) as caller:
        began = time.monotonic()
        with pytest.raises(ConnectionError):  # noqa: PT012 - it breaks at one of the pieces
            for _ in range(400):
                caller.sendall(b"X: " + b"x" * 65_536 + b"\r\n")
        assert time.monotonic() - began < 0.9, "by its length"


def test_requests_far_ahead_of_their_answers_are_not_taken(door: Door, prompted: Any) -> None:
    one = prompted()
    body = one.callback()
    head = f"POST {one.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    assert b" 400 Bad Request" in door.ask((head.encode() + body) * 40)


def test_a_caller_who_asks_whether_to_go_on_is_told(door: Door, prompted: Any) -> None:
    one = prompted()
    body = one.callback()
    head = (
        f"POST {one.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        "Expect: 100-continue\r\n\r\n"
    )
    with closing(door.call(head.encode())) as caller:
        assert caller.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        caller.sendall(body)
        assert b"HTTP/1.1 200 OK" in caller.recv(65_536)


@pytest.fixture
def long_answers(settings: Any) -> None:
    """An address that answers so many bytes."""
    answer = path("long/<int:size>", lambda request, size: HttpResponse(b"x" * size))
    settings.ROOT_URLCONF = type("Urls", (), {"urlpatterns": [answer]})
    clear_url_caches()


def test_somebody_slow_gets_all_of_an_answer(door: Door, long_answers: None) -> None:
    with closing(door.slow_reader(b"GET /long/60000 HTTP/1.1\r\nHost: x\r\n\r\n")) as caller:
        time.sleep(2.5)
        found = b""
        while piece := caller.recv(65_536):
            found += piece
        assert found.endswith(b"\r\n\r\n" + b"x" * 60_000)


def test_somebody_who_does_not_read_is_cut_off(
    door: Door, long_answers: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "UNREAD_SECONDS", 1.0)
    with closing(door.slow_reader(b"GET /long/3000000 HTTP/1.1\r\nHost: x\r\n\r\n")):
        wait_until(lambda: len(door.site.server.server_state.connections) == 1)
        wait_until(lambda: not door.site.server.server_state.connections)


@pytest.mark.parametrize("pieces", [(b"5\r\nhello\r\n",), ()], ids=["a chunk", "nothing"])
def test_django_is_spared_a_body_that_does_not_come(door: Door, pieces: Any) -> None:
    head = b"POST /callbacks/other HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert b"body_too_slow" in door.ask(b"".join([head, *pieces]))


def test_the_bytes_of_a_body_are_counted_as_they_come(door: Door, prompted: Any) -> None:
    chunk = b"1000\r\n" + b"x" * 4_096 + b"\r\n"
    for where in (prompted().path, "/callbacks/other"):
        head = f"POST {where} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert b"body_too_large" in door.ask(head.encode() + chunk * 20)


def test_head_and_body_have_one_deadline_together(door: Door, prompted: Any) -> None:
    head = f"POST {prompted().path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    with closing(door.call(head.encode())) as caller:
        time.sleep(0.9)
        began = time.monotonic()
        caller.sendall(b"\r\n{")
        assert b"body_too_slow" in caller.recv(65_536)
        assert time.monotonic() - began < 0.8


def test_half_a_body_is_answered_408(door: Door, prompted: Any) -> None:
    head = f"POST {prompted().path} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    assert b"body_too_slow" in door.ask(head.encode() + b"{")


def test_no_body_is_waited_for_at_a_made_up_address(door: Door) -> None:
    began = time.monotonic()
    head = b"POST /callbacks/stk/0123 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    assert b" 404 " in door.ask(head)
    assert time.monotonic() - began < 0.5


def test_callbacks_get_through_a_crowd_of_callers_who_say_nothing(
    door: Door, prompted: Any, meetings: list[str]
) -> None:
    """An attack: half-open connections, and a flood of tokens that are not ours."""
    payments = [prompted() for _ in range(20)]
    crowd = [door.call(b"POST /callbacks/stk/0123 HTTP/1.1\r\nHost") for _ in range(1_000)]
    meetings.clear()
    slowest, asked = 0.0, 0
    with flood(door) as sent:
        wait_until(lambda: sum(sent) > 200)
        assert not meetings, "the flood met no database"
        for one in payments:
            began = time.monotonic()
            assert post(door.url, one.path, one.callback()) == 200
            slowest = max(slowest, time.monotonic() - began)
        asked = len(meetings)
    assert slowest < 2
    assert asked
    assert settled(payments)
    assert InboundCallback.objects.count() == 20
    assert all(ended(caller) for caller in crowd)
    for caller in crowd:
        caller.close()


@contextmanager
def flood(door: Door) -> Iterator[list[int]]:
    """Four strangers who post to made-up addresses; gives how often each has been answered."""
    stop, sent = threading.Event(), [0] * 4

    def stranger(number: int) -> None:
        while not stop.is_set():
            assert post(door.url, "/callbacks/stk/" + "0" * 98, b"x" * 1_000) == 404
            sent[number] += 1

    strangers = [threading.Thread(target=stranger, args=[number]) for number in range(4)]
    for each in strangers:
        each.start()
    try:
        yield sent
    finally:
        stop.set()
        for each in strangers:
            each.join()


@pytest.mark.parametrize("kept_open", [True, False])
def test_an_answer_without_a_body_is_sent_too(door: Door, kept_open: bool) -> None:
    more = b"" if kept_open else b"Connection: close\r\n"
    began = time.monotonic()
    answer = door.ask(b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n" + more + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"\r\n\r\n")
    assert time.monotonic() - began < 0.9, "at once, and not when the connection ends"


def test_requests_in_a_row_are_answered_in_a_row(door: Door, prompted: Any) -> None:
    one = prompted()
    body = one.callback()
    head = f"POST {one.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = door.ask((head.encode() + body) * 3, answers=3)
    assert answer.count(b"HTTP/1.1 200 OK") == 3
    assert InboundCallback.objects.get().repeats == 2


def test_who_hangs_up_loses_only_the_answer(door: Door, prompted: Any) -> None:
    one = prompted()
    body = one.callback()
    head = f"POST {one.path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    door.call(head.encode() + body).close()
    wait_until(lambda: settled([one]))


def test_a_validation_is_answered_in_time_although_the_database_hangs(
    door: Door, credential: MpesaCredential, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-Pesa waits, and the payer with it; then it does what the merchant has registered."""
    go = threading.Event()
    monkeypatch.setattr(confirmations, "_look_up", lambda pk: [credential] if go.wait(10) else [])
    path = urlsplit(confirmations.address_of(credential, "validate")).path
    began = time.monotonic()
    headers = {"Content_Type": "application/json"}
    status, told = ask(door.url, "POST", path, b"{}", **headers)
    assert (status, told["code"]) == (503, "database_unavailable")
    assert time.monotonic() - began < 2
    go.set()


class Stuck:
    """A database that takes a statement and says nothing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.go = threading.Event()
        self.real: Callable[..., Any] = settle.settle_many
        monkeypatch.setattr(receive, "settle_many", self.settle)

    def settle(self, evidence: Any) -> Any:
        assert self.go.wait(30)
        return self.real(evidence)


def test_a_database_that_hangs_is_answered_503_and_the_bytes_are_on_the_disk(
    quick: None, prompted: Any, settings: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MILANGO = settings.MILANGO | {"SPOOL": str(tmp_path)}
    monkeypatch.setattr(spool, "AGAIN", 60.0)
    stuck, payments = Stuck(monkeypatch), [prompted(), prompted()]
    with Door() as door:
        began = time.monotonic()
        assert [post(door.url, one.path, one.callback()) for one in payments] == [503] * 2
        assert time.monotonic() - began < 6
        kept = b"".join(file.read_bytes() for file in tmp_path.glob("*.spool"))
        assert kept.count(b"\n") == 2
        stuck.go.set()
        wait_until(lambda: settled(payments))
    assert InboundCallback.objects.count() == 2
