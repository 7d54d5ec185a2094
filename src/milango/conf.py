"""The settings of Milango: the dict `MILANGO` in Django's settings, read once, typed and checked.

    from milango.conf import conf
    conf().address("/callbacks/stk/...")

Nothing is read at import, and nothing here reads the environment. A name that is not listed, or a
value of the wrong kind, is an `ImproperlyConfigured` that says what to write instead.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, NoReturn
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

Network = IPv4Network | IPv6Network

ENVIRONMENTS: Final = ("sandbox", "production", "simulator")


class Limit(NamedTuple):
    """At most so many times in so many seconds."""

    most: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Key:
    """One key of this installation; its bytes never show in a repr."""

    kid: str
    """Its id: two lowercase hex digits. It stands in sealed texts and tokens, in the clear."""
    secret: bytes = field(repr=False)
    """32 random bytes. Everything else is derived from them, one sub-key for each purpose."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Conf:
    """What `MILANGO` may say: `MILANGO["PUBLIC_URL"]` is `conf().public_url`, and so on.

    One object for as long as the settings stand, so caches may be keyed by it.
    """

    public_url: str = ""
    """Where the world reaches us, such as `https://pay.example.co.ke`, without a last slash.
    Callback and link addresses are built from this alone, never from a request."""

    keys: tuple[Key, ...] = field(default=(), repr=False)
    """`"kid:base64 of 32 bytes"`, newest first: the first one writes, all of them read."""

    trusted_proxies: tuple[Network, ...] = ()
    """X-Forwarded-For counts only when the socket's peer lies in one of these networks."""

    callback_sources: tuple[Network, ...] = ()
    """Where Daraja's callbacks come from. Default: `milango.daraja.security.CALLBACK_SOURCES`."""

    confirm_above: Decimal = Decimal(20_000)
    """KES. Above it a callback alone is not proof, and Daraja is asked as well."""

    operator_alone: Decimal = Decimal(2_000)
    """KES. Up to this amount one person's word about a payment counts; above, two are needed."""

    operator_daily: Decimal = Decimal(10_000)
    """KES that one person's word alone may move in a day, and for one payer."""

    simulator: bool = False
    """Whether credentials of the simulator environment may be used."""

    daraja_urls: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Another base address for an environment: `{"simulator": "http://127.0.0.1:8200"}`."""

    phone_limit: Limit = Limit(10, 600)
    """Prompts to one phone number, over all merchants."""

    address_limit: Limit = Limit(120, 600)
    """Requests for a prompt from one network address."""

    prompt_life: int = 180
    """Seconds that a prompt counts as open on the phone."""

    idempotency_hours: int = 48
    """Hours that an `Idempotency-Key` is remembered."""

    spool: str = ""
    """A folder on the local disk for callbacks that arrive while the database is away; without it
    they are refused, and Daraja has to be asked about their payments."""

    streams: int = 20_000
    """Event streams that one process keeps open; beyond, callers are told to poll."""

    webhooks_to_anywhere: bool = False
    """For development: webhooks also go to http, to any port, and into private networks."""

    raw_days: int = 90
    """Days that the raw bytes of callbacks and deliveries are kept."""

    metrics_token: str = field(default="", repr=False)
    """What a scraper sends as a bearer token to read `/metrics` and the details of `/readyz` from
    another machine; without it both are for this machine alone."""

    def address(self, path: str) -> str:
        """The public address of a path that begins with a slash.

        Raises ImproperlyConfigured while `MILANGO["PUBLIC_URL"]` is not set.
        """
        if not self.public_url:
            _wrong("PUBLIC_URL", "is not set", "the https address under which the world reaches us")
        return f"{self.public_url}{path}"


def conf() -> Conf:
    """The settings in force: read from Django on first use, and again after they change.

    Raises ImproperlyConfigured, naming the setting and what to write.
    """
    return _read()


@lru_cache(maxsize=1)
def _read() -> Conf:
    given = getattr(settings, "MILANGO", {})
    if not isinstance(given, Mapping):
        raise ImproperlyConfigured("MILANGO must be a dict of settings, such as {'KEYS': [...]}.")
    for name in given:
        if name not in _READERS:
            _unknown(name)
    values = {name.lower(): _READERS[name](name, value) for name, value in given.items()}
    if "callback_sources" not in values:
        values["callback_sources"] = _default_callback_sources()
    return Conf(**values)


def _forget(*, setting: str, **kwargs: object) -> None:
    if setting == "MILANGO":
        _read.cache_clear()


setting_changed.connect(_forget, dispatch_uid="milango.conf")


def _default_callback_sources() -> tuple[Network, ...]:
    from milango.daraja.security import CALLBACK_SOURCES  # the wire loads only when it is needed

    return _networks("CALLBACK_SOURCES", CALLBACK_SOURCES)


def _unknown(name: object) -> NoReturn:
    near = get_close_matches(str(name).upper(), _READERS, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(sorted(_READERS))}."
    raise ImproperlyConfigured(f'MILANGO["{name}"] is not a setting of Milango. {hint}')


def _wrong(name: str, what: str, write: str) -> NoReturn:
    raise ImproperlyConfigured(f'MILANGO["{name}"] {what}. Write {write}.')


_URL_EXAMPLE: Final = 'an address such as "https://pay.example.co.ke"'


def _url(name: str, value: object, where: str = "") -> str:
    if not isinstance(value, str):
        _wrong(name, f"{where}must be text", _URL_EXAMPLE)
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        _wrong(name, f"{where}is not an address", _URL_EXAMPLE)
    if parts.scheme not in {"http", "https"} or not host or re.search(r"\s", value):
        _wrong(name, f"{where}is not an http or https address", _URL_EXAMPLE)
    if parts.query or parts.fragment or parts.username is not None:
        _wrong(name, f"{where}must have no query, fragment or user name", _URL_EXAMPLE)
    return value.rstrip("/")


def _urls(name: str, value: object) -> Mapping[str, str]:
    example = 'a dict such as {"simulator": "http://127.0.0.1:8200"}'
    if not isinstance(value, Mapping):
        _wrong(name, "must be a dict", example)
    for environment in value:
        if environment not in ENVIRONMENTS:
            _wrong(name, f"knows {', '.join(ENVIRONMENTS)}, not {environment!r}", example)
    urls = {key: _url(name, url, where=f"for {key} ") for key, url in value.items()}
    return MappingProxyType(urls)


def _items(name: str, value: object, write: str) -> Iterable[object]:
    if not isinstance(value, list | tuple | set | frozenset):
        _wrong(name, f"must be a list, not {type(value).__name__}", write)
    return value


_KEY_EXAMPLE: Final = (
    '["01:<base64 of 32 random bytes>"], the newest key first; '
    "milango.sealing.generate_key('01') makes one"
)


def _keys(name: str, value: object) -> tuple[Key, ...]:
    # The messages tell where the mistake is, never the value: it may be most of a real key.
    keys = tuple(
        _key(name, text, number)
        for number, text in enumerate(_items(name, value, _KEY_EXAMPLE), start=1)
    )
    if len({key.kid for key in keys}) != len(keys):
        _wrong(name, "has two keys with the same id", _KEY_EXAMPLE)
    return keys


def _key(name: str, value: object, number: int) -> Key:
    where = f"has an entry (number {number}) that"
    kid, colon, encoded = value.partition(":") if isinstance(value, str) else ("", "", "")
    if not colon or not re.fullmatch("[0-9a-f]{2}", kid):
        _wrong(name, f"{where} does not begin with two lowercase hex digits and ':'", _KEY_EXAMPLE)
    try:
        secret = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != 32:
        _wrong(name, f"{where} is not the base64 of 32 bytes", _KEY_EXAMPLE)
    return Key(kid, secret)


def _networks(name: str, value: object) -> tuple[Network, ...]:
    example = 'a list of networks such as ["10.0.0.0/8", "192.0.2.7"]'
    try:
        return tuple(
            item if isinstance(item, Network) else ip_network(str(item))
            for item in _items(name, value, example)
        )
    except ValueError as error:
        _wrong(name, f"has an entry that is no network ({error})", example)


def _money(name: str, value: object) -> Decimal:
    example = "an amount in KES such as 20000"
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        _wrong(name, f"must be a number, not {type(value).__name__}", example)
    try:
        amount = Decimal(value)
    except InvalidOperation:
        _wrong(name, "is not a number", example)
    if not amount.is_finite() or amount < 0:
        _wrong(name, "must be 0 or more", example)
    return amount


def _flag(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        _wrong(name, f"must be True or False, not {type(value).__name__}", "True or False")
    return value


def _whole(unit: str) -> Callable[[str, object], int]:
    def read(name: str, value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            _wrong(name, "must be a whole number above 0", f"a number of {unit}")
        return value

    return read


def _folder(name: str, value: object) -> str:
    if not isinstance(value, str | Path) or (value and not Path(value).is_absolute()):
        _wrong(name, "must be the whole path of a folder", '"/var/lib/milango/spool"')
    return str(value)


def _token(name: str, value: object) -> str:
    if not isinstance(value, str) or 0 < len(value) < 16 or not value.isascii():
        _wrong(name, "must be text that nobody guesses", "at least 16 random characters")
    return value


def _limit(name: str, value: object) -> Limit:
    example = "a pair (times, seconds) such as (10, 600)"
    pair = tuple(_items(name, value, example))
    if len(pair) != 2:
        _wrong(name, "must have two numbers", example)
    return Limit(*(_whole("requests or seconds")(name, number) for number in pair))


_READERS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "PUBLIC_URL": _url,
    "KEYS": _keys,
    "TRUSTED_PROXIES": _networks,
    "CALLBACK_SOURCES": _networks,
    "CONFIRM_ABOVE": _money,
    "OPERATOR_ALONE": _money,
    "OPERATOR_DAILY": _money,
    "SIMULATOR": _flag,
    "DARAJA_URLS": _urls,
    "PHONE_LIMIT": _limit,
    "ADDRESS_LIMIT": _limit,
    "PROMPT_LIFE": _whole("seconds"),
    "IDEMPOTENCY_HOURS": _whole("hours"),
    "SPOOL": _folder,
    "STREAMS": _whole("streams"),
    "WEBHOOKS_TO_ANYWHERE": _flag,
    "RAW_DAYS": _whole("days"),
    "METRICS_TOKEN": _token,
}
