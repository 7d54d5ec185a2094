"""`milango audit`, and that the command line leaves an entry for what it does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from milango.models import AuditEntry, Installation
from tests.cli.conftest import Milango

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_trail_is_listed_and_verified(milango: Milango) -> None:
    milango("merchants", "add", "Mama Mboga")
    milango("keys", "create", "--merchant", "Mama Mboga")
    listed = milango("audit", "list", "--json")
    newest, oldest = (json.loads(line) for line in listed.output.splitlines())
    assert (newest["action"], oldest["action"]) == ("key.created", "merchant.added")
    assert newest["merchant"] == "Mama Mboga"
    assert "key.created" in milango("audit", "list", "--action", "key.created").output
    verified = milango("audit", "verify")
    assert verified.exit_code == 0, verified.output
    assert verified.output.startswith("2 entries are as they were written. The end: 2:")
    end = verified.output.split()[-1]
    assert milango("audit", "verify", "--expect", end).exit_code == 0
    assert milango("audit", "verify", "--expect", "2:" + "0" * 64).exit_code == 1


def test_the_first_broken_entry_is_told(milango: Milango) -> None:
    milango("merchants", "add", "Mama Mboga")
    AuditEntry.objects.update(actor="x")
    verified = milango("audit", "verify")
    assert verified.exit_code == 1
    assert "Entry 1 was changed" in verified.output


def test_a_slip_of_the_clipboard_is_no_alarm(milango: Milango) -> None:
    for slip in ("abc", "2:", "2:abc"):
        assert milango("audit", "verify", "--expect", slip).exit_code == 2


def test_ids_are_listed_whole(milango: Milango) -> None:
    milango("merchants", "add", "Mama Mboga")
    assert AuditEntry.objects.get().subject in milango("audit", "list").output


def test_names_from_outside_cannot_drive_a_terminal(milango: Milango) -> None:
    from milango.flows import audit

    audit.record("x\x1b[2J\u202eevil", "test.entry", "thing")
    listed = milango("audit", "list")
    assert "\x1b" not in listed.output
    assert "\u202e" not in listed.output


def test_installation_commands_leave_an_entry(milango: Milango, settings: Any) -> None:
    Installation.objects.create(pk=1, public_url="https://live.example.test")
    milango("adopt")
    milango("rotate-keys")
    actions = list(AuditEntry.objects.order_by("number").values_list("action", flat=True))
    assert actions == ["installation.adopted", "keys.rotated"]
    assert AuditEntry.objects.get(number=2).actor.startswith("cli")
    assert milango("audit", "verify").exit_code == 0
