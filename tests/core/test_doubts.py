"""Doubts are explained where a person meets them, and check.md says the same."""

from __future__ import annotations

from pathlib import Path

from milango.core.doubts import DOUBTS, UNREADABLE, meaning_of

PAGE = Path(__file__).parents[2] / "docs" / "check.md"


def test_the_page_has_the_table():
    page = PAGE.read_text("utf-8")
    rows = [f"| `{kind}` | {means} | {do} |" for kind, (means, do) in DOUBTS.items()]
    assert [row for row in rows if row not in page] == []


def test_a_word_for_an_unreadable_message_has_a_meaning_too():
    assert meaning_of("duplicate_keys") is UNREADABLE
    assert "twice" in meaning_of("refund_due").means
