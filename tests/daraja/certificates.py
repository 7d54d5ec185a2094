"""A certificate as Safaricom hands one out, with the key that only Safaricom would have."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.x509.oid import NameOID

ENDED = datetime(2017, 5, 12, tzinfo=UTC)
"""Long past, as in all that circulate."""


@cache
def private_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """The key behind `certificate`."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None) -> str:
    """An expired certificate of the key, as PEM text."""
    signer = key or private_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox.example.com")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(signer.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2015, 5, 12, tzinfo=UTC))
        .not_valid_after(ENDED)
        .sign(signer, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def opened(credential: str) -> str:
    """The password inside a security credential."""
    return private_key().decrypt(base64.b64decode(credential, validate=True), PKCS1v15()).decode()
