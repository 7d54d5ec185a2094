"""Daraja's OAuth tokens in a table, so that all processes share one and one of them refreshes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from asgiref.sync import sync_to_async
from django.db import close_old_connections, connection
from django.db.models import Q

from milango.core.errors import SecretUnreadable
from milango.daraja.tokens import Token
from milango.models import OAuthToken

from . import hours

T = TypeVar("T")


_at_hand: Final[dict[str, Token]] = {}
"""What this process has seen in the table. Another process may replace a token meanwhile: Daraja
then refuses ours, and it is dropped here and looked up there."""


class TableTokenStore:
    """`milango.daraja.tokens.TokenStore` on the table `OAuthToken` (tokens stand encrypted)."""

    def now(self) -> float:
        """The clock that all machines share: one's token is another's."""
        return hours.now().timestamp()

    def peek(self, key: str) -> Token | None:
        """The token at hand in this process."""
        return _at_hand.get(key)

    async def get(self, key: str) -> Token | None:
        """The token that is kept, expired or not; None when there is none that can be read."""
        token = _at_hand.get(key)
        if token and token.is_fresh(self.now()):
            return token
        token = await _in_thread(lambda: _get(key))
        if token:
            _at_hand[key] = token
        return token

    async def claim(self, key: str, seconds: float) -> bool:
        """Become the one refresher for this many seconds, unless somebody else is."""
        return await _in_thread(lambda: _claim(key, seconds))

    async def put(self, key: str, token: Token) -> None:
        """Keep a fresh token and let the claim go."""
        _at_hand[key] = token
        await _in_thread(lambda: _put(key, token))

    async def release(self, key: str) -> None:
        """Let the claim go without a token."""
        await _in_thread(lambda: _release(key))

    async def drop(self, key: str, access_token: str) -> None:
        """Forget the token that Daraja refused, unless it was replaced meanwhile."""
        held = _at_hand.get(key)
        if held and held.access_token == access_token:
            del _at_hand[key]
        await _in_thread(lambda: _drop(key, access_token))


def forget() -> None:
    """Have no token at hand: they are looked up again."""
    _at_hand.clear()


async def _in_thread(work: Callable[[], T]) -> T:
    return await sync_to_async(_with_own_connection, thread_sensitive=False)(work)


def _with_own_connection(work: Callable[[], T]) -> T:
    """The client's loop has threads of its own: their connections are closed after use."""
    close_old_connections()
    try:
        return work()
    finally:
        connection.close()


def _get(key: str) -> Token | None:
    row = OAuthToken.objects.filter(pk=key).first()
    if row is None or row.expires_at is None:
        return None
    try:
        return Token(access_token=row.token, expires_at=row.expires_at.timestamp())
    except SecretUnreadable:
        # Sealed with a key that is gone: a token is cheap to fetch again.
        return None


def _claim(key: str, seconds: float) -> bool:
    now = hours.now()
    OAuthToken.objects.bulk_create([OAuthToken(key=key)], ignore_conflicts=True)
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    until = now + timedelta(seconds=seconds)
    return bool(OAuthToken.objects.filter(free, pk=key).update(claimed_until=until))


def _put(key: str, token: Token) -> None:
    OAuthToken(
        key=key,
        token=token.access_token,
        expires_at=_moment(token),
        claimed_until=None,
    ).save()


def _release(key: str) -> None:
    OAuthToken.objects.filter(pk=key).update(claimed_until=None)


def _drop(key: str, access_token: str) -> None:
    kept = _get(key)
    if kept and kept.access_token == access_token:
        # Sealed texts cannot be compared in SQL; the end says whether it is still the same token.
        OAuthToken.objects.filter(pk=key, expires_at=_moment(kept)).update(expires_at=None)


def _moment(token: Token) -> datetime:
    return datetime.fromtimestamp(token.expires_at, UTC)
