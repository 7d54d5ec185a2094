"""Rows for the benchmark: merchants, a history as long as wanted, and payments that wait.

    python -m bench.seed merchants NUMBER
    python -m bench.seed waiting NUMBER FILE [MERCHANTS]   (and what will settle them, in FILE)

History is made by the database itself (`PAST`, `HISTORY`).
"""

from __future__ import annotations

import json
import os
import pickle
import random
import secrets
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID

ANSWERED: Final = (
    '{"level":0,"voided":false,"answered":true,"failure":[0,"",""],"receipts":[],"paid_at":[0,""],'
    '"payer":[0,""],"claims":[],"doubts":[],"first_no":null,"last_no":null}'
)
"""The standing of a payment whose prompt Daraja has named."""

SUBSCRIBED: Final = 5
"""Every so manyth merchant has a webhook endpoint."""

KEY: Final = "sk_bench-{number:04}-0123456789abcdef0123456789abcdef"


def merchants(number: int) -> None:
    """Merchants with a paybill and a secret key each; every fifth wants webhooks."""
    from milango.flows.callers import _hash
    from milango.models import ApiKey, Merchant, MpesaCredential, WebhookEndpoint

    Merchant.objects.bulk_create([Merchant(name=f"Duka {n:04}") for n in range(number)])
    rows = list(Merchant.objects.order_by("name"))
    MpesaCredential.objects.bulk_create(
        [
            MpesaCredential(
                merchant=merchant,
                short_code=str(100_000 + n),
                environment="simulator",
                consumer_key=f"key-{n}",
                consumer_secret=f"secret-{n}",
                passkey=f"passkey-{n}",
            )
            for n, merchant in enumerate(rows)
        ]
    )
    keys = [(KEY.format(number=n), merchant) for n, merchant in enumerate(rows)]
    ApiKey.objects.bulk_create(
        [
            ApiKey(merchant=merchant, kind="secret", hash=_hash(key), scopes=["read", "charge"])
            for key, merchant in keys
        ]
    )
    WebhookEndpoint.objects.bulk_create(
        [
            WebhookEndpoint(merchant=merchant, url="https://shop.example/hook", secret="made up")  # noqa: S106
            for merchant in rows[::SUBSCRIBED]
        ]
    )


def waiting(number: int, file: Path, among: int | None = None) -> None:
    """Payments that Daraja has named, and for each the callback that says it was paid.

    `among`: so many merchants, the first ones; else all.
    """
    from django.utils import timezone

    from milango import sealing
    from milango.core import signing
    from milango.models import MpesaCredential
    from milango.models.ids import new_checkout_id, uuid7

    credentials = list(MpesaCredential.objects.order_by("short_code")[:among])
    kid = sealing.current_key_id()
    key = sealing.derive("callback", kid)
    read_key = sealing.derive("read-token", kid)
    until = timezone.now() + timedelta(minutes=10)
    now = timezone.now() - timedelta(seconds=20)
    day = (now + timedelta(hours=3)).strftime("%Y%m%d%H%M%S")
    alike: dict[str, Any] = {
        **dict.fromkeys(("created_at", "updated_at", "sending_at"), now),
        "prompt_until": now + timedelta(seconds=180),
        **dict.fromkeys(("description", "order_id", "idempotency_key", "reason"), ""),
        **dict.fromkeys(("receipt_number", "result_code", "result_text"), ""),
        **dict.fromkeys(("confirming", "late"), False),
        **dict.fromkeys(("checks", "bodies"), 0),
        "credential_version": 1,
        "amount": 50,
        "account_reference": "TABLE 7",
        "metadata": "{}",
        "requested_by": "server",
        "status": "Pending",
        "standing": ANSWERED,
        "event_count": 2,
    }
    payments, requests = [], []
    for n in range(number):
        credential = credentials[n % len(credentials)]
        payment_id = uuid7()
        token = signing.make_callback_token(payment_id, kid, key, secrets.token_bytes(16))
        payment = alike | {
            "id": payment_id,
            "merchant_id": credential.merchant_id,
            "credential_id": credential.pk,
            "environment": credential.environment,
            "short_code": credential.short_code,
            "party_b": credential.short_code,
            "phone": f"2547{random.randrange(10**8):08}",  # noqa: S311 - made-up payers
            "service_type": ("payment", "captive_portal")[n % 2],
            "checkout_id": new_checkout_id(),
            "callback_token_hash": signing.token_hash(token),
            "checkout_request_id": f"ws_CO_{secrets.token_hex(12)}",
            "merchant_request_id": secrets.token_hex(12),
        }
        payments.append(payment)
        ticket = signing.make_read_token(payment_id, until, kid, read_key)
        requests.append((_request(token, payment, day), _stream(payment_id, ticket)))
    _save(payments)
    random.shuffle(requests)
    file.write_bytes(pickle.dumps([request for request, _ in requests]))
    file.with_suffix(".streams").write_bytes(pickle.dumps([stream for _, stream in requests]))


