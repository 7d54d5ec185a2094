"""Tokens that prove themselves: a wrong one is refused in memory, before any queue or database.

Both kinds are lowercase hex, which cannot spell a word that Safaricom's address filter refuses,
and both name their key, so that keys can be replaced while tokens are out.

- A callback token is 98 digits: key id (2), the payment's id (32), random (32), MAC (32).
- A read token is 76 digits: key id (2), the payment's id (32), expiry (10), MAC (32).

The MAC is the first 128 bits of HMAC-SHA256 over all that precedes it. Each kind has a key of its
own, so one never passes for the other.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Final
from uuid import UUID

Keys = Callable[[str], bytes | None]
"""From a key id to its bytes, or None for an id that is not ours."""

_RANDOM_BYTES: Final = 16
_MAC_DIGITS: Final = 32
_KID: Final = re.compile(r"[0-9a-f]{2}")
_CALLBACK: Final = re.compile(r"(?P<kid>[0-9a-f]{2})(?P<payment>[0-9a-f]{32})[0-9a-f]{64}")
_READ: Final = re.compile(
    r"(?P<kid>[0-9a-f]{2})(?P<payment>[0-9a-f]{32})(?P<expires>[0-9a-f]{10})[0-9a-f]{32}"
)


def make_callback_token(payment_id: UUID, kid: str, key: bytes, random_bytes: bytes) -> str:
    """The secret part of one payment's callback address. `random_bytes`: 16 fresh ones."""
    if len(random_bytes) != _RANDOM_BYTES:
        raise ValueError(f"a callback token takes {_RANDOM_BYTES} random bytes")
    return _signed(kid, f"{payment_id.hex}{random_bytes.hex()}", key)


def open_callback_token(token: str, keys: Keys) -> UUID | None:
    """The payment that the token was made for, or None for anything that we did not make."""
    match = _CALLBACK.fullmatch(token)
    if match is None or not _is_signed(token, match["kid"], keys):
        return None
    return UUID(hex=match["payment"])


def token_hash(token: str) -> str:
    """SHA-256 of a token in hex: what rows and logs may hold instead of the token."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def make_read_token(payment_id: UUID, expires_at: datetime, kid: str, key: bytes) -> str:
    """A short ticket to read one payment, good until `expires_at` (an aware time)."""
    if expires_at.tzinfo is None:
        raise ValueError("the expiry of a read token needs a time zone")
    return _signed(kid, f"{payment_id.hex}{int(expires_at.timestamp()):010x}", key)


def open_read_token(token: str, now: datetime, keys: Keys) -> UUID | None:
    """The payment that the ticket lets its bearer read, or None: forged, foreign or expired."""
    match = _READ.fullmatch(token)
    if match is None or not _is_signed(token, match["kid"], keys):
        return None
    if now >= datetime.fromtimestamp(int(match["expires"], 16), UTC):
        return None
    return UUID(hex=match["payment"])


def _signed(kid: str, content: str, key: bytes) -> str:
    if not _KID.fullmatch(kid):
        raise ValueError("a key id is two lowercase hex digits")
    text = kid + content
    return text + _mac(text, key)


def _is_signed(token: str, kid: str, keys: Keys) -> bool:
    key = keys(kid)
    text, mac = token[:-_MAC_DIGITS], token[-_MAC_DIGITS:]
    return key is not None and hmac.compare_digest(_mac(text, key), mac)


def _mac(text: str, key: bytes) -> str:
    mac = _keyed(key).copy()
    mac.update(text.encode())
    return mac.hexdigest()[:_MAC_DIGITS]


@lru_cache(maxsize=64)
def _keyed(key: bytes) -> hmac.HMAC:
    """Keying costs more than the text does, and there are few keys."""
    return hmac.new(key, digestmod="sha256")
