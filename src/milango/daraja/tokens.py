"""One OAuth token for each app of Daraja, shared, with one refresher.

Safaricom says that a new token ends the one before it, so two processes that each fetch their own
would keep killing each other's. A token is keyed by everything that earns it, secret included:
who merely types another merchant's consumer key never meets its token.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final, Protocol
from weakref import WeakKeyDictionary

import msgspec

EARLY: Final = 90.0
"""Seconds before its end at which a token is refreshed."""

FETCH: Final = 10.0
"""Seconds that fetching a token may take: less than a claim lasts."""

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

    def is_alive(self, now: float) -> bool:
        """Whether Daraja should still take it."""
        return now < self.expires_at


class TokenStore(Protocol):
    """Where tokens are shared: in memory, or in a table for many processes."""

    def now(self) -> float:
        """The clock by which tokens end, in seconds since the epoch: one for all who share them."""

    def peek(self, key: str) -> Token | None:
        """The token at hand, without asking anybody."""

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
    """Tokens of one process, for all its threads and loops."""

    def __init__(self) -> None:
        self._tokens: dict[str, Token] = {}
        self._claims: dict[str, float] = {}
        self._lock = threading.Lock()

    def now(self) -> float:
        """This machine's clock: nobody else shares the tokens."""
        return time.time()

    def peek(self, key: str) -> Token | None:
        """The token at hand."""
        return self._tokens.get(key)

    async def get(self, key: str) -> Token | None:
        """The token that is kept, fresh or not."""
        return self._tokens.get(key)

    async def claim(self, key: str, seconds: float) -> bool:
        """Become the one refresher for this long, unless somebody else is."""
        now = time.monotonic()
        with self._lock:
            if self._claims.get(key, 0.0) > now:
                return False
            self._claims[key] = now + seconds
            return True

    async def put(self, key: str, token: Token) -> None:
        """Keep a token and let the claim go."""
        with self._lock:
            self._tokens[key] = token
            self._claims.pop(key, None)

    async def release(self, key: str) -> None:
        """Let the claim go without a token."""
        with self._lock:
            self._claims.pop(key, None)

    async def drop(self, key: str, access_token: str) -> None:
        """Forget a token that Daraja refused, unless it was replaced meanwhile."""
        with self._lock:
            kept = self._tokens.get(key)
            if kept and kept.access_token == access_token:
                del self._tokens[key]


def token_key(base_url: str, consumer_key: str, consumer_secret: str) -> str:
    """The key under which the token of these credentials is shared; it tells neither of them.

    The base URL stands for the environment: two environments are two addresses.
    """
    proof = hmac.new(consumer_secret.encode(), consumer_key.encode(), hashlib.sha256).digest()
    parts = [base_url.encode(), consumer_key.encode(), proof]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


Fetch = Callable[[], Awaitable[Token]]
_Flights = dict[str, "asyncio.Task[Token]"]

_flights: WeakKeyDictionary[asyncio.AbstractEventLoop, _Flights] = WeakKeyDictionary()
"""Refreshes under way in each loop. All who wait for one share its token, or its failure."""


async def shared_token(store: TokenStore, key: str, fetch: Fetch) -> Token:
    """A fresh token: the shared one, or one that is fetched once for everybody.

    Raises what `fetch` raises. A caller that is cancelled leaves the refresh to the others.
    """
    token = await store.get(key)
    if token and token.is_fresh(store.now()):
        return token
    flights = _flights.setdefault(asyncio.get_running_loop(), {})
    flight = flights.get(key)
    if flight is None or flight.done():
        flight = flights[key] = asyncio.create_task(_refresh(store, key, fetch, stale=token))
        flight.add_done_callback(_landed(flights, key))
    return await asyncio.shield(flight)


def _landed(flights: _Flights, key: str) -> Callable[[asyncio.Task[Token]], None]:
    def forget(flight: asyncio.Task[Token]) -> None:
        if flights.get(key) is flight:
            del flights[key]
        if not flight.cancelled():
            flight.exception()  # looked at, so that a failure nobody waited for makes no noise

    return forget


async def _refresh(store: TokenStore, key: str, fetch: Fetch, *, stale: Token | None) -> Token:
    while not await store.claim(key, CLAIM):
        # Another process is at it. Should it die, its claim runs out and one of us goes on.
        await asyncio.sleep(POLL)
        if token := await _replaced(store, key, stale):
            return token
    try:
        token = await _replaced(store, key, stale) or await fetch()
    except BaseException:
        await store.release(key)
        raise
    await store.put(key, token)
    return token


async def _replaced(store: TokenStore, key: str, stale: Token | None) -> Token | None:
    """The token that somebody else put there while we waited, even one of a short life."""
    token, now = await store.get(key), store.now()
    if token and (token.is_fresh(now) or (token != stale and token.is_alive(now))):
        return token
    return None
