"""Safaricom's addresses, and the security credential."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from milango.daraja.security import (
    CALLBACK_SOURCES,
    BadCertificate,
    certificate_ends,
    is_listed,
    security_credential,
)
from tests.daraja.certificates import ENDED, certificate, opened, private_key


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


def test_only_the_owner_of_the_certificate_reads_the_password():
    credential = security_credential("Pa$$w0rd#2", certificate())
    assert opened(credential) == "Pa$$w0rd#2"
    assert len(credential) == 344
    assert "\n" not in credential


def test_a_password_gives_another_credential_each_time():
    pem = certificate()
    assert security_credential("same", pem) != security_credential("same", pem)


def test_an_expired_certificate_is_taken_and_can_be_remarked_on():
    assert certificate_ends(certificate()) == ENDED
    assert opened(security_credential("secret", f"\n {certificate()} \n")) == "secret"


CUT = certificate()[:200] + "\n-----END CERTIFICATE-----"


@pytest.mark.parametrize("text", ["", "MIIC", CUT, "\ud800", "-----BEGIN CERTIFICATE-----"])
def test_what_is_no_certificate_is_said_to_be_none(text: str):
    with pytest.raises(BadCertificate, match="whole file from the Daraja portal"):
        security_credential("secret", text)


@pytest.mark.parametrize(
    "key", [private_key(1024), ec.generate_private_key(ec.SECP256R1())], ids=["short", "curve"]
)
def test_a_key_that_does_not_keep_a_secret_is_refused(key: object):
    with pytest.raises(BadCertificate, match="no RSA key of 2048 bits"):
        security_credential("secret", certificate(key))  # type: ignore[arg-type]


@pytest.mark.parametrize("password", ["", "x" * 246])
def test_a_password_that_does_not_fit_is_refused(password: str):
    with pytest.raises(BadCertificate, match="empty or too long") as refused:
        security_credential(password, certificate())
    assert refused.value.field == "password"
