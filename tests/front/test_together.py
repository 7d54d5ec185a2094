"""Reads that are asked for at the same moment are one read, and nobody hears of another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Set
from typing import Any

import pytest
from django.db import OperationalError

from milango.front import together
from milango.front.together import Together
from milango.seen import requests


class Book:
    """What is read, and how often; a read ends when it is let go."""

    def __init__(self) -> None:
        self.reads: list[Set[str]] = []
        self.rows: dict[str, Any] = {"a": 1, "b": 2}
        self.may_end = asyncio.Event()
        self.may_end.set()

    def read(self, keys: Set[str]) -> dict[str, Any]:
        self.reads.append(keys)
        found = {key: self.rows[key] for key in keys if key in self.rows}
        for value in found.values():
            if isinstance(value, Exception):
                raise value
        return found

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        await self.may_end.wait()
        return await asyncio.to_thread(work)


@pytest.fixture
async def book() -> Book:
    return Book()


@pytest.fixture
async def reads(book: Book) -> Together[str, Any]:
    return Together(book.in_thread, book.read)


async def busy(book: Book, reads: Together[str, Any]) -> asyncio.Task[Any]:
    """A read is under way, and held."""
    book.may_end.clear()
    first = asyncio.create_task(reads.ask("a"))
    await asyncio.sleep(0)
    return first


async def test_what_is_asked_while_a_read_is_under_way_is_one_read(book, reads) -> None:
    first = await busy(book, reads)
    others = [asyncio.create_task(reads.ask(key)) for key in ("a", "b", "b", "nothing")]
    await asyncio.sleep(0)
    book.may_end.set()
    assert await first == 1
    assert await asyncio.gather(*others) == [1, 2, 2, None]
    assert book.reads == [{"a"}, {"a", "b", "nothing"}]


async def test_nobody_is_answered_from_a_read_that_began_before_it_asked(book, reads) -> None:
    assert await reads.ask("a") == 1
    book.rows["a"] = 3
    assert await reads.ask("a") == 3


async def test_more_than_one_read_can_hold_are_several(
    book, reads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(together, "MOST", 2)
    first = await busy(book, reads)
    others = [asyncio.create_task(reads.ask(key)) for key in ("a", "b", "c", "d", "e")]
    await asyncio.sleep(0)
    book.may_end.set()
    await asyncio.gather(first, *others)
    assert [len(keys) for keys in book.reads] == [1, 2, 2, 1]


async def test_nobody_hears_of_what_is_wrong_with_anothers(book, reads) -> None:
    book.rows["bad"] = ValueError("unreadable")
    first = await busy(book, reads)
    others = [asyncio.create_task(reads.ask(key)) for key in ("a", "bad", "b")]
    await asyncio.sleep(0)
    book.may_end.set()
    await first
    good, bad, also_good = await asyncio.gather(*others, return_exceptions=True)
    assert (good, also_good) == (1, 2)
    assert isinstance(bad, ValueError)


async def test_all_hear_that_the_database_is_away_and_the_next_are_read(book, reads) -> None:
    book.rows["b"] = OperationalError("away")
    first = await busy(book, reads)
    others = [asyncio.create_task(reads.ask(key)) for key in ("a", "b")]
    await asyncio.sleep(0)
    book.may_end.set()
    assert await first == 1
    heard = await asyncio.gather(*others, return_exceptions=True)
    assert all(isinstance(each, OperationalError) for each in heard)
    assert len(book.reads) == 2, "nobody asks a database that is away once for each"
    assert await reads.ask("a") == 1


async def test_who_leaves_takes_nobody_along(book, reads) -> None:
    first = await busy(book, reads)
    gone, stays = (asyncio.create_task(reads.ask("b")) for _ in range(2))
    await asyncio.sleep(0)
    for each in (first, gone):
        each.cancel()
    book.may_end.set()
    assert await stays == 2


async def test_a_read_is_not_noted_under_the_request_that_came_first(book) -> None:
    noted: list[str] = []

    def read(keys: Set[str]) -> dict[str, Any]:
        noted.append(requests.current())
        return book.read(keys)

    reads: Together[str, Any] = Together(book.in_thread, read)

    async def ask(request_id: str, key: str) -> Any:
        requests.begin(request_id)
        return await reads.ask(key)

    first = asyncio.create_task(ask("first", "a"))
    await asyncio.sleep(0)
    assert await asyncio.gather(first, ask("second", "b")) == [1, 2]
    assert noted == ["", ""]
