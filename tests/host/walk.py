"""Run as a program in the host project: one push and its callback, through WSGI or ASGI.

    python -m tests.host.walk wsgi|asgi atomic|plain <simulator's address>

Prints one JSON line: what was answered, and what is stored.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.host.settings"

KIND, ATOMIC, DARAJA = sys.argv[1:4]


def set_up() -> None:
    """Start Django, with ATOMIC_REQUESTS as wished."""
    import django
    from django.conf import settings

    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = ATOMIC == "atomic"
    settings.MILANGO = settings.MILANGO | {"DARAJA_URLS": {"simulator": DARAJA}}
    django.setup()


def client_call(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, Any]:
    """One request through the host's own WSGI or ASGI application."""
    from django.test import AsyncClient, Client

    options: dict[str, Any] = {"content_type": "application/json", "headers": headers}
    if KIND == "wsgi":
        answer = Client(enforce_csrf_checks=True).generic(method, path, body, **options)
    else:
        client = AsyncClient(enforce_csrf_checks=True)

        async def ask() -> Any:
            return await client.generic(method, path, body, **options)

        answer = asyncio.run(ask())
    return answer.status_code, answer.content.decode()


def walk() -> dict[str, Any]:
    """A prompt, Daraja's callback, and a look at the status."""
    from urllib.request import urlopen

    from milango.models import Payment
    from tests.people import PAYER, make_credential, make_key, make_merchant

    merchant = make_merchant("Duka")
    code = make_credential(merchant).short_code
    key = {"Authorization": f"Bearer {make_key(merchant)[1]}"}
    wish = {"phone_number": PAYER, "amount": 50, "shortcode": code}
    push, text = client_call("POST", "/api/v1/stk-push", json.dumps(wish).encode(), key)
    payment = json.loads(text)
    with urlopen(f"{DARAJA}/control/ledger", timeout=10) as ledger:
        (prompt,) = [row for row in json.load(ledger) if row["party_b"] == code]
    callback = {
        "MerchantRequestID": prompt["merchant_request_id"],
        "CheckoutRequestID": prompt["checkout_request_id"],
        "ResultCode": 1032,
        "ResultDesc": "Request cancelled by user",
    }
    path = prompt["callback_url"].removeprefix("https://pay.example.test")
    body = json.dumps({"Body": {"stkCallback": callback}}).encode()
    taken, said = client_call("POST", path, body, {})
    _, status = client_call("GET", f"/api/v1/payments/status/{payment['checkout_id']}", b"", key)
    unknown, _ = client_call("POST", "/callbacks/stk/x", b"{}", {})
    return {
        "push": push,
        "callback": [taken, json.loads(said)],
        "unknown": unknown,
        "status": json.loads(status)["status"],
        "stored": Payment.objects.get().status,
        "own": [client_call("GET", path, b"", {})[1] for path in ("/", "/api/v1/orders")],
    }


def main() -> None:
    """Walk, on the host's own database."""
    set_up()
    print(json.dumps(walk()))


main()
