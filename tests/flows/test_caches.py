"""What is remembered never outlives a change of its row."""

from __future__ import annotations

from milango.flows.caches import Remembered


def test_a_value_from_before_a_change_is_not_kept() -> None:
    cache = Remembered[str](seconds=30, of=())

    def look_up() -> str:
        cache.forget()  # the row changes while it is on its way to us
        return "old"

    assert cache.get("key", look_up) == "old"
    assert cache.get("key", lambda: "new") == "new"
    assert cache.get("key", lambda: "never asked") == "new"
