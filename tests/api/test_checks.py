"""Wrong settings are said at boot."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks

from milango.checks import check_settings

FINE = {
    "PUBLIC_URL": "https://pay.example.test",
    "KEYS": ["01:43Ar7B8klWfBJ9uu9d0RMl4bKsihLctUnqrum2shGCA="],
}

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "fine": ({}, []),
    "a misspelt name": ({"PUBLIC_ULR": "x"}, ["milango.E001"]),
    "no key": ({"KEYS": []}, ["milango.E002"]),
    "no public address": ({"PUBLIC_URL": None}, ["milango.E003"]),
    "plain http": ({"PUBLIC_URL": "http://pay.example.test"}, ["milango.E004"]),
    "plain http on loopback": ({"PUBLIC_URL": "http://127.0.0.1:8100"}, []),
    "plain http on localhost": ({"PUBLIC_URL": "http://localhost:8100"}, []),
    "a host that only looks local": (
        {"PUBLIC_URL": "http://127.0.0.1.evil.test"},
        ["milango.E004"],
    ),
    "plain http with the simulator": (
        {"PUBLIC_URL": "http://pay.example.test", "SIMULATOR": True},
        ["milango.W001"],
    ),
    "the simulator on loopback": ({"PUBLIC_URL": "http://[::1]:8100", "SIMULATOR": True}, []),
    "Daraja without TLS": (
        {"DARAJA_URLS": {"production": "http://daraja.example.test"}},
        ["milango.E006"],
    ),
    "a local Daraja": ({"DARAJA_URLS": {"sandbox": "http://127.0.0.1:8200"}}, []),
    "the simulator in public": ({"SIMULATOR": True}, ["milango.W001"]),
    "proxies everywhere": ({"TRUSTED_PROXIES": ["0.0.0.0/0"]}, ["milango.W002"]),
    "no callback source": ({"CALLBACK_SOURCES": []}, ["milango.W003"]),
    "webhooks into our own network": ({"WEBHOOKS_TO_ANYWHERE": True}, ["milango.W004"]),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_said_with_its_id(case: str, settings: Any):
    changes, ids = CASES[case]
    given = {name: value for name, value in (FINE | changes).items() if value is not None}
    settings.MILANGO = given
    messages = check_settings()
    assert [message.id for message in messages] == ids
    assert all(message.hint or message.id == "milango.E001" for message in messages)


def test_debug_may_use_plain_http(settings: Any):
    settings.DEBUG = True
    settings.MILANGO = FINE | {"PUBLIC_URL": "http://pay.example.test"}
    assert check_settings() == []


def test_naive_times_are_an_error(settings: Any):
    settings.USE_TZ = False
    settings.MILANGO = FINE
    assert [message.id for message in check_settings()] == ["milango.E005"]


def test_no_message_holds_a_key(settings: Any):
    settings.MILANGO = FINE | {"KEYS": ["01:43Ar7B8klWfBJ9uu9d0RMl4bKsihLctUnqrum2shGC"]}
    (message,) = check_settings()
    assert "43Ar7B8k" not in str(message)


def test_django_runs_them(settings: Any):
    settings.MILANGO = {}
    ids = {message.id for message in run_checks()}
    assert {"milango.E002", "milango.E003"} <= ids
