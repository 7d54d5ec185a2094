"""The audit trail: whatever is done to it afterwards is seen, and told by its number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from milango.flows import audit, keys
from milango.models import AuditEntry, Installation
from tests.secrets.keys import FIRST, SECOND, with_keys

pytestmark = pytest.mark.django_db

entries = AuditEntry.objects


@pytest.fixture
def trail() -> None:
    for number in range(1, 10):
        audit.record("somebody", "test.entry", f"thing {number}", count=number)


def test_an_untouched_trail_is_whole(trail: None) -> None:
    heard: list[int] = []
    found = audit.verify(heard.append)
    assert (found.entries, found.broken) == (9, None)
    assert heard == list(range(1, 10))
    assert found.end == f"9:{entries.get(number=9).mac}"


def swap(one: int, other: int) -> None:
    entries.filter(number=one).update(number=100)
    entries.filter(number=other).update(number=one)
    entries.filter(number=100).update(number=other)


def cut_off() -> None:
    entries.filter(number__gte=8).delete()


def cut_off_with_its_note() -> None:
    entries.filter(number__gte=8).delete()
    mac = entries.get(number=7).mac
    Installation.objects.update(audit_end=f"7:{mac}")


TAMPERING: dict[str, tuple[Callable[[], Any], int, str]] = {
    "actor": (lambda: entries.filter(number=4).update(actor="x"), 4, "was changed"),
    "detail": (lambda: entries.filter(number=4).update(detail={}), 4, "was changed"),
    "time": (lambda: entries.filter(number=9).update(at="2026-01-01T00:00Z"), 9, "was"),
    "MAC": (lambda: entries.filter(number=9).update(mac="02" + "0" * 62), 9, "was changed"),
    "the first": (lambda: entries.get(number=1).delete(), 1, "Entry 1 was removed"),
    "two": (lambda: entries.filter(number__in=[5, 6]).delete(), 5, "Entries 5 to 6 were removed"),
    "order": (lambda: swap(3, 6), 3, "was moved"),
    "the end": (cut_off, 8, "Entries 8 to 9 at the end: cut off"),
    "the end and its note": (cut_off_with_its_note, 7, "note of the last entry was changed"),
    "the note": (lambda: Installation.objects.update(audit_end=""), 10, "note"),
    "everything": (lambda: entries.all().delete(), 1, "Entries 1 to 9 at the end"),
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_told_by_its_number(trail: None, name: str) -> None:
    tamper, number, words = TAMPERING[name]
    tamper()
    broken = audit.verify().broken
    assert broken is not None
    assert (broken.number, words in broken.sentence) == (number, True), broken


def test_an_older_database_does_not_pass_for_the_newer_one(trail: None) -> None:
    audit.record("somebody", "test.entry", "the tenth")
    told = audit.verify().end
    entries.get(number=10).delete()
    audit.record("somebody", "test.entry", "another tenth")
    assert audit.verify().broken is None, "within the database nothing is wrong"
    broken = audit.verify(expect=told).broken
    assert broken is not None
    assert broken.number == 10
    audit.record("somebody", "test.entry", "the eleventh")
    assert audit.verify(expect=audit.verify().end).broken is None


def test_it_survives_a_rotation_and_the_old_keys_going(db: None) -> None:
    with override_settings(MILANGO=with_keys(FIRST)):
        audit.record("somebody", "test.entry", "under the first key")
    with override_settings(MILANGO=with_keys(SECOND, FIRST)):
        audit.record("somebody", "test.entry", "under the second")
        assert audit.verify().broken is None
        keys.rotate_keys()
        audit.keep_keys()
    with override_settings(MILANGO=with_keys(SECOND)):
        assert audit.verify().broken is None
        entries.filter(number=1).update(actor="x")
        assert audit.verify().broken is not None


def test_a_key_that_nobody_kept_is_said(db: None) -> None:
    with override_settings(MILANGO=with_keys(FIRST)):
        audit.record("somebody", "test.entry", "under the first key")
    with override_settings(MILANGO=with_keys(SECOND)):
        broken = audit.verify().broken
    assert broken is not None
    assert "its key is not there" in broken.sentence


def test_a_walk_reads_in_pieces(
    trail: None, monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(audit, "BATCH", 4)
    with django_assert_max_num_queries(5):
        assert audit.verify().entries == 9
