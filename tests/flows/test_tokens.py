"""Daraja's tokens in their table: one refresher at a time, and nothing to read in the rows."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.test import override_settings

from milango.daraja import tokens
from milango.daraja.tokens import Token, shared_token
from milango.flows import tokens as flow
from milango.flows.tokens import TableTokenStore
from milango.models import OAuthToken
from tests.secrets import raw

pytestmark = pytest.mark.django_db(transaction=True)

KEY = tokens.token_key("https://api.safaricom.co.ke", "key-of-174379", "secret-of-174379")
SECRET = "X4DZOnDtYbJVQqfZw9aXtDRURT8W"
OTHER = "W8TRURDtXa9wZfqQVJbYtDnOZD4X"


@pytest.fixture
def store() -> TableTokenStore:
    return TableTokenStore()


def living(access_token: str = SECRET, seconds: float = 3_599) -> Token:
    """A token with this much of its life before it."""
    return Token(access_token, time.time() + seconds)


async def put(store: TableTokenStore, token: Token) -> Token:
    """Refresh the token as one does who is alone."""
    assert await store.claim(KEY, 15)
    await store.put(KEY, token)
    return token


# --- the store ------------------------------------------------------------------------------


async def test_there_is_no_token_before_one_is_put(store: TableTokenStore):
    assert await store.get(KEY) is None
    assert await store.claim(KEY, 15)
    assert await store.get(KEY) is None


async def test_a_token_is_kept_with_its_end(store: TableTokenStore):
    token = await put(store, living())
    kept = await store.get(KEY)
    assert kept is not None
    assert kept.access_token == SECRET
    assert kept.expires_at == pytest.approx(token.expires_at, abs=0.001)
    assert await store.get("0" * 64) is None


async def test_an_expired_token_is_still_shown(store: TableTokenStore):
    await put(store, living(seconds=-1))
    kept = await store.get(KEY)
    assert kept is not None
    assert not kept.is_alive(time.time())


async def test_another_process_finds_the_token(store: TableTokenStore):
    await put(store, living())
    assert await TableTokenStore().get(KEY) == await store.get(KEY)


async def test_one_of_many_who_claim_becomes_the_refresher():
    claims = [TableTokenStore().claim(KEY, 15) for _ in range(10)]
    assert sorted(await asyncio.gather(*claims)) == [False] * 9 + [True]


async def test_a_claim_bars_its_own_key_only(store: TableTokenStore):
    assert await store.claim(KEY, 15)
    assert not await store.claim(KEY, 15)
    assert await store.claim("0" * 64, 15)


async def test_the_claim_of_a_dead_process_runs_out(store: TableTokenStore):
    assert await store.claim(KEY, 0.3)
    assert not await store.claim(KEY, 15)
    await asyncio.sleep(0.3)
    assert await store.claim(KEY, 15)


async def test_a_claim_that_is_let_go_is_free_and_the_old_token_stays(store: TableTokenStore):
    await put(store, living())
    assert await store.claim(KEY, 15)
    await store.release(KEY)
    assert await store.get(KEY) is not None
    assert await store.claim(KEY, 15)


async def test_putting_a_token_lets_the_claim_go(store: TableTokenStore):
    await put(store, living())
    assert await store.claim(KEY, 15)


async def test_a_refused_token_is_forgotten(store: TableTokenStore):
    await put(store, living())
    await store.drop(KEY, SECRET)
    assert await store.get(KEY) is None


async def test_a_token_that_was_replaced_meanwhile_is_not_forgotten(store: TableTokenStore):
    await put(store, living())
    await put(store, living(OTHER))
    await store.drop(KEY, SECRET)
    kept = await store.get(KEY)
    assert kept is not None
    assert kept.access_token == OTHER


async def test_a_token_replaced_while_it_is_dropped_is_not_forgotten(
    store: TableTokenStore, monkeypatch: pytest.MonkeyPatch
):
    await put(store, living())
    read = flow._get

    def read_and_be_late(key: str) -> Token | None:
        found = read(key)
        flow._put(key, living(OTHER))
        return found

    with monkeypatch.context() as patch:
        patch.setattr(flow, "_get", read_and_be_late)
        await store.drop(KEY, SECRET)
    kept = await store.get(KEY)
    assert kept is not None
    assert kept.access_token == OTHER


async def test_what_was_never_there_can_be_dropped_and_released(store: TableTokenStore):
    await store.drop(KEY, SECRET)
    await store.release(KEY)
    assert await store.get(KEY) is None


# --- the row --------------------------------------------------------------------------------


def test_the_row_holds_no_token_that_could_be_read(store: TableTokenStore):
    asyncio.run(put(store, living()))
    row = OAuthToken.objects.get()
    sealed = raw.read(row, "token")
    assert row.token == SECRET
    assert sealed
    assert SECRET not in sealed
    for word in ("key-of-174379", "secret-of-174379"):
        assert word not in row.key + sealed


def test_a_token_moved_to_another_row_is_none(store: TableTokenStore):
    asyncio.run(put(store, living()))
    row = OAuthToken.objects.get()
    other = OAuthToken.objects.create(key="0" * 64, expires_at=row.expires_at)
    raw.write(other, "token", raw.read(row, "token"))
    assert asyncio.run(store.get(other.key)) is None


def test_a_token_sealed_with_a_key_that_is_gone_is_fetched_again(store: TableTokenStore):
    asyncio.run(put(store, living()))
    only = {
        "PUBLIC_URL": "https://pay.example.test",
        "KEYS": ["09:MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="],
    }
    flow.forget()
    with override_settings(MILANGO=only):
        assert asyncio.run(store.get(KEY)) is None
        asyncio.run(put(store, living(OTHER)))
        assert OAuthToken.objects.get().token == OTHER


# --- sharing --------------------------------------------------------------------------------


class Source:
    """Fetches a token, slowly, and counts."""

    def __init__(self, *, fails: int = 0) -> None:
        self.calls = 0
        self._fails = fails

    async def __call__(self) -> Token:
        self.calls += 1
        await asyncio.sleep(0.1)
        if self.calls <= self._fails:
            raise ConnectionError
        return living()


def ask(fetch: Source) -> Token:
    """Ask from a loop of one's own, as another process would."""
    return asyncio.run(shared_token(TableTokenStore(), KEY, fetch))


async def test_four_processes_share_one_refresh():
    fetch = Source()
    found = await asyncio.gather(*(asyncio.to_thread(ask, fetch) for _ in range(4)))
    assert {token.access_token for token in found} == {SECRET}
    assert fetch.calls == 1


async def test_after_a_failed_refresh_the_next_one_may_try(store: TableTokenStore):
    fetch = Source(fails=1)
    with pytest.raises(ConnectionError):
        await shared_token(store, KEY, fetch)
    assert (await shared_token(store, KEY, fetch)).access_token == SECRET
    assert fetch.calls == 2


async def test_a_refresher_that_died_is_waited_for_and_then_replaced(store: TableTokenStore):
    assert await store.claim(KEY, 0.4)
    fetch, began = Source(), time.monotonic()
    assert await shared_token(store, KEY, fetch)
    assert time.monotonic() - began >= 0.35
    assert fetch.calls == 1


async def test_a_token_near_its_end_is_refreshed_early(store: TableTokenStore):
    await put(store, living(OTHER, tokens.EARLY - 5))
    assert (await shared_token(store, KEY, Source())).access_token == SECRET
