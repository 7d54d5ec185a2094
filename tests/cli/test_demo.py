"""`milango demo` as a program: one line when ready, one process, nothing left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.demos import (
    MILANGO,
    Demo,
    Refused,
    begun,
    call,
    free_ports,
    plain_environment,
    seconds_of_the_first_run,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

TEST_NUMBER = "254708374149"
"""Pays by itself after about a second."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return begun(tmp_path_factory.mktemp("demo") / "demo")


@pytest.fixture
def own_folder(tmp_path: Path) -> Path:
    """A folder for one test alone, whose demo may be stopped."""
    return begun(tmp_path / "demo")


@pytest.fixture(scope="module")
def demo(folder: Path) -> Iterator[Demo]:
    running = Demo(folder)
    yield running
    running.stop()


def push(demo: Demo, kind: str = "paybill", phone: str = TEST_NUMBER, amount: int = 10) -> dict:
    merchant = demo.merchant(kind)
    return call(
        "POST",
        f"{demo.base_url}/api/v1/stk-push",
        {"phone_number": phone, "amount": amount, "shortcode": merchant["shortcode"]},
        {"Authorization": f"Bearer {merchant['secret_key']}"},
    )


def settled(payment: dict) -> dict:
    for _ in range(100):
        told = call("GET", payment["status_url"])
        if told["status"] != "Pending":
            return told
        time.sleep(0.1)
    raise AssertionError("still pending")


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def half_asked(
    demo: Demo, method: str, path: str, headers: dict[str, str] | None = None, body: str = ""
) -> socket.socket:
    """A request whose answer nobody waits for yet."""
    given = {
        "Host": "127.0.0.1",
        "Authorization": f"Bearer {demo.merchant('paybill')['secret_key']}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    connection = socket.create_connection(("127.0.0.1", demo.ports[0]))
    connection.sendall("\r\n".join([*lines, "", body]).encode())
    return connection


def command_line(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MILANGO, "--on-demo", *words],
        capture_output=True,
        text=True,
        env=plain_environment(MILANGO_DEMO_DATA=str(folder)),
    )


def test_it_says_what_the_documents_promise(demo: Demo) -> None:
    assert list(demo.ready) == ["base_url", "simulator_url", "merchants"]
    wanted = ["name", "shortcode", "kind", "secret_key", "publishable_key"]
    assert [list(each) for each in demo.ready["merchants"]] == [wanted, wanted]
    assert {each["kind"] for each in demo.ready["merchants"]} == {"paybill", "till"}


def test_a_payer_pays_both_merchants_and_each_carries_its_own_credentials(demo: Demo) -> None:
    for kind in ("paybill", "till"):
        told = settled(push(demo, kind))
        assert (told["status"], bool(told["receipt_number"])) == ("Success", True)
    calls = [row for row in demo.control("GET", "ledger") if row["phone"] == TEST_NUMBER]
    assert len({row["consumer_key"] for row in calls}) == 2
    till = demo.merchant("till")["shortcode"]
    assert all(row["business_short_code"] != till for row in calls)


def test_only_its_owner_can_read_its_files(demo: Demo, folder: Path) -> None:
    assert folder.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert {"demo.sqlite3", "keys.json", "installation.json"} <= set(modes)
    assert set(modes.values()) == {0o600}


def test_it_listens_on_this_machine_alone(demo: Demo) -> None:
    table = Path("/proc/net/tcp").read_text().splitlines()[1:]
    listening = [row.split()[1] for row in table if row.split()[3] == "0A"]
    ours = [at for at in listening if int(at.split(":")[1], 16) in demo.ports]
    assert [at.split(":")[0] for at in ours] == ["0100007F", "0100007F"]


def test_it_answers_to_no_other_name(demo: Demo) -> None:
    with pytest.raises(Refused) as refused:
        call("GET", demo.base_url, headers={"Host": "evil.example"})
    assert refused.value.code == 400


@pytest.mark.parametrize(
    ("story", "code", "said"),
    [("paid", 0, "receipt"), ("cancelled", 1, "Failed"), ("busy", 3, "Error: ")],
)
def test_a_prompt_from_the_command_line_ends_with_its_own_exit_code(
    demo: Demo, folder: Path, story: str, code: int, said: str
) -> None:
    phone = f"2547110000{code:02}"
    demo.control("POST", "stories", {"phone": phone, "story": story})
    words = ["push", "--merchant", "Wi-Fi Demo", "--shortcode", demo.merchant("till")["shortcode"]]
    done = command_line(folder, *words, "--phone", phone, "--amount", "15")
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done
    assert phone not in done.stdout + done.stderr


