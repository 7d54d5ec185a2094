"""One OAuth token for each app of Daraja, shared, with one refresher (Daraja reference 2).

Safaricom says that a new token ends the one before it, so two processes that each fetch their own
would keep killing each other's. A token is keyed by everything that earns it, secret included:
who merely types another merchant's consumer key never meets its token (threats A4).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

import msgspec

EARLY: Final = 90.0
"""Seconds before its end at which a token is refreshed."""

CLAIM: Final = 15.0
"""Seconds for which one process may be the refresher; then it is taken for dead."""

POLL: Final = 0.05


class Token(msgspec.Struct, frozen=True):
    """An access token and when it ends, in seconds since the epoch."""

    access_token: str
    expires_at: float

    def __repr__(self) -> str:
        return f"Token(…, expires_at={self.expires_at:.0f})"

    def is_fresh(self, now: float) -> bool:
        """Whether it can be used without being refreshed first."""
        return now < self.expires_at - EARLY


class TokenStore(Protocol):
    """Where tokens are shared: in memory, or in a table for many processes."""

    async def get(self, key: str) -> Token | None:
        """The token that is kept, fresh or not."""

    async def claim(self, key: str, seconds: float) -> bool:
        """Become the one refresher for this long, unless somebody else is."""

    async def put(self, key: str, token: Token) -> None:
        """Keep a token and let the claim go."""

    async def release(self, key: str) -> None:
        """Let the claim go without a token."""

    async def drop(self, key: str, access_token: str) -> None:
        """Forget a token that Daraja refused, unless it was replaced meanwhile."""


class MemoryTokenStore:
    """Tokens of one process."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._claims: dict[str, float] = {}

    async def get(self, key: str) -> Token | None:
        """The token that is kept, fresh or not."""
        return self._tokens.get(key)

    async def claim(self, key: str, seconds: float) -> bool:
        """Become the one refresher for this long, unless somebody else is."""
        now = time.monotonic()
        if self._claims.get(key, 0) > now:
            return False
        self._claims[key] = now + seconds
        return True

    async def put(self, key: str, token: Token) -> None:
        """Keep a token and let the claim go."""
        self._tokens[key] = token
        self._claims.pop(key, None)

    async def release(self, key: str) -> None:
        """Let the claim go without a token."""
        self._claims.pop(key, None)

    async def drop(self, key: str, access_token: str) -> None:
        """Forget a token that Daraja refused, unless it was replaced meanwhile."""
        kept = self._tokens.get(key)
        if kept and kept.access_token == access_token:
            del self._tokens[key]


def token_key(base_url: str, consumer_key: str, consumer_secret: str) -> str:
    """The key under which the token of these credentials is shared."""
    proof = hmac.new(consumer_secret.encode(), consumer_key.encode(), hashlib.sha256).digest()
    parts = [base_url.encode(), consumer_key.encode(), proof]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


_Loop = asyncio.AbstractEventLoop
_locks: WeakKeyDictionary[_Loop, dict[str, asyncio.Lock]] = WeakKeyDictionary()


def _lock(key: str) -> asyncio.Lock:
    locks = _locks.setdefault(asyncio.get_running_loop(), defaultdict(asyncio.Lock))
    return locks[key]


async def shared_token(store: TokenStore, key: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
    """A fresh token: the shared one, or one that this caller alone fetches for everybody."""
    token = await store.get(key)
    if token and token.is_fresh(time.time()):
        return token
    async with _lock(key):
        return await _refresh(store, key, fetch)


async def _refresh(store: TokenStore, key: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
    while True:
        token = await store.get(key)
        if token and token.is_fresh(time.time()):
            return token
        if await store.claim(key, CLAIM):
            return await _fetch(store, key, fetch)
        # Another process is at it. Should it die, its claim runs out and one of us goes on.
        await asyncio.sleep(POLL)


async def _fetch(store: TokenStore, key: str, fetch: Callable[[], Awaitable[Token]]) -> Token:
    try:
        token = await fetch()
    except BaseException:
        await store.release(key)
        raise
    await store.put(key, token)
    return token
