"""Which address a request comes from."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from milango.core.peers import peer_of

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("127.0.0.1")]
SAFARICOM = "196.201.214.200"

CASES: dict[str, tuple[str, list[str], str]] = {
    "direct": ("102.0.0.7", [], "102.0.0.7"),
    "header from a stranger": ("102.0.0.7", [SAFARICOM], "102.0.0.7"),
    "one proxy": ("10.0.0.1", [SAFARICOM], SAFARICOM),
    "proxy without header": ("10.0.0.1", [], "10.0.0.1"),
    "doubled by the client": ("10.0.0.1", [f"{SAFARICOM}, 102.0.0.7"], "102.0.0.7"),
    "two lines": ("10.0.0.1", [SAFARICOM, "102.0.0.7"], "102.0.0.7"),
    "chain of proxies": ("10.0.0.1", [f"{SAFARICOM}, 10.0.0.3, 10.0.0.2"], SAFARICOM),
    "chain over two lines": ("10.0.0.1", [SAFARICOM, "10.0.0.3", "10.0.0.2"], SAFARICOM),
    "all are proxies": ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
    "via loopback": ("127.0.0.1", [f"{SAFARICOM}, 102.0.0.7"], "102.0.0.7"),
    "garbage": ("10.0.0.1", ["unknown"], "10.0.0.1"),
    "garbage behind a proxy": ("10.0.0.1", [f"{SAFARICOM}, x, 10.0.0.2"], "10.0.0.1"),
    "garbage further left": ("10.0.0.1", ["<script>, 102.0.0.7"], "102.0.0.7"),
    "an empty hop": ("10.0.0.1", [f"{SAFARICOM},"], "10.0.0.1"),
    "a port": ("10.0.0.1", [f"{SAFARICOM}:443"], "10.0.0.1"),
    "IPv4 in IPv6": ("::ffff:10.0.0.1", [f"::ffff:{SAFARICOM}"], SAFARICOM),
    "IPv6": ("fd00::1", ["2001:DB8::7"], "2001:db8::7"),
    "a zone": ("10.0.0.1", ["fe80::1%eth0"], "10.0.0.1"),
    "a Unix socket": ("", [SAFARICOM], ""),
    "no address": ("testserver", [SAFARICOM], ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_first_hop_that_is_no_proxy_of_ours(case: str):
    remote, lines, peer = CASES[case]
    assert peer_of(remote, lines, TRUSTED) == peer


@pytest.mark.parametrize("lines", [[SAFARICOM], [SAFARICOM, SAFARICOM], [f"{SAFARICOM}, ::1"]])
def test_without_trusted_proxies_no_header_counts(lines: list[str]):
    assert peer_of("127.0.0.1", lines, []) == "127.0.0.1"
