"""Daraja apps and the short codes that went live with them; without any app, everyone is let in."""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import Annotated, Literal

import msgspec

ShortCodeText = Annotated[str, msgspec.Meta(pattern=r"^[0-9]{5,7}$")]
Filled = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]

TRANSACTION_TYPES = {"paybill": "CustomerPayBillOnline", "till": "CustomerBuyGoodsOnline"}
SANDBOX_SHORT_CODE = "174379"
"""The shared sandbox pay bill, which refuses buy-goods pushes at once."""


class ShortCode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pay bill, or a till: then `shortcode` is the store number that owns the passkey.

    `initiator` is its API operator, who may ask for the status of transactions.
    """

    shortcode: ShortCodeText
    kind: Literal["paybill", "till"] = "paybill"
    party_b: ShortCodeText | None = None
    passkey: Filled
    name: str = ""
    initiator: Filled | None = None
    initiator_password: Filled | None = None

    def __repr__(self) -> str:
        return f"ShortCode({self.shortcode}, {self.kind})"

    @property
    def numbers(self) -> tuple[str, str]:
        """What signs, and what payers see."""
        return self.shortcode, self.party_b or self.shortcode

    def receives(self, transaction_type: str, party_b: str) -> bool:
        """Do TransactionType and PartyB fit this short code?"""
        fits = transaction_type == TRANSACTION_TYPES[self.kind]
        return fits and party_b == (self.party_b or self.shortcode)


class App(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One Daraja app."""

    consumer_key: Filled
    consumer_secret: Filled
    name: str = ""
    shortcodes: tuple[ShortCode, ...] = ()

    def __repr__(self) -> str:
        return f"App({self.name or 'without a name'})"

    def view(self) -> dict[str, object]:
        """What may be shown: no secret and no passkey."""
        return {
            "consumer_key": self.consumer_key,
            "name": self.name,
            "shortcodes": [
                {
                    "shortcode": code.shortcode,
                    "kind": code.kind,
                    "party_b": code.party_b or code.shortcode,
                    "name": code.name or self.name,
                }
                for code in self.shortcodes
            ],
        }


class Apps:
    """The register. While it is empty the simulator is open: any key, secret and short code."""

    def __init__(self) -> None:
        self._apps: dict[str, App] = {}

    def add(self, app: App) -> None:
        """Register, or replace what this consumer key had."""
        self._apps[app.consumer_key] = app

    def all(self) -> list[App]:
        return list(self._apps.values())

    @property
    def open(self) -> bool:
        return not self._apps

    def knows(self, consumer_key: str, consumer_secret: str) -> bool:
        if self.open:
            return bool(consumer_key and consumer_secret)
        app = self._apps.get(consumer_key)
        return app is not None and hmac.compare_digest(
            app.consumer_secret.encode(), consumer_secret.encode()
        )

    def short_code(self, consumer_key: str, short_code: str) -> ShortCode | None:
        """The short code among those of this app; None when it is not one of them."""
        app = self._apps.get(consumer_key)
        codes = app.shortcodes if app else ()
        return next((code for code in codes if code.shortcode == short_code), None)

    def owned(self, consumer_key: str, number: str) -> ShortCode | None:
        """The short code of this app that has this number, be it store or till."""
        app = self._apps.get(consumer_key)
        codes = app.shortcodes if app else ()
        return next((code for code in codes if number in code.numbers), None)

    def owner(self, number: str) -> tuple[str, ShortCode] | None:
        """Consumer key and short code of whichever app has this number."""
        pairs = ((app.consumer_key, code) for app in self.all() for code in app.shortcodes)
        return next((pair for pair in pairs if number in pair[1].numbers), None)

    def business_name(self, consumer_key: str, code: ShortCode | None, party_b: str) -> str:
        """What the payer reads in the prompt."""
        app = self._apps.get(consumer_key)
        return (code.name if code else "") or (app.name if app else "") or f"Business {party_b}"


def password_fits(password: str, short_code: str, timestamp: str, passkey: str | None) -> bool:
    """Password is base64(short code + passkey + timestamp); a passkey of None may be any."""
    try:
        plain = base64.b64decode(password, validate=True).decode("ascii")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return False
    if passkey is not None:
        return hmac.compare_digest(plain.encode(), f"{short_code}{passkey}{timestamp}".encode())
    around = len(short_code) + len(timestamp)
    return plain.startswith(short_code) and plain.endswith(timestamp) and len(plain) > around