def test_money_that_nobody_was_prompted_for_is_booked_and_can_be_asked_about(
    demo: Demo, folder: Path
) -> None:
    merchant = demo.merchant("paybill")
    payment = {"shortcode": merchant["shortcode"], "phone": "0711000055", "amount": 70}
    paid = demo.control("POST", "payments", payment | {"account_reference": "ORDER1"})
    keys = {"Authorization": f"Bearer {merchant['secret_key']}"}
    for _ in range(100):
        told = call("GET", f"{demo.base_url}/api/v1/payments", headers=keys)["data"]
        if found := [row for row in told if row["receipt_number"] == paid["receipt"]]:
            break
        time.sleep(0.1)
    assert (found[0]["status"], found[0]["amount"]) == ("Success", "70.00")
    of = ("--merchant", merchant["name"], "--shortcode", merchant["shortcode"])
    done = command_line(folder, "shortcodes", "ask", *of, paid["receipt"])
    assert done.returncode == 0, done
    for _ in range(150):
        (inquiry,) = demo.control("GET", "inquiries")
        if inquiry["deliveries"] and inquiry["deliveries"][0]["status"]:
            break
        time.sleep(0.1)
    assert (inquiry["result_code"], inquiry["deliveries"][0]["status"]) == ("0", 200)
    done = command_line(folder, "shortcodes", "pull", *of, "--number", "0722000000")
    assert done.returncode == 0, done


@pytest.mark.parametrize(
    ("given", "said"),
    [({"--amount": "1.5"}, "whole shillings"), ({"--phone": "0201234567"}, "Kenyan")],
)
def test_bad_input_on_the_command_line_is_refused_in_a_sentence(
    demo: Demo, folder: Path, given: dict[str, str], said: str
) -> None:
    options = {"--merchant": "Duka Demo", "--shortcode": "600100", "--phone": "0711000001"}
    words = [word for pair in (options | {"--amount": "10"} | given).items() for word in pair]
    before = demo.control("GET", "ledger")
    done = command_line(folder, "push", *words)
    assert done.returncode == 3
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert demo.control("GET", "ledger") == before


def test_a_second_demo_on_the_same_folder_is_refused(demo: Demo, folder: Path) -> None:
    port, simulator_port = map(str, free_ports(2))
    words = ["--port", port, "--simulator-port", simulator_port, "--data", str(folder), "--fresh"]
    done = subprocess.run([MILANGO, "demo", *words], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Another demo is running" in done.stderr
    assert settled(push(demo, amount=11))["status"] == "Success"


def test_a_taken_port_is_said_in_a_sentence(demo: Demo, tmp_path: Path) -> None:
    words = ["--port", str(demo.ports[0]), "--data", str(tmp_path / "other")]
    done = subprocess.run([MILANGO, "demo", *words], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"Port {demo.ports[0]} on 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "other").exists()


def test_the_data_outlive_a_change_of_port_and_fresh_forgets_them(own_folder: Path) -> None:
    first = Demo(own_folder)
    payment = push(first)
    settled(payment)
    (own_folder / "somebody's notes").write_text("keep")
    first.stop()
    second = Demo(own_folder)
    keys = {"Authorization": f"Bearer {first.merchant('paybill')['secret_key']}"}
    known = call("GET", f"{second.base_url}/api/v1/payments/{payment['id']}", headers=keys)
    assert known["status"] == "Success"
    assert second.ready["merchants"] == first.ready["merchants"]
    assert settled(push(second, amount=12))["status"] == "Success"
    assert second.stop(signal.SIGTERM) == (0, "", "")
    third = Demo(own_folder, "--fresh")
    with pytest.raises(Refused) as refused:
        call("GET", f"{third.base_url}/api/v1/payments", headers=keys)
    assert refused.value.code == 401
    third.stop()
    assert (own_folder / "somebody's notes").exists()


def test_told_to_stop_it_leaves_nothing_running(own_folder: Path) -> None:
    running = Demo(own_folder)
    payment = push(running, phone="0711222333")
    open_page = socket.create_connection(("127.0.0.1", running.ports[0]))
    path = f"/api/v1/payments/{payment['id']}/events"
    stream = half_asked(running, "GET", path, {"Accept": "text/event-stream"})
    stream.recv(100)
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text()
    assert children == ""
    began = time.monotonic()
    code, out, err = running.stop(signal.SIGINT)
    took = time.monotonic() - began
    assert (code, out, err) == (0, "", "")
    # Two seconds is the promise. A machine that is busy with other tests gets more, but what
    # would go wrong here, waiting for the open connections, takes far longer.
    assert took < 6
    assert not any(answers(port) for port in running.ports)
    open_page.close()
    stream.close()


def test_a_push_that_waits_for_daraja_does_not_hold_the_end_up(own_folder: Path) -> None:
    running = Demo(own_folder)
    running.control("PATCH", "settings", {"push_delay_ms": 60_000})
    body = {"phone_number": "0711222444", "amount": 1, "shortcode": "600100"}
    waiting = half_asked(running, "POST", "/api/v1/stk-push", body=json.dumps(body))
    time.sleep(1)
    began = time.monotonic()
    code, out, _ = running.stop()
    assert (code, out) == (0, "")
    assert time.monotonic() - began < 8
    waiting.close()


def test_getting_ready_costs_less_than_ten_seconds_of_work() -> None:
    assert seconds_of_the_first_run() < 10
