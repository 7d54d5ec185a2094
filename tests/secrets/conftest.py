"""One key, two merchants, and each one's short code."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.test import override_settings

from milango.models import Merchant, MpesaCredential

from .keys import FIRST, with_keys


@pytest.fixture(autouse=True)
def _first_key() -> Iterator[None]:
    with override_settings(MILANGO=with_keys(FIRST)):
        yield


def credential_of(name: str, short_code: str) -> MpesaCredential:
    """A saved credential, as the database gives it; its secrets contain the merchant's name."""
    row = MpesaCredential.objects.create(
        merchant=Merchant.objects.create(name=name),
        short_code=short_code,
        consumer_key=f"key of {name}",
        consumer_secret=f"secret of {name}",
        passkey=f"passkey of {name}",
    )
    return MpesaCredential.objects.get(pk=row.pk)


@pytest.fixture
def mine(db: None) -> MpesaCredential:
    return credential_of("Mama Njeri", "174379")


@pytest.fixture
def theirs(db: None) -> MpesaCredential:
    return credential_of("Kilimani Fibre", "600984")
