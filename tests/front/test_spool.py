"""Callbacks that come while the database is away are on the disk, sealed, and settled later."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.db import DatabaseError, OperationalError, connection, connections
from django.utils import timezone

from milango.core.errors import Declined
from milango.flows import batches, confirmations, replay
from milango.front import Front, spool
from milango.models import InboundCallback, MpesaCredential, PaymentEvent
from tests.servers import serve

from .calls import ask, post
from .conftest import Prompted
from .posted import KINDS, Posted

pytestmark = pytest.mark.django_db(transaction=True)


class Away:
    """A switch for the database, as the verb meets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_away = False
        self.seconds = 0.0
        self.refused: set[int] = set()
        self.poisoned = False
        self.real = batches._once
        monkeypatch.setattr(batches, "_once", self.once)

    def once(self, verb: batches.Verb, items: Sequence[Any]) -> Any:
        if self.is_away:
            time.sleep(self.seconds)
            raise OperationalError("could not connect to server")
        if self.poisoned:
            raise DatabaseError("value out of range")
        if any(verb.lane(item) in self.refused for item in items):
            raise Declined("too_many", "No more of these.")
        return self.real(verb, items)


def settled(payments: list[Prompted]) -> bool:
    return all(one.now().status == "Success" for one in payments)


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextmanager
def serving() -> Iterator[str]:
    """Milango's own server; gives its address."""
    with serve(Front(get_asgi_application()), lifespan="on") as door:  # type: ignore[arg-type]
        yield door
    connections.close_all()


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Away:
    return Away(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that callbacks are spooled to, and told from often."""
    monkeypatch.setattr(spool, "AGAIN", 0.1)
    folder = tmp_path / "spool"
    settings.MILANGO = settings.MILANGO | {"SPOOL": str(folder)}
    return folder


@pytest.fixture(params=KINDS)
def posts(request: Any, credential: MpesaCredential) -> list[Posted]:
    """Three callbacks of one kind."""
    return [KINDS[request.param](credential) for _ in range(3)]


def all_of(posts: list[Posted]) -> bool:
    return all(one.is_settled() for one in posts)


def test_nothing_is_lost_while_the_database_is_away(
    posts: list[Posted], folder: Path, away: Away
) -> None:
    with serving() as door:
        away.is_away = True
        assert [post(door, one.path, one.body) for one in posts] == [503] * 3
        kept = b"".join(file.read_bytes() for file in folder.iterdir())
        assert kept.count(b"\n") == 3
        assert posts[0].body[:20] not in kept, "sealed"
        away.is_away = False
        wait_until(lambda: all_of(posts))
        wait_until(lambda: not list(folder.iterdir()))
    assert InboundCallback.objects.count() == 3


def test_what_no_database_takes_even_alone_is_kept_for_later(
    posts: list[Posted], folder: Path, away: Away
) -> None:
    with serving() as door:
        away.is_away = True
        assert [post(door, one.path, one.body) for one in posts] == [503] * 3
        away.poisoned, away.is_away = True, False
        wait_until(lambda: not list(folder.iterdir()))
    away.poisoned = False
    kept = InboundCallback.objects.values_list("verdict", flat=True)
    assert list(kept) == ["poisoned"] * 3
    assert replay.replay_due(timezone.now() + timedelta(minutes=2)) == 3
    assert all_of(posts)


def test_all_that_a_server_without_a_database_heard_before_it_was_killed_is_settled(
    credential: MpesaCredential, folder: Path
) -> None:
    """No database at all, SIGKILL, and another process that finds the files."""
    posts = [made(credential) for made in KINDS.values()]
    with killed_at_the_end(json.dumps(settings.MILANGO)) as door:
        assert [post(door, one.path, one.body) for one in posts] == [503] * 4
        path = urlsplit(confirmations.address_of(credential, "validate")).path
        assert post(door, path, posts[1].body) == 503, "neither yes nor no"
    assert not any(one.is_settled() for one in posts)
    with serving():
        wait_until(lambda: all_of(posts))
        wait_until(lambda: not list(folder.iterdir()))
    kinds = InboundCallback.objects.values_list("kind", flat=True)
    assert sorted(kinds) == ["c2b", "result", "stk", "timeout"]


@contextmanager
def killed_at_the_end(told: str) -> Iterator[str]:
    """A server in a process of its own; gives its address."""
    command = [sys.executable, "-m", "tests.front.away"]
    with subprocess.Popen(command, stdin=-1, stdout=-1, text=True) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(told + "\n")
        process.stdin.flush()
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


def test_what_comes_while_the_spool_is_told_is_kept_as_well(
    prompted: Any, folder: Path, away: Away
) -> None:
    payments = [prompted() for _ in range(6)]
    away.seconds = 0.3  # as long as a server that does not answer is waited for
    with serving() as door:
        away.is_away = True
        for one in payments:
            assert post(door, one.path, one.callback()) == 503
        away.is_away = False
        wait_until(lambda: settled(payments))


def test_a_body_is_kept_once_and_a_stranger_fills_nothing(
    prompted: Any, folder: Path, away: Away
) -> None:
    """Whoever knows one address may not use up the disk."""
    one = prompted()
    away.is_away = True
    with serving() as door:
        bodies = [b"junk %d" % (number // 2) for number in range(50)]
        assert {post(door, one.path, body) for body in bodies} == {503}
        kept = b"".join(file.read_bytes() for file in folder.glob("*.spool"))
        assert kept.count(b"\n") == 20


def test_half_of_the_spool_is_for_safaricom(
    prompted: Any, folder: Path, away: Away, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.MILANGO = settings.MILANGO | {"TRUSTED_PROXIES": ["127.0.0.1/32"]}
    monkeypatch.setattr(spool, "LARGEST", 12_000)
    away.is_away = True

    def send(peer: str) -> None:
        one = prompted()
        headers = {"Content_Type": "application/json", "X_Forwarded_For": peer}
        assert ask(door, "POST", one.path, one.callback(), **headers)[0] == 503

    def size() -> int:
        return sum(file.stat().st_size for file in folder.glob("*.spool"))

    with serving() as door:
        for _ in range(10):
            send("203.0.113.7")
        assert 3_000 < size() <= 6_000
        for _ in range(10):
            send("196.201.214.200")
        assert 9_000 < size() <= 12_000


def test_what_a_crash_left_is_settled_at_the_next_start(
    prompted: Any, folder: Path, away: Away
) -> None:
    one = prompted()
    away.is_away = True
    with serving() as door:
        assert post(door, one.path, one.callback()) == 503
    (file,) = folder.iterdir()
    # The process died within the last line, and an old one was sealed with a key that is gone.
    unreadable = b"mse1:09:AAAA\n" + file.read_bytes()[:40]
    file.write_bytes(file.read_bytes() + unreadable)
    away.is_away = False
    with serving():
        wait_until(lambda: settled([one]))
        wait_until(lambda: not list(folder.glob("*.spool")))
    (left,) = folder.iterdir()
    assert left.read_bytes() == unreadable + b"\n", "kept: the key may come back"


def test_a_crash_between_settling_and_forgetting_only_counts(
    posts: list[Posted], folder: Path, away: Away
) -> None:
    away.is_away = True
    with serving() as door:
        assert {post(door, one.path, one.body) for one in posts} == {503}
    left = {file.name: file.read_bytes() for file in folder.iterdir()}
    away.is_away = False
    with serving():
        wait_until(lambda: not list(folder.iterdir()))
    for name, lines in left.items():
        (folder / name).write_bytes(lines)
    events = PaymentEvent.objects.count()
    with serving():
        wait_until(lambda: not list(folder.iterdir()))
    assert all_of(posts)
    assert PaymentEvent.objects.count() == events
    assert set(InboundCallback.objects.values_list("repeats", flat=True)) == {1}
    assert InboundCallback.objects.count() == 3


def test_the_file_of_a_living_process_is_its_own(prompted: Any, folder: Path, away: Away) -> None:
    one = prompted()
    away.is_away = True
    with serving() as door:
        assert post(door, one.path, one.callback()) == 503
    away.is_away = False
    (path,) = folder.iterdir()
    with path.open("rb") as another:
        fcntl.flock(another, fcntl.LOCK_EX)
        with serving():
            time.sleep(0.5)
            assert path.exists()
            fcntl.flock(another, fcntl.LOCK_UN)
            wait_until(lambda: settled([one]))


def test_one_callback_that_is_refused_holds_up_no_other(
    prompted: Any, folder: Path, away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = prompted(), prompted()
    away.is_away = True
    with serving() as door:
        assert post(door, bad.path, bad.callback()) == 503
        assert post(door, good.path, good.callback()) == 503
        away.refused = {bad.payment.pk.int}
        away.is_away = False
        wait_until(lambda: settled([good]))
        wait_until(lambda: not list(folder.glob("*.spool")))
    assert bad.now().status == "Pending"
    (left,) = folder.glob("*.left")
    assert left.read_bytes().count(b"\n") == 1


def test_lines_that_a_full_disk_cut_off_are_taken_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> None:
        raise OSError("no space left")

    with (tmp_path / "a.spool").open("xb", buffering=0) as file:
        spool._append(file, b"first\n")
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="no space"):
                spool._append(file, b"second\n")
        spool._append(file, b"third\n")
    assert (tmp_path / "a.spool").read_bytes() == b"first\nthird\n"


def test_without_a_folder_a_callback_is_refused(door: str, prompted: Any, away: Away) -> None:
    one = prompted()
    away.is_away = True
    assert post(door, one.path, one.callback()) == 503
    away.is_away = False
    assert post(door, one.path, one.callback()) == 200


@pytest.mark.postgres
def test_a_connection_that_was_cut_costs_one_refusal_and_nothing_else(
    door: str, prompted: Any
) -> None:
    first, second = prompted(), prompted()
    assert post(door, first.path, first.callback()) == 200
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert post(door, second.path, second.callback()) == 503
    assert second.now().status == "Pending"
    assert post(door, second.path, second.callback()) == 200
    assert settled([first, second])
