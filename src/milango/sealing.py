"""Secrets at rest: AES-256-GCM under the keys of `MILANGO["KEYS"]`, bound to where they stand.

A sealed text is `mse1:<key id>:<base64 of nonce, ciphertext and tag>`. The first key of the
setting seals, every key in it opens. Each purpose has a sub-key of its own (HKDF-SHA256), so that
what is learnt about one says nothing about another.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.core.exceptions import ImproperlyConfigured
from django.views.decorators.debug import sensitive_variables

from milango.conf import Key, conf
from milango.core.errors import SecretUnreadable

MARK: Final = "mse1:"
"""How every sealed text begins."""

_NONCE: Final = 12

Purpose = Literal[
    "seal", "callback", "c2b", "result", "read-token", "token-cache", "audit", "phone-scope"
]


@sensitive_variables()
def seal(plain: str, bound: str) -> str:
    """Seal a text with the current key. Only who names the same `bound` can open it again.

    Raises ImproperlyConfigured when the installation has no key.
    """
    kid = current_key_id()
    nonce = os.urandom(_NONCE)
    box = _cipher(kid).encrypt(nonce, plain.encode("utf-8", "surrogatepass"), _aad(bound, kid))
    return f"{MARK}{kid}:{base64.b64encode(nonce + box).decode()}"


@sensitive_variables()
def unseal(sealed: str, bound: str) -> str:
    """Open what `seal` closed. Gives the plain text or raises SecretUnreadable, nothing else."""
    kid = key_id(sealed)
    cipher = _cipher(kid)
    try:
        box = base64.b64decode(sealed[len(MARK) + 3 :], validate=True)
        plain = cipher.decrypt(box[:_NONCE], box[_NONCE:], _aad(bound, kid))
    except (binascii.Error, ValueError):
        raise SecretUnreadable("A stored secret is damaged: restore it from a backup.") from None
    except InvalidTag:
        raise SecretUnreadable(
            f'A stored secret does not open with key {kid!r}: either MILANGO["KEYS"] has another '
            f"key under that id, or the secret was moved here from another row or changed."
        ) from None
    return plain.decode("utf-8", "surrogatepass")


def key_id(sealed: str) -> str:
    """The id of the key that a sealed text was sealed with; SecretUnreadable if it is not one."""
    kid, colon = sealed[len(MARK) : len(MARK) + 2], sealed[len(MARK) + 2 : len(MARK) + 3]
    if not sealed.startswith(MARK) or colon != ":":
        raise SecretUnreadable(
            "A stored secret is not sealed: something wrote it past EncryptedField. Enter it again."
        )
    return kid


def current_key_id() -> str:
    """The id of the key that seals. Raises ImproperlyConfigured when there is none."""
    return _current().kid


def has_key(kid: str) -> bool:
    """Whether this installation has the key with that id."""
    return _known(kid) is not None


def derive(purpose: Purpose, kid: str | None = None) -> bytes:
    """The 32-byte sub-key for a purpose, of the current key or of the one named.

    Raises SecretUnreadable for an id that MILANGO["KEYS"] does not have.
    """
    key = _current() if kid is None else _find(kid)
    return _derived(key, purpose)


def key_finder(purpose: Purpose) -> Callable[[str], bytes | None]:
    """What token readers ask: from a key id to its sub-key, or None if there is no such key."""

    def find(kid: str) -> bytes | None:
        key = _known(kid)
        return _derived(key, purpose) if key else None

    return find


def generate_key(kid: str) -> str:
    """A new line for MILANGO["KEYS"]. `kid` is two lowercase hex digits, not used before."""
    if not re.fullmatch("[0-9a-f]{2}", kid):
        raise ValueError("a key id is two lowercase hex digits, such as 01")
    return f"{kid}:{base64.b64encode(os.urandom(32)).decode()}"


def _current() -> Key:
    keys = conf().keys
    if not keys:
        raise ImproperlyConfigured(
            'MILANGO["KEYS"] is empty, so no secret can be sealed or opened. Write a list with one '
            "key: milango.sealing.generate_key('01') makes it. Keep it apart from the database."
        )
    return keys[0]


def _known(kid: str) -> Key | None:
    for key in conf().keys:
        if key.kid == kid:
            return key
    return None


def _find(kid: str) -> Key:
    if key := _known(kid):
        return key
    raise SecretUnreadable(
        f"A stored secret needs key {kid!r}, which this installation does not have: "
        f'add it to MILANGO["KEYS"].'
    )


@lru_cache(maxsize=64)
def _derived(key: Key, purpose: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"milango {purpose}".encode()).derive(key.secret)


@lru_cache(maxsize=16)
def _cipher_of(key: Key) -> AESGCM:
    return AESGCM(_derived(key, "seal"))


def _cipher(kid: str) -> AESGCM:
    return _cipher_of(_find(kid))


def _aad(bound: str, kid: str) -> bytes:
    return f"{bound}:{kid}".encode()
