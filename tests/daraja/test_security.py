"""Safaricom's addresses."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from milango.daraja.security import CALLBACK_SOURCES, is_listed


@pytest.mark.parametrize("address", [*CALLBACK_SOURCES, "::ffff:196.201.212.69"])
def test_the_published_addresses_are_listed(address: str):
    assert is_listed(address, CALLBACK_SOURCES)


@pytest.mark.parametrize(
    "address",
    ["196.201.214.201", "127.0.0.1", "", "mpesa", "196.201.214.200, 10.0.0.1", "::1", "1" * 9999],
)
def test_other_addresses_and_what_is_none_are_not(address: str):
    assert not is_listed(address, CALLBACK_SOURCES)


def test_a_source_may_be_a_network():
    sources = ["10.1.0.0/16", ip_network("2001:db8::/32")]
    assert is_listed("10.1.200.3", sources)
    assert is_listed("2001:db8::7", sources)
    assert not is_listed("10.2.0.1", sources)
