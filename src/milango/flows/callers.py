"""Who is asking: API keys, and what each may do."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Final

import msgspec
from django.db.models import Q

from milango.core.errors import Declined
from milango.models import ApiKey, Merchant, MerchantOrigin

from . import audit, hours
from .caches import Remembered, refuse_to_block

PREFIXES: Final = {ApiKey.Kind.SECRET.value: "sk_", ApiKey.Kind.PUBLISHABLE.value: "pk_"}
PUBLISHABLE_MAY: Final = frozenset({"read", "charge"})
"""A publishable key may ask for a prompt and read one status; lists and events stay closed."""


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who may act for one merchant."""

    merchant: Merchant
    kind: str
    """`secret` or `publishable`; the command line and the admin act as `secret`."""
    scopes: frozenset[str]
    open_amount: bool = True
    key: ApiKey | None = None

    @property
    def publishable(self) -> bool:
        return self.kind == ApiKey.Kind.PUBLISHABLE.value

    @property
    def actor(self) -> str:
        """How the audit trail names whoever holds the key."""
        return f"key {self.key.hint}…" if self.key else "key"

    def require(self, scope: str) -> None:
        """Raise Declined `wrong_scope` unless the key has the scope."""
        if scope not in self.scopes:
            message = f"This key lacks the scope {scope!r}. Nothing was done."
            raise Declined("wrong_scope", message)

    def require_secret(self, scope: str) -> None:
        """The same, and Declined `secret_key_required` for a key that a browser may hold."""
        if self.publishable:
            message = "A publishable key can only ask for a prompt and read a status."
            raise Declined("secret_key_required", message)
        self.require(scope)


def owner_of(merchant: Merchant) -> Caller:
    """The merchant itself, as the command line acts for it."""
    scopes = frozenset(scope.value for scope in ApiKey.Scope)
    return Caller(merchant=merchant, kind=ApiKey.Kind.SECRET.value, scopes=scopes)


def authenticate(authorization: str | None, origin: str | None) -> Caller:
    """The caller behind an Authorization header.

    Raises Declined `unauthenticated` (missing, malformed, unknown or revoked key: all alike),
    `secret_key_in_browser` and `origin_not_allowed`.
    """
    scheme, _, plain = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not plain.strip():
        raise Declined("unauthenticated", "Send your key as: Authorization: Bearer sk_…")
    key = _find(plain.strip())
    if origin:
        _check_origin(key, origin)
    _note_use(key)
    scopes = frozenset(key.scopes) if key.kind == ApiKey.Kind.SECRET else PUBLISHABLE_MAY
    return Caller(
        merchant=key.merchant,
        kind=key.kind,
        scopes=scopes,
        open_amount=key.open_amount or key.kind == ApiKey.Kind.SECRET,
        key=key,
    )


_keys: Final = Remembered[ApiKey](seconds=30, of=(ApiKey, Merchant))
"""A revoked key is refused at once where the change is heard of, and after this time elsewhere."""
_origins: Final = Remembered[bool](seconds=30, of=(MerchantOrigin, Merchant))


def _find(plain: str) -> ApiKey:
    hashed = _hash(plain)
    return _keys.get(hashed, lambda: _look_up(hashed))


def _look_up(hashed: str) -> ApiKey:
    usable = Q(hash=hashed, revoked_at=None, merchant__active=True)
    key = ApiKey.objects.select_related("merchant").filter(usable).first()
    if key is None:
        raise Declined("unauthenticated", "This key is unknown or was revoked.")
    return key


def _hash(plain: str) -> str:
    """Keys are 256 random bits, so a plain hash cannot be searched backwards."""
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _check_origin(key: ApiKey, origin: str) -> None:
    if key.kind == ApiKey.Kind.SECRET:
        audit.record(f"key {key.hint}…", "key.seen_in_browser", key.public_id, origin=origin[:255])
        message = (
            "A secret key came from a web page: everybody can read it there. "
            "Revoke it, and use a publishable key in browsers."
        )
        raise Declined("secret_key_in_browser", message)
    listed = MerchantOrigin.objects.filter(merchant=key.merchant_id, origin=origin)
    if not _origins.get((key.merchant_id, origin), listed.exists):
        message = "This page's origin is not on the merchant's list. No prompt was sent."
        raise Declined("origin_not_allowed", message)


def _note_use(key: ApiKey) -> None:
    """Remember roughly when a key was used last: at most one write a minute."""
    now = hours.now()
    if key.last_used_at is None or now - key.last_used_at > timedelta(minutes=1):
        refuse_to_block()
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
        key.last_used_at = now


def is_known_origin(origin: str) -> bool:
    """Whether any merchant lists the origin (a preflight carries no key)."""
    return _origins.get(origin, MerchantOrigin.objects.filter(origin=origin).exists)


def create_key(
    merchant: Merchant,
    kind: str,
    *,
    actor: str,
    name: str = "",
    scopes: list[str] | None = None,
    open_amount: bool = False,
) -> tuple[ApiKey, str]:
    """Make a key. Returns its row and, this once, the key itself."""
    plain = PREFIXES[kind] + secrets.token_urlsafe(32)
    secret = kind == ApiKey.Kind.SECRET
    key = ApiKey.objects.create(
        merchant=merchant,
        kind=kind,
        name=name,
        hash=_hash(plain),
        hint=plain[:10],
        scopes=(scopes or ["read", "charge"]) if secret else [],
        open_amount=open_amount and not secret,
    )
    audit.record(actor, "key.created", key.public_id, merchant=merchant, kind=kind)
    return key, plain


def revoke_key(key: ApiKey, *, actor: str) -> None:
    """Make a key useless from now on."""
    if key.revoked_at is None:
        key.revoked_at = hours.heard()
        key.save(update_fields=["revoked_at"])
        audit.record(actor, "key.revoked", key.public_id, merchant=key.merchant)
