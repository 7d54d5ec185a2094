"""Replacing a key: every secret moves to the new one, nothing is lost, nothing is hidden."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import override_settings

from milango.flows import keys as rotation
from milango.flows.keys import rotate_keys
from milango.models import MpesaCredential, OAuthToken, fields

from . import raw
from .conftest import credential_of
from .keys import FIRST, OTHER_FIRST, SECOND, with_keys

pytestmark = pytest.mark.django_db

NEW_FIRST = with_keys(SECOND, FIRST)
ONLY_NEW = with_keys(SECOND)
SECRETS = ("consumer_key", "consumer_secret", "passkey")


def stored_keys(*rows: MpesaCredential) -> set[str]:
    return {raw.read(row, name)[:8] for row in rows for name in SECRETS}


def test_after_a_rotation_the_old_key_may_go(
    mine: MpesaCredential, theirs: MpesaCredential
) -> None:
    OAuthToken.objects.create(key="k", token="live")
    with override_settings(MILANGO=NEW_FIRST):
        assert rotate_keys() == {"rotated": 7, "skipped": 0, "failed": 0}
    with override_settings(MILANGO=ONLY_NEW):
        row = MpesaCredential.objects.get(pk=theirs.pk)
        assert row.consumer_secret == "secret of Kilimani Fibre"
        assert OAuthToken.objects.get().token == "live"
    assert stored_keys(mine, theirs) == {"mse1:02:"}


def test_a_second_run_changes_nothing(mine: MpesaCredential) -> None:
    with override_settings(MILANGO=NEW_FIRST):
        rotate_keys()
        before = raw.read(mine, "passkey")
        assert rotate_keys() == {"rotated": 0, "skipped": 3, "failed": 0}
    assert raw.read(mine, "passkey") == before


def test_all_rows_are_reached_when_they_fill_several_batches(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotation, "BATCH", 2)
    rows = [credential_of(f"Shop {n}", f"60000{n}") for n in range(5)]
    with override_settings(MILANGO=NEW_FIRST):
        assert rotate_keys()["rotated"] == 15
    assert stored_keys(*rows) == {"mse1:02:"}


def test_empty_and_missing_secrets_are_nobodys_business(mine: MpesaCredential) -> None:
    OAuthToken.objects.create(key="k")
    MpesaCredential.objects.update(passkey="")
    with override_settings(MILANGO=NEW_FIRST):
        assert rotate_keys() == {"rotated": 2, "skipped": 0, "failed": 0}
    assert raw.read(mine, "passkey") == ""


@pytest.mark.parametrize(
    ("settings", "why"),
    [(ONLY_NEW, "needs key '01'"), (with_keys(SECOND, OTHER_FIRST), "another key under that id")],
)
def test_what_cannot_be_opened_is_reported_and_left_as_it_was(
    mine: MpesaCredential, settings: dict[str, object], why: str
) -> None:
    before = [raw.read(mine, name) for name in SECRETS]
    said: list[str] = []
    with override_settings(MILANGO=settings):
        assert rotate_keys(said.append) == {"rotated": 0, "skipped": 0, "failed": 3}
    assert [raw.read(mine, name) for name in SECRETS] == before
    told = [line for line in said if why in line]
    assert len(told) == 3
    assert told[0].startswith("milango.MpesaCredential.consumer_key ")


def test_one_bad_row_does_not_stop_the_others(
    mine: MpesaCredential, theirs: MpesaCredential
) -> None:
    raw.write(mine, "passkey", raw.read(theirs, "passkey"))
    raw.write(mine, "consumer_key", "hunter2")
    said: list[str] = []
    with override_settings(MILANGO=NEW_FIRST):
        assert rotate_keys(said.append) == {"rotated": 4, "skipped": 0, "failed": 2}
    assert "hunter2" not in " ".join(said)


def test_a_secret_that_changes_while_it_is_rotated_keeps_the_newer_value(
    mine: MpesaCredential, monkeypatch: pytest.MonkeyPatch
) -> None:
    reseal, changes = fields.reseal, iter(["typed meanwhile"])

    def somebody_saves_first(*args: Any) -> str:
        if (text := next(changes, None)) is not None:
            with override_settings(MILANGO=with_keys(FIRST)):  # a process of before the restart
                mine.consumer_key = text
                mine.save()
        return reseal(*args)

    monkeypatch.setattr(rotation, "reseal", somebody_saves_first)
    with override_settings(MILANGO=NEW_FIRST):
        assert rotate_keys()["failed"] == 0
        assert MpesaCredential.objects.get().consumer_key == "typed meanwhile"
    assert stored_keys(mine) == {"mse1:02:"}
