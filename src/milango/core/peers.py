"""Which address a request comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def peer_of(remote_addr: str, forwarded_for: Iterable[str], trusted: Iterable[Network]) -> str:
    """The address that a request comes from, as far as trusted proxies vouch for it.

    `forwarded_for` are all X-Forwarded-For lines in the order in which they came. They count only
    when the socket's peer lies in one of the `trusted` networks; then they are walked from right
    to left, and the first hop that is no proxy of ours is the peer. A line that does not read as
    addresses says nothing, and the socket's peer stands. No address at all (a Unix socket) is "".
    """
    socket_peer = _address(remote_addr)
    if socket_peer is None:
        return ""
    trusted = tuple(trusted)
    peer = socket_peer
    for hop in reversed(",".join(forwarded_for).split(",")):
        if not any(peer in network for network in trusted):
            break
        claimed = _address(hop)
        if claimed is None:
            return str(socket_peer)
        peer = claimed
    return str(peer)


def _address(text: str) -> Address | None:
    """An address without zone or port; IPv4 written as IPv6 is IPv4."""
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    if isinstance(address, IPv4Address):
        return address
    return None if address.scope_id else address.ipv4_mapped or address
