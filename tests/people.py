"""The people of the tests: merchants with credentials and keys, and somebody who pays them."""

from __future__ import annotations

import re
from itertools import count
from typing import Any

from milango.flows import callers
from milango.models import ApiKey, Merchant, MpesaCredential

PAYER = "254708374149"
OTHER_PAYER = "254110000123"

_numbers = count(600_100)


def make_merchant(name: str = "Duka", **fields: Any) -> Merchant:
    """A merchant; the same name gives the same merchant."""
    return Merchant.objects.get_or_create(name=name, defaults=fields)[0]


def make_credential(merchant: Merchant, **fields: Any) -> MpesaCredential:
    """A short code of the merchant, by default a paybill at the simulator, all its own."""
    number = next(_numbers)
    given: dict[str, Any] = {
        "short_code": str(number),
        "kind": "paybill",
        "environment": "simulator",
        "consumer_key": f"key-of-{number}",
        "consumer_secret": f"secret-of-{number}",
        "passkey": f"passkey-of-{number}",
    }
    return MpesaCredential.objects.create(merchant=merchant, **given | fields)


def make_till(merchant: Merchant, **fields: Any) -> MpesaCredential:
    """A till whose store number is another number than the till."""
    return make_credential(merchant, kind="till", store_number=str(next(_numbers)), **fields)


def seen(client: Any, address: str) -> dict[str, str]:
    """What the admin's page at this address is given back with its form."""
    page = client.get(address).content.decode()
    return dict(re.findall(r'name="(seen)" value="([0-9a-f]+)"', page))


def make_key(merchant: Merchant, kind: str = "secret", **fields: Any) -> tuple[ApiKey, str]:
    """An API key: its row, and the key itself."""
    return callers.create_key(merchant, kind, actor="test", **fields)
