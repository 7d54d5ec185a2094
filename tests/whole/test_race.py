"""Sixty payments, everything at once: retries, repeated and contrary callbacks, polls."""

from __future__ import annotations

import json
import random
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

from milango.models import AccessGrant, Payment, Receipt
from tests.people import make_key

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

PAYMENTS = 60
SAME_AT_ONCE = 6
CANCELLED_EVERY = 4


def test_sixty_payments_at_once_end_right_with_one_prompt_and_one_grant_each(
    call, daraja, paybill
) -> None:
    _, key = make_key(paybill.merchant)
    daraja.settings(prompt_life_s=600)
    phones = [f"2547100000{number:02}" for number in range(PAYMENTS)]

    def ask(phone: str):
        body = {
            "phone_number": phone,
            "amount": 50,
            "shortcode": paybill.short_code,
            "service_type": "captive_portal",
        }
        headers = {"Idempotency-Key": f"order-of-{phone}"}
        return call("POST", "/api/v1/stk-push", body, key=key, headers=headers)

    with ThreadPoolExecutor(24) as pool:
        answers = list(pool.map(ask, [phone for phone in phones for _ in range(SAME_AT_ONCE)]))
    assert {status for status, _ in answers} == {202}
    named = {body["id"]: body for _, body in answers}
    assert len(named) == PAYMENTS
    rows = {row["phone"]: row for row in daraja.ledger()}
    assert len(daraja.ledger()) == PAYMENTS == len(rows), "one prompt each"

    chance = random.Random(7)
    work = [job for phone in phones for job in jobs(phone, rows[phone], named)]
    chance.shuffle(work)
    with ThreadPoolExecutor(24) as pool:
        results = list(pool.map(lambda job: do(call, key, job), work))
    assert set(results) == {200}

    for payment in Payment.objects.all():
        paid = is_paid(payment.phone)
        assert payment.status == ("Success" if paid else "Failed"), payment.phone
        assert AccessGrant.objects.filter(payment=payment).count() == int(paid)
        assert Receipt.objects.filter(payment=payment).count() == int(paid)


def is_paid(phone: str) -> bool:
    return int(phone[-2:]) % CANCELLED_EVERY != 0


def jobs(phone: str, row: dict, named: dict):
    """What arrives for one payment, in no order: its callbacks twice, contrary ones, polls."""
    checkout_id = next(b["checkout_id"] for b in named.values() if b["phone_number"] == phone)
    polls = [("poll", checkout_id)] * 2
    cancelled = ("callback", row["callback_url"], callback(row, 1032))
    if not is_paid(phone):
        return [cancelled, cancelled, *polls]
    paid = ("callback", row["callback_url"], callback(row, 0))
    return [paid, paid, cancelled, *polls]


def callback(row: dict, code: int) -> bytes:
    said = {
        "MerchantRequestID": row["merchant_request_id"],
        "CheckoutRequestID": row["checkout_request_id"],
        "ResultCode": code,
        "ResultDesc": "as it was",
    }
    if code == 0:
        items = {
            "Amount": 50.0,
            "MpesaReceiptNumber": f"UCE{row['phone'][-7:]}",
            "PhoneNumber": int(row["phone"]),
        }
        said["CallbackMetadata"] = {
            "Item": [{"Name": name, "Value": value} for name, value in items.items()]
        }
    return json.dumps({"Body": {"stkCallback": said}}).encode()


def do(call, key: str, job: tuple) -> int:
    if job[0] == "poll":
        return call("GET", f"/api/v1/payments/status/{job[1]}", key=key)[0]
    request = urllib.request.Request(job[1], job[2], {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.status
