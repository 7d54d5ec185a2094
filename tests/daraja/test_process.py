"""The client in whole processes: imports, exits, forks."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.daraja.twin import Twin

CLIENT = """
import asyncio, os, sys
from milango.daraja import DynamicMpesaClient
client = DynamicMpesaClient(
    consumer_key="key", consumer_secret="secret", passkey="passkey", short_code="174379",
    base_url=sys.argv[1], timeout=5,
)
push = ("254708374149", 150, "https://pay.example.com/callbacks/stk/7f3c", "INV-1")
"""


SLOW = re.compile(r"Executing <.*> took [0-9.]+ seconds")
"""What asyncio says in development mode when a callback was held up."""


def run(code: str, *arguments: str) -> str:
    """Run a program in development mode; anything on its standard error is a failure."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    # That something took long is said of the machine's load, not of us.
    said = [line for line in done.stderr.splitlines() if not SLOW.fullmatch(line)]
    assert (done.returncode, said) == (0, [])
    return done.stdout


def test_the_wire_needs_no_django():
    code = "import sys, milango.daraja.client; print('django' in sys.modules)"
    assert run(code) == "False\n"


@pytest.mark.parametrize("module", ["", ".security", ".results", ".c2b", ".pulls"])
def test_who_does_not_use_the_client_does_not_load_it(module: str):
    assert run(f"import sys, milango.daraja{module}; print('aiohttp' in sys.modules)") == "False\n"


def test_every_public_name_can_be_imported():
    code = "import milango.daraja as wire; print(all(hasattr(wire, n) for n in wire.__all__))"
    assert run(code + "; from milango.daraja import *; print(DynamicMpesaClient)").startswith(
        "True\n<class"
    )


def test_a_process_ends_in_silence(twin: Twin):
    code = CLIENT + "client.stk_push(*push); asyncio.run(client.astk_push(*push)); print('done')"
    assert run(code, twin.base_url) == "done\n"
    assert (twin.calls("oauth"), twin.calls("push")) == (1, 2)


def test_a_process_that_only_awaits_ends_in_silence(twin: Twin):
    run(CLIENT + "asyncio.run(client.astk_push(*push))", twin.base_url)
    assert twin.calls("push") == 1


def test_a_forked_child_and_its_parent_both_go_on(twin: Twin):
    code = (
        CLIENT
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside a thread is the point
client.stk_push(*push)
child = os.fork()
client.stk_push(*push)
if child == 0:
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
client.stk_push(*push)
"""
    )
    assert run(code, twin.base_url) == "0\n"
    assert twin.calls("push") == 4


def test_a_sync_call_inside_the_background_loop_is_an_error_not_a_deadlock(twin: Twin):
    code = (
        CLIENT
        + """
from milango.daraja.sessions import bridge
async def inside():
    client.stk_push(*push)
try:
    bridge.run(inside())
except RuntimeError as error:
    print(error)
"""
    )
    assert "inside the loop" in run(code, twin.base_url)