def _save(payments: list[Any]) -> None:
    """As Milango itself writes payments and prompts: Django's own way takes four times as long."""
    from django.db import transaction

    from milango.flows.rows import NEW_PAYMENTS, PROMPTS
    from milango.flows.store import store

    table = NEW_PAYMENTS._replace(
        columns=(*NEW_PAYMENTS.columns, "checkout_request_id"), types=(*NEW_PAYMENTS.types, "text")
    )
    rows = store()
    for start in range(0, len(payments), 2_000):
        part = payments[start : start + 2_000]
        with transaction.atomic():
            rows.insert(table, [tuple(each[name] for name in table.columns) for each in part])
            rows.insert_new(
                PROMPTS,
                [(p["id"], p["credential_id"], p["phone"], p["prompt_until"]) for p in part],
            )


def _stream(payment_id: UUID, ticket: str) -> bytes:
    return (
        f"GET /api/v1/payments/pay_{payment_id.hex}/events?ticket={ticket} HTTP/1.1\r\n"
        "Host: bench\r\nAccept: text/event-stream\r\n\r\n"
    ).encode()


def _request(token: str, payment: dict[str, Any], day: str) -> bytes:
    items = {
        "Amount": 50.0,
        "MpesaReceiptNumber": secrets.token_hex(5).upper(),
        "Balance": None,
        "TransactionDate": int(day),
        "PhoneNumber": int(payment["phone"]),
    }
    callback = {
        "MerchantRequestID": payment["merchant_request_id"],
        "CheckoutRequestID": payment["checkout_request_id"],
        "ResultCode": 0,
        "ResultDesc": "The service request is processed successfully.",
        "CallbackMetadata": {
            "Item": [
                {"Name": name} if value is None else {"Name": name, "Value": value}
                for name, value in items.items()
            ]
        },
    }
    body = json.dumps({"Body": {"stkCallback": callback}}).encode()
    head = (
        f"POST /callbacks/stk/{token} HTTP/1.1\r\nHost: bench\r\n"
        "Content-Type: application/json;charset=UTF-8\r\n"
        f"BusinessShortCode: {payment['short_code']}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


PAST: Final = """
CREATE UNLOGGED TABLE bench_past AS
    WITH who AS (
        SELECT row_number() OVER (ORDER BY short_code) - 1 AS n, id, merchant_id, short_code
        FROM milango_mpesacredential)
    SELECT g, ('01900000-' || substr(hash, 1, 4) || '-7' || substr(hash, 5, 3)
        || '-8' || substr(hash, 8, 3) || '-' || substr(hash, 11, 12))::uuid AS id, hash,
        'R' || lpad(g::text, 9, '0') AS code,
        '2547' || lpad((g::bigint * 7919 % 100000000)::text, 8, '0') AS phone,
        w.id AS credential_id, w.merchant_id, w.short_code,
        now() - interval '300 days' + g * interval '1 second' AS at
    FROM (SELECT g, md5(g::text) AS hash FROM generate_series(1, {rows}) g) one
    JOIN who w ON w.n = g % (SELECT count(*) FROM who);
"""
"""What has happened, a line for each payment. No phone comes twice, up to a hundred million."""

HISTORY: Final = {
    "milango_payment": """
INSERT INTO milango_payment (id, merchant_id, credential_id, credential_version, environment,
    short_code, party_b, amount, phone, account_reference, description, service_type, order_id,
    metadata, idempotency_key, requested_by, status, reason, confirming, late, standing,
    amount_paid, receipt_number, transaction_date, result_code, result_text, checkout_id,
    checkout_request_id, merchant_request_id, callback_token_hash, created_at, sending_at,
    prompt_until, settled_at, updated_at, checks, event_count, bodies)
SELECT id, merchant_id, credential_id, 1, 'simulator', short_code, short_code, 50, phone,
    'TABLE 7', 'Payment', 'payment', '', '{}', '', 'server',
    CASE WHEN g % 5 = 0 THEN 'Failed' ELSE 'Success' END,
    CASE WHEN g % 5 = 0 THEN 'cancelled' ELSE '' END, false, false, '$standing',
    50, code, at, '0', '', 'co_' || hash, 'ws_CO_' || hash, hash,
    repeat('0', 64), at, at, at + interval '3 minutes', at + interval '20 seconds', at, 0, 3, 0
FROM bench_past""".replace("$standing", ANSWERED),
    "milango_receipt": """
INSERT INTO milango_receipt (environment, short_code, code, payment_id, source, amount, created_at)
    SELECT 'simulator', short_code, code, id, 'callback', 50, at FROM bench_past WHERE g % 5 > 0""",
    "milango_customer": """
INSERT INTO milango_customer (id, merchant_id, phone, created_at)
    SELECT gen_random_uuid(), merchant_id, phone, at FROM bench_past WHERE g % 3 = 0""",
    "milango_paymentevent": """
INSERT INTO milango_paymentevent (id, payment_id, merchant_id, seq, type, at, data)
    SELECT gen_random_uuid(), id, merchant_id, 1, 'payment.succeeded', at, '{}' FROM bench_past""",
}
"""The rows that such a past leaves, by table."""


def main(words: list[str]) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")
    import django

    django.setup()
    if words[0] == "merchants":
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        merchants(int(words[1]))
    else:
        waiting(int(words[1]), Path(words[2]), *map(int, words[3:]))


if __name__ == "__main__":
    main(sys.argv[1:])
