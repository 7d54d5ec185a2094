"""Add merchants, and say which web pages may use their publishable keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from django.db import IntegrityError, transaction

from milango.core.errors import InvalidRequest
from milango.models import Merchant, MerchantOrigin

from . import audit

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def add_merchant(name: str, *, actor: str, origins: Iterable[str] = ()) -> Merchant:
    """Add a tenant. Raises InvalidRequest for a blank or taken name and for what is no origin."""
    wanted = [read_origin(origin) for origin in origins]
    name = " ".join(name.split())
    if not 0 < len(name) <= 80 or not name.isprintable():
        message = "A merchant's name has 1 to 80 characters that can be printed."
        raise InvalidRequest(message, field="name")
    try:
        with transaction.atomic():
            merchant = Merchant.objects.create(name=name)
            _add_origins(merchant, wanted)
            audit.record(
                actor, "merchant.added", merchant.public_id, merchant=merchant, origins=wanted
            )
    except IntegrityError:
        raise InvalidRequest(f"There is a merchant called {name} already.", field="name") from None
    return merchant


def set_origins(merchant: Merchant, origins: Iterable[str], *, actor: str) -> None:
    """Make exactly these the origins whose pages may use the merchant's publishable keys."""
    wanted = [read_origin(origin) for origin in origins]
    rows = MerchantOrigin.objects.filter(merchant=merchant)
    if set(rows.values_list("origin", flat=True)) == set(wanted):
        return
    with transaction.atomic():
        rows.exclude(origin__in=wanted).delete()
        _add_origins(merchant, wanted)
        audit.record(
            actor, "merchant.origins", merchant.public_id, merchant=merchant, origins=wanted
        )


def _add_origins(merchant: Merchant, origins: list[str]) -> None:
    MerchantOrigin.objects.bulk_create(
        [MerchantOrigin(merchant=merchant, origin=origin) for origin in dict.fromkeys(origins)],
        ignore_conflicts=True,
    )


def read_origin(text: str) -> str:
    """An origin exactly as browsers send it: scheme, host, and a port that is not the usual one.

    Raises InvalidRequest for anything else; plain http is for loopback only.
    """
    parts = urlsplit(text.strip().rstrip("/").lower())
    try:
        port = parts.port
    except ValueError:
        port = 0
    plain = parts.scheme == "http" and parts.hostname in LOOPBACK
    extra = parts.path or parts.query or parts.fragment or parts.username is not None
    if not (parts.scheme == "https" or plain) or not parts.hostname or extra or port == 0:
        message = f"{text!r} is no origin. Write it as https://shop.example, without a path."
        raise InvalidRequest(message, field="origin")
    usual = {"https": 443, "http": 80}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + (f":{port}" if port and port != usual else "")
