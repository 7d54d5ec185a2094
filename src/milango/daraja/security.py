"""Safaricom's addresses: one signal about where a callback comes from (Daraja reference 17)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network

CALLBACK_SOURCES: Final = (
    "196.201.214.200",
    "196.201.214.206",
    "196.201.214.207",
    "196.201.214.208",
    "196.201.213.114",
    "196.201.213.44",
    "196.201.212.127",
    "196.201.212.138",
    "196.201.212.129",
    "196.201.212.136",
    "196.201.212.74",
    "196.201.212.69",
)
"""Published for allow-listing. It proves "from Daraja", never "for this merchant" (A13)."""


def is_listed(address: str, sources: Iterable[str | Network]) -> bool:
    """Whether the address is one of the sources: single addresses, or networks in CIDR notation.

    What is no address is not listed; IPv4 written as IPv6 is IPv4. Raises ValueError for a source
    that is no network.
    """
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in _network(source) for source in sources)


def _network(source: str | Network) -> Network:
    return ip_network(source) if isinstance(source, str) else source
