"""`milango serve` and its settings: what they take, what they refuse, what they never log."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from milango import sealing
from milango.flows import listening
from milango.server.environment import OPTIONAL, PATIENCE, REQUIRED, Environment, database
from tests import installations
from tests.demos import MILANGO, free_ports, plain_environment

GOOD = {
    "MILANGO_PUBLIC_URL": "https://pay.example.test/",
    "MILANGO_KEYS": sealing.generate_key("01"),
    "MILANGO_SECRET_KEY": "s" * 40,
    "DATABASE_URL": "postgres://duka:p%40ss@db.example.test:5433/pay?sslmode=require",
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_database_machine_that_vanishes_is_not_waited_for() -> None:
    given = database("postgres://duka:x@db.example.test/pay?tcp_user_timeout=7000")["OPTIONS"]
    assert int(given["connect_timeout"]) <= 5
    assert int(given["keepalives_idle"]) <= 10
    assert given["tcp_user_timeout"] == "7000", "the address has the last word"
    assert set(PATIENCE) <= set(listening.CONNECTION), "nor by whoever listens"


def test_postgresql_keeps_its_connections(environment: pytest.MonkeyPatch) -> None:
    given = Environment().database
    assert (given["HOST"], given["PORT"], given["NAME"]) == ("db.example.test", "5433", "pay")
    assert (given["USER"], given["PASSWORD"]) == ("duka", "p@ss")
    assert given["OPTIONS"]["sslmode"] == "require"
    assert given["OPTIONS"]["pool"]["max_size"] == 16


def test_sqlite_survives_a_power_cut_and_queues_its_writers() -> None:
    given = database("sqlite:////var/lib/milango/db.sqlite3")
    assert given["NAME"] == "/var/lib/milango/db.sqlite3"
    assert given["OPTIONS"]["transaction_mode"] == "IMMEDIATE"
    assert "synchronous=FULL" in given["OPTIONS"]["init_command"]


@pytest.mark.parametrize(
    "url", ["mysql://canary@a/b", "postgres://canary", "sqlite://", "canary.sqlite3"]
)
def test_other_databases_are_refused_without_repeating_the_address(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        database(url)
    assert "DATABASE_URL" in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize("name", GOOD)
def test_each_required_name_is_asked_for(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    with pytest.raises(ImproperlyConfigured, match=name):
        Environment()


@pytest.mark.parametrize("url", ["http://pay.example.test", "pay.example.test", "ftp://x"])
def test_a_public_address_without_tls_is_refused(environment: pytest.MonkeyPatch, url: str) -> None:
    environment.setenv("MILANGO_PUBLIC_URL", url)
    with pytest.raises(ImproperlyConfigured, match="https"):
        _ = Environment().public_url


def test_a_secret_may_stand_in_a_file(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = f"{sealing.generate_key('02')}\n{sealing.generate_key('01')}\n"
    (tmp_path / "keys").write_text(keys)
    environment.delenv("MILANGO_KEYS")
    environment.setenv("MILANGO_KEYS_FILE", str(tmp_path / "keys"))
    assert Environment().milango["KEYS"] == keys.split()


def test_the_simulator_is_off(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("MILANGO_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")
    said = Environment().milango
    assert said["SIMULATOR"] is False
    assert said["TRUSTED_PROXIES"] == ["10.0.0.0/8", "192.0.2.7"]
    assert said["PUBLIC_URL"] == "https://pay.example.test"


def test_more_callback_sources_are_added_to_safaricoms(environment: pytest.MonkeyPatch) -> None:
    from milango.daraja.security import CALLBACK_SOURCES

    environment.setenv("MILANGO_CALLBACK_SOURCES", "192.0.2.0/24")
    assert Environment().milango["CALLBACK_SOURCES"] == [*CALLBACK_SOURCES, "192.0.2.0/24"]


class Served:
    """A real `milango serve` on SQLite."""

    def __init__(self, url: str) -> None:
        (self.port,) = free_ports(1)
        self.environment = plain_environment(**GOOD | {"DATABASE_URL": url})

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [MILANGO, *words], capture_output=True, text=True, env=self.environment
        )

    def start(self, *words: str) -> None:
        self.process = subprocess.Popen(
            [MILANGO, "serve", "--port", str(self.port), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
        )
        for _ in range(300):
            if self.status("/healthz") == 200:
                return
            time.sleep(0.1)
        raise AssertionError("it does not answer")

    def status(self, path: str, data: bytes | None = None, **headers: str) -> int:
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            request = urllib.request.Request(url, data, headers)
            with urllib.request.urlopen(request, timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except OSError:
            return 0

    def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out + err


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    """With all tables."""
    with installations.database(tmp_path) as url:
        yield from ended(Served(url))


@pytest.fixture
def unmigrated(tmp_path: Path) -> Iterator[Served]:
    """Without any."""
    yield from ended(Served(f"sqlite:///{tmp_path / 'db.sqlite3'}"))


def ended(server: Served) -> Iterator[Served]:
    yield server
    if hasattr(server, "process"):
        server.process.kill()
        server.process.wait()


def test_it_refuses_tables_that_are_not_up_to_date(unmigrated: Served) -> None:
    refused = unmigrated.run("serve", "--port", str(unmigrated.port))
    assert refused.returncode == 1
    assert "milango migrate" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_it_refuses_a_public_address_without_tls(served: Served) -> None:
    served.environment["MILANGO_PUBLIC_URL"] = "http://pay.example.test"
    refused = served.run("serve", "--port", str(served.port))
    assert refused.returncode == 1
    assert refused.stderr.startswith("Error: MILANGO_PUBLIC_URL must begin with https://")


@pytest.mark.slow
@pytest.mark.parametrize("words", [[], ["--workers", "2"]], ids=["one process", "two processes"])
def test_no_address_of_a_request_is_ever_logged(served: Served, words: list[str]) -> None:
    served.start(*words)
    token = "0123456789abcdef" * 6
    with_number = "ws_CO_24112026254708374149"
    for path in (
        f"/callbacks/stk/{token}",
        f"/callbacks/stk/{token}/more",
        f"/callbacks/nowhere/{token}",
        f"/api/v1/payments/status/{with_number}",
        f"/api/v1/payments/{with_number}/events?ticket={token}",
        f"/{token}?{with_number}",
        f"/admin/{with_number}",
    ):
        for data in (None, b"{}", b"\xff" * 70_000):
            assert served.status(path, data) < 500
        served.status(path, None, Host="evil.example")
    code, said = served.stop()
    assert code in {0, -signal.SIGTERM}
    assert token not in said
    assert with_number not in said
    assert "254708374149" not in said


@pytest.mark.slow
def test_the_settings_pass_djangos_own_checks_for_deployment(served: Served) -> None:
    command = [sys.executable, "-m", "django", "check", "--deploy", "--fail-level", "ERROR"]
    environment = served.environment | {"DJANGO_SETTINGS_MODULE": "milango.server.settings"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_wsgi_server_can_serve_it_too(served: Served) -> None:
    code = (
        "from milango.server.wsgi import application\n"
        "from wsgiref.util import setup_testing_defaults\n"
        "environ = {'PATH_INFO': '/healthz', 'HTTP_HOST': '127.0.0.1'}\n"
        "setup_testing_defaults(environ)\n"
        "application(environ, lambda status, headers: print(status))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=served.environment
    )
    assert done.stdout.startswith("200"), done.stderr


def test_the_documents_name_every_setting_and_no_command_that_is_not_there() -> None:
    from milango.server.cli import cli

    documents = Path(__file__).resolve().parents[2] / "docs"
    production = (documents / "production.md").read_text("utf-8")
    assert all(f"`{name}`" in production for name in REQUIRED | OPTIONAL)
    text = production + (documents / "demo.md").read_text("utf-8")
    named = set(re.findall(r"milango (?:--on-demo )?([a-z][a-z-]+)", text))
    assert named <= set(cli.table)


def _numbers(served: Served) -> dict[str, float]:
    url = f"http://127.0.0.1:{served.port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


@pytest.mark.slow
def test_each_process_answers_for_all_with_what_they_counted(served: Served) -> None:
    served.start("--workers", "2")
    name = 'milango_requests_total{method="GET",route="/healthz",status="200"}'
    before = _numbers(served)[name]
    for _ in range(20):
        assert served.status("/healthz") == 200
    assert _numbers(served)[name] - before == 20
    assert served.status("/readyz") == 503, "nobody does the background work"
    served.stop()


@pytest.mark.slow
def test_processes_whose_parent_was_killed_leave_the_port(served: Served) -> None:
    served.start("--workers", "2")
    served.process.kill()
    _, said = served.process.communicate(timeout=20)  # until the last of them has closed its end
    assert said.count("is gone, so this one ends too") == 2
    assert served.status("/healthz") == 0


@pytest.mark.slow
def test_a_server_with_its_own_worker_becomes_ready(unmigrated: Served) -> None:
    assert unmigrated.run("migrate").returncode == 0
    unmigrated.start()
    for _ in range(100):
        if unmigrated.status("/readyz") == 200:
            break
        time.sleep(0.1)
    assert unmigrated.status("/readyz") == 200
    unmigrated.stop()
