"""Callbacks that come while the database is away are on the disk, sealed, and settled later."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.db import OperationalError, connection, connections

from milango.flows import receive, settle
from milango.front import Front
from milango.models import InboundCallback
from tests.servers import serve

from .calls import post
from .conftest import Prompted

pytestmark = pytest.mark.django_db(transaction=True)


class Away:
    """A switch for the database, as the verb meets it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_away = False
        self.real = settle.settle_many
        monkeypatch.setattr(receive, "settle_many", self.settle)

    def settle(self, evidence: Any) -> Any:
        if self.is_away:
            raise OperationalError("could not connect to server")
        return self.real(evidence)


def settled(payments: list[Prompted]) -> bool:
    return all(one.now().status == "Success" for one in payments)


def wait_until(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_nothing_is_lost_while_the_database_is_away(
    prompted: Any, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    settings.MILANGO = settings.MILANGO | {"SPOOL": str(folder)}
    payments, away = [prompted() for _ in range(5)], Away(monkeypatch)
    with serve(Front(get_asgi_application()), lifespan="on") as door:  # type: ignore[arg-type]
        away.is_away = True
        assert [post(door, one.path, one.callback()) for one in payments] == [503] * 5
        kept = b"".join(file.read_bytes() for file in folder.iterdir())
        assert kept.count(b"\n") == 5
        assert payments[0].payment.phone.encode() not in kept, "sealed"
        away.is_away = False
        wait_until(lambda: settled(payments))
        wait_until(lambda: not list(folder.iterdir()))
    connections.close_all()
    assert InboundCallback.objects.count() == 5


def test_what_a_crash_left_is_settled_at_the_next_start(
    prompted: Any, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    settings.MILANGO = settings.MILANGO | {"SPOOL": str(folder)}
    one, away = prompted(), Away(monkeypatch)
    away.is_away = True
    with serve(Front(get_asgi_application()), lifespan="on") as door:  # type: ignore[arg-type]
        assert post(door, one.path, one.callback()) == 503
    (file,) = folder.iterdir()
    # The process died within the last line, and an old one was sealed with a key that is gone.
    file.write_bytes(file.read_bytes() + b"mse1:09:AAAA\n" + file.read_bytes()[:40])
    away.is_away = False
    with serve(Front(get_asgi_application()), lifespan="on"):  # type: ignore[arg-type]
        wait_until(lambda: settled([one]))
        wait_until(lambda: not list(folder.iterdir()))
    connections.close_all()


def test_without_a_folder_a_callback_is_refused(
    door: str, prompted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, away = prompted(), Away(monkeypatch)
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
