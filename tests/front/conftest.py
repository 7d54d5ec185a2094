"""The hot door on a real socket, and payments whose callbacks are known."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.asgi import get_asgi_application
from django.db import connections

from milango import sealing
from milango.core import signing
from milango.front import Front
from milango.models import Merchant, MpesaCredential, Payment
from tests.flows.conftest import make_payment
from tests.people import make_credential, make_merchant
from tests.servers import serve


class Prompted:
    """A payment whose prompt is out, and the address that Daraja was given."""

    def __init__(self, credential: MpesaCredential, **fields: Any) -> None:
        checkout = f"ws_CO_{secrets.token_hex(12)}"
        self.payment = make_payment(credential, checkout_request_id=checkout, **fields)
        kid = sealing.current_key_id()
        key = sealing.derive("callback", kid)
        self.token = signing.make_callback_token(self.payment.pk, kid, key, secrets.token_bytes(16))
        hashed = signing.token_hash(self.token)
        Payment.objects.filter(pk=self.payment.pk).update(callback_token_hash=hashed)
        self.path = f"/callbacks/stk/{self.token}"

    def callback(self, code: int = 0, **changes: Any) -> bytes:
        """What Daraja would post: by default that it was paid."""
        day = self.payment.created_at.strftime("%Y%m%d%H%M%S")
        items = {
            "Amount": float(self.payment.amount),
            "MpesaReceiptNumber": f"U{self.payment.pk.hex[-9:].upper()}",
            "TransactionDate": int(day) + 1_000_000,
            "PhoneNumber": int(self.payment.phone),
        } | changes
        callback: dict[str, Any] = {
            "MerchantRequestID": "6c1d-4f0a-9b27-5e8a1c3d90f27184",
            "CheckoutRequestID": self.payment.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": "The service request is processed.",
        }
        if code == 0:
            listed = [{"Name": name, "Value": value} for name, value in items.items()]
            callback["CallbackMetadata"] = {"Item": listed}
        return json.dumps({"Body": {"stkCallback": callback}}).encode()

    def now(self) -> Payment:
        """The payment as it stands."""
        return Payment.objects.get(pk=self.payment.pk)


@pytest.fixture
def merchant(transactional_db: None) -> Merchant:
    return make_merchant("Duka")


@pytest.fixture
def credential(merchant: Merchant) -> MpesaCredential:
    return make_credential(merchant)


@pytest.fixture
def prompted(credential: MpesaCredential) -> Callable[..., Prompted]:
    """Make a payment that waits for its callback."""

    def make(**fields: Any) -> Prompted:
        fields.setdefault("phone", f"2547{secrets.randbelow(10**8):08}")
        return Prompted(fields.pop("credential", credential), **fields)

    return make


@pytest.fixture
def door(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Milango's own server, as `milango serve` runs it; gives its address."""
    monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE", raising=False)
    assert not os.environ.get("DJANGO_ALLOW_ASYNC_UNSAFE")
    with serve(Front(get_asgi_application()), lifespan="on") as url:  # type: ignore[arg-type]
        yield url
    connections.close_all()
