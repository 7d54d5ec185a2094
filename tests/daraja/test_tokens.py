"""One token for all, one refresher, and nobody who waits for a dead one."""

from __future__ import annotations

import asyncio
import time

import pytest

from milango.core.errors import DarajaBusy
from milango.daraja import tokens
from milango.daraja.tokens import MemoryTokenStore, Token, shared_token, token_key

KEY = token_key("https://sandbox.safaricom.co.ke", "key", "secret")


class Source:
    """Gives token-1, token-2, … and counts them."""

    def __init__(self, life: float = 3_599, pause: float = 0.0) -> None:
        self.given = 0
        self.life = life
        self.pause = pause

    async def __call__(self) -> Token:
        self.given += 1
        number = self.given
        await asyncio.sleep(self.pause)
        return Token(f"token-{number}", time.time() + self.life)


@pytest.fixture
def store() -> MemoryTokenStore:
    return MemoryTokenStore()


async def test_a_token_is_fetched_on_first_use_and_then_shared(store: MemoryTokenStore):
    source = Source()
    found = [await shared_token(store, KEY, source) for _ in range(3)]
    assert {token.access_token for token in found} == {"token-1"}


async def test_a_token_is_refreshed_ninety_seconds_early(store: MemoryTokenStore):
    await store.put(KEY, Token("fresh", time.time() + 95))
    assert (await shared_token(store, KEY, Source())).access_token == "fresh"
    await store.put(KEY, Token("old", time.time() + 85))
    assert (await shared_token(store, KEY, Source())).access_token == "token-1"


async def test_all_who_wait_share_even_a_token_of_a_short_life(store: MemoryTokenStore):
    source = Source(life=30, pause=0.05)
    found = await asyncio.gather(*(shared_token(store, KEY, source) for _ in range(20)))
    assert {token.access_token for token in found} == {"token-1"}


async def test_a_failure_lets_the_claim_go(store: MemoryTokenStore):
    async def broken() -> Token:
        raise DarajaBusy

    with pytest.raises(DarajaBusy):
        await shared_token(store, KEY, broken)
    assert await store.claim(KEY, 1)


async def test_another_process_that_refreshes_is_waited_for(store: MemoryTokenStore):
    assert await store.claim(KEY, 10)
    source = Source()
    waiting = asyncio.create_task(shared_token(store, KEY, source))
    await asyncio.sleep(0.1)
    await store.put(KEY, Token("theirs", time.time() + 3_599))
    assert (await waiting).access_token == "theirs"
    assert source.given == 0


async def test_another_process_that_died_is_not_waited_for(store: MemoryTokenStore):
    assert await store.claim(KEY, 0.15)
    assert (await shared_token(store, KEY, Source())).access_token == "token-1"


def test_fetching_ends_before_the_claim_does():
    assert tokens.FETCH < tokens.CLAIM


async def test_only_the_token_that_was_refused_is_dropped(store: MemoryTokenStore):
    await store.put(KEY, Token("new", time.time() + 3_599))
    await store.drop(KEY, "old")
    assert await store.get(KEY)
    await store.drop(KEY, "new")
    assert await store.get(KEY) is None


@pytest.mark.parametrize(
    "other",
    [
        ("https://api.safaricom.co.ke", "key", "secret"),
        ("https://sandbox.safaricom.co.ke", "other", "secret"),
        ("https://sandbox.safaricom.co.ke", "key", "guessed"),
        ("https://sandbox.safaricom.co.ke", "keysecret", ""),
    ],
)
def test_environment_key_and_secret_all_count(other: tuple[str, str, str]):
    assert token_key(*other) != KEY


def test_a_token_does_not_show_itself():
    assert "token-1" not in f"{Token('token-1', 0.0)!r} {Token('token-1', 0.0)}"
