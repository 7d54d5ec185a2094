"""Safaricom's addresses, and the security credential of an initiator.

The addresses are one signal about where a callback comes from. The security credential is the
initiator's password, readable by Safaricom alone.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING, Final

from milango.core.errors import InvalidRequest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate

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
"""Published for allow-listing. It proves "from Daraja", never "for this merchant"."""


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


# --- the security credential ----------------------------------------------------------------
#
# cryptography loads when it is needed: who compares addresses does not pay for it.

LEAST_BITS: Final = 2_048


class BadCertificate(InvalidRequest):
    """Not a certificate that an initiator's password can be encrypted with. Nothing was sent."""

    code = "bad_certificate"


def security_credential(password: str, certificate: str) -> str:
    """The initiator's password as Daraja wants it: RSA, PKCS#1 v1.5, Base64 in one line.

    `certificate` is Safaricom's for the environment, as PEM text. Each call gives another text
    for one password, and each of them stays valid until the password changes. An expired
    certificate is taken: all that circulate are, and only the key matters. Raises BadCertificate.
    """
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    key = _public_key(certificate)
    plain = password.encode()
    if not 0 < len(plain) <= key.key_size // 8 - 11:
        del password, plain  # an error report shows what a frame holds
        raise BadCertificate("The initiator's password is empty or too long.", field="password")
    return base64.b64encode(key.encrypt(plain, PKCS1v15())).decode()


def certificate_ends(certificate: str) -> datetime:
    """When the certificate's validity ends, in UTC. Raises BadCertificate.

    A date in the past is worth a remark, not a refusal: Safaricom's are long past theirs.
    """
    return _certificate(certificate).not_valid_after_utc


def _public_key(certificate: str) -> RSAPublicKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    try:
        key: object = _certificate(certificate).public_key()
    except UnsupportedAlgorithm:
        key = None
    if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
        message = f"The certificate has no RSA key of {LEAST_BITS} bits or more."
        raise BadCertificate(message, field="certificate")
    return key


def _certificate(text: str) -> Certificate:
    from cryptography.x509 import load_pem_x509_certificate

    try:
        return load_pem_x509_certificate(text.strip().encode())
    except ValueError:
        pass
    raise BadCertificate(
        "The certificate cannot be read. Give the whole file from the Daraja portal, from "
        "-----BEGIN CERTIFICATE----- to -----END CERTIFICATE-----.",
        field="certificate",
    )
