"""API operators: passwords come encrypted, three wrong ones lock."""

from __future__ import annotations

import base64
import binascii
import hmac
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.x509.oid import NameOID

from milango.simulator.apps import Apps

WRONG_ALLOWED = 3
_KEY_BITS = 2048


class KeyPair:
    """The pair whose certificate encrypts operators' passwords. Made when first wanted, unless a
    private key (PEM) is given."""

    def __init__(self, pem: str = "") -> None:
        self._pem = pem

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        if not self._pem:
            return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        key = load_pem_private_key(self._pem.encode(), password=None)
        if not isinstance(key, rsa.RSAPrivateKey):
            raise TypeError("the key must be an RSA key")
        return key

    @cached_property
    def certificate(self) -> bytes:
        """PEM, self-signed, as the portal offers it for download."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "simulator.invalid")])
        made = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(made - timedelta(days=1))
            .not_valid_after(made + timedelta(days=365))
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(Encoding.PEM)

    def decrypt(self, security_credential: str) -> bytes | None:
        """The password inside, PKCS#1 v1.5; None if it was not encrypted for this pair."""
        try:
            sealed = base64.b64decode(security_credential, validate=True)
            return self._key.decrypt(sealed, padding.PKCS1v15())
        except (binascii.Error, ValueError):
            return None


class Initiators:
    """Who may ask, and who has been wrong too often."""

    def __init__(self, pair: KeyPair) -> None:
        self._pair = pair
        self._wrong: Counter[tuple[str, str]] = Counter()

    def verdict(
        self, apps: Apps, consumer_key: str, number: str, initiator: str, credential: str
    ) -> str:
        """Empty if this operator may ask about this short code; else a row of OPERATOR_RESULTS.

        While no app is registered, everyone whose credential can be decrypted may.
        """
        code = apps.owned(consumer_key, number)
        if code is None and not apps.open:
            return "not_allowed"
        operator = (code.shortcode if code else number, initiator)
        if self._wrong[operator] >= WRONG_ALLOWED:
            return "locked"
        password = self._pair.decrypt(credential)
        known = code is None or (
            code.initiator == initiator and _same(password, code.initiator_password)
        )
        if password is None or not known:
            self._wrong[operator] += 1
            return "wrong_initiator"
        del self._wrong[operator]
        return ""

    def unlock(self, number: str, initiator: str) -> bool:
        """Forget wrong passwords, as an administrator at the portal does. Were there any?"""
        return self._wrong.pop((number, initiator), 0) > 0

    def view(self) -> list[dict[str, Any]]:
        return [
            {
                "shortcode": number,
                "initiator": initiator,
                "wrong": wrong,
                "locked": wrong >= WRONG_ALLOWED,
            }
            for (number, initiator), wrong in self._wrong.items()
            if wrong
        ]


def _same(password: bytes | None, expected: str | None) -> bool:
    if password is None or expected is None:
        return False
    return hmac.compare_digest(password, expected.encode())
