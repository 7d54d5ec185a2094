"""POST to addresses that merchants gave us: to the open internet, and never into our own network.

A name can be made to mean anything, and to mean something else a moment later. So it is the
address of the connection itself that is judged, after the name was looked up and before a byte is
sent; redirects are not followed and proxies of the environment are not asked.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver

from milango.core.errors import InvalidRequest
from milango.core.webhooks import MOST_OF_AN_ANSWER, readable

SECONDS: Final = 10.0
"""For an attempt as a whole: name, connection, TLS, request and answer."""

REFUSED: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by a carrier's customers
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, and the metadata of every cloud
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/96",  # unspecified, loopback, IPv4-compatible
        "::ffff:0:0/96",  # IPv4-mapped
        "::ffff:0:0:0/96",  # IPv4-translated
        "64:ff9b::/96",  # NAT64: a private IPv4 address may be behind it
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",  # Teredo and other protocols' own
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "3fff::/20",
        "5f00::/16",
        "fc00::/7",
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
"""Networks that no merchant's endpoint is in, whatever `is_global` says of them."""

HTTPS: Final = 443


class Answer(NamedTuple):
    """What came of one POST."""

    status: int | None
    """None: there was no answer."""
    text: str
    """The beginning of the answer, readable, for a log. Escape it before it is shown."""
    error: str
    """Why there was no answer, in a sentence; empty when there was one."""
    ms: int
    """Milliseconds that it took."""


class RefusedAddress(OSError):
    """The name leads into a network that merchants have no business in."""

    def __init__(self, address: object) -> None:
        super().__init__(f"{address} is not on the open internet, so nothing was sent there")


def is_refused(address: str) -> bool:
    """Whether an address is one of ours, private, reserved, or hides another one."""
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    return not found.is_global or any(
        found in network for network in REFUSED if network.version == found.version
    )


@lru_cache(maxsize=4_096)
def check_url(url: str, *, anywhere: bool = False, own_host: str = "") -> str:
    """The address, if events may be sent there as far as its own words tell.

    `anywhere` (development only) also takes http, other ports and our own host. Raises
    InvalidRequest `invalid_url` with `field="url"`.
    """
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip(".").lower(), parts.port
    except ValueError:
        raise InvalidRequest("This is not an address.", field="url", code="invalid_url") from None
    wrong = _wrong_with(url, parts.scheme, host, "@" in parts.netloc)
    if not wrong and not anywhere:
        wrong = _too_free(parts.scheme, host, port, own_host.rstrip(".").lower())
    if wrong:
        raise InvalidRequest(f"{wrong} Nothing is sent there.", field="url", code="invalid_url")
    return url


def _wrong_with(url: str, scheme: str, host: str, has_user: bool) -> str:
    if scheme not in {"http", "https"} or not host:
        return "An endpoint's address begins with https:// and a name."
    if any(mark.isspace() or not mark.isprintable() for mark in url) or "\\" in url:
        return "An address has no spaces, backslashes or control characters."
    if has_user:
        return "An address must not hold a user name or a password."
    return ""


def _too_free(scheme: str, host: str, port: int | None, own_host: str) -> str:
    if scheme != "https":
        return "Payers' data travel there, so the address must begin with https://."
    if port not in {None, HTTPS}:
        return f"Only port {HTTPS} is used."
    if host == own_host:
        return "This is Milango's own address."
    literal = _literal(host)
    if literal is not None and is_refused(str(literal)):
        return f"{literal} is not on the open internet."
    return ""


def _literal(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _guarded(info: Any) -> socket.socket:
    """A socket for an address that may be connected to. Raises RefusedAddress for any other."""
    family, kind, protocol, _, address = info
    if is_refused(str(address[0])):
        raise RefusedAddress(address[0])
    return socket.socket(family, kind, protocol)


class Outbound:
    """A pool of connections to merchants' endpoints. Belongs to the loop that it was made on."""

    def __init__(
        self,
        *,
        anywhere: bool = False,
        own_host: str = "",
        seconds: float = SECONDS,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._anywhere, self._own_host, self._seconds = anywhere, own_host, seconds
        connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=15,
            resolver=resolver,
            socket_factory=None if anywhere else _guarded,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,  # a few bytes could unpack into all of our memory
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("Accept-Encoding", "Accept"),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send the bytes. Whatever goes wrong on the way is an Answer, never an exception."""
        began = time.monotonic()
        status, text, error = None, "", ""
        try:
            check_url(url, anywhere=self._anywhere, own_host=self._own_host)
            async with asyncio.timeout(self._seconds):
                status, text = await self._exchange(url, body, headers)
        except TimeoutError:
            error = f"No whole answer within {self._seconds:g} seconds."
        except InvalidRequest as refusal:
            error = str(refusal)
        except (aiohttp.ClientError, OSError, ValueError) as trouble:
            error = _sentence(trouble)
        return Answer(status, text, error, round((time.monotonic() - began) * 1000))

    async def _exchange(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
        async with self._session.post(
            url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            begun = bytearray()
            while len(begun) < MOST_OF_AN_ANSWER:
                more = await answer.content.read(MOST_OF_AN_ANSWER - len(begun))
                if not more:
                    break
                begun += more
            return answer.status, readable(bytes(begun))


TROUBLES: Final = (
    # The first that fits; the most special ones stand first.
    (aiohttp.ClientConnectorCertificateError, "Its certificate is not valid for this name."),
    (aiohttp.ClientSSLError, "TLS could not be agreed on."),
    (aiohttp.ClientConnectorDNSError, "Its name is not known."),
    (aiohttp.ClientConnectorError, "Nobody answers there."),
    (aiohttp.ServerDisconnectedError, "It hung up without an answer."),
    (aiohttp.ClientResponseError, "Its answer is not HTTP."),
)


def _sentence(trouble: Exception) -> str:
    inner = getattr(trouble, "os_error", None)
    if isinstance(inner, RefusedAddress):
        return f"{inner}."
    for kind, sentence in TROUBLES:
        if isinstance(trouble, kind):
            return sentence
    return f"It could not be reached ({type(trouble).__name__})."
