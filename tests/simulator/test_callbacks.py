from __future__ import annotations

import re
import socket
from datetime import datetime

from milango.simulator.ids import EAT

from .conftest import Merchant


async def test_it_works(merchant: Merchant) -> None:
    row = await merchant.play("paid")
    assert row["callbacks"][0]["body"] == {"Body": {"stkCallback": merchant.listener.heard[0]}}
    said = merchant.listener.heard[0]
    assert said["MerchantRequestID"] == row["merchant_request_id"]
    assert said["ResultCode"] == 0
    assert said["CallbackMetadata"]["Item"] == [
        {"Name": "Amount", "Value": 150.0},
        {"Name": "MpesaReceiptNumber", "Value": row["receipt"]},
        {
            "Name": "TransactionDate",
            "Value": int(datetime.fromisoformat(row["ended_at"]).strftime("%Y%m%d%H%M%S")),
        },
        {"Name": "PhoneNumber", "Value": 254711000001},
    ]


async def test_the_headers_are_daraja_s(merchant: Merchant) -> None:
    await merchant.play("paid")
    (headers,) = merchant.listener.headers
    assert headers["Content-Type"] == "application/json;charset=UTF-8"
    assert headers["BusinessShortCode"] == "600100"


async def test_a_receipt_begins_with_the_day_in_nairobi(merchant: Merchant) -> None:
    row = await merchant.play("paid")
    today = datetime.now(EAT)
    year = chr(ord("S") + today.year - 2024)
    month = chr(ord("A") + today.month - 1)
    day = "123456789ABCDEFGHIJKLMNOPQRSTUV"[today.day - 1]
    assert re.fullmatch(f"{year}{month}{day}[A-Z0-9]{{7}}", row["receipt"])


async def test_an_item_without_value(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"metadata": "balance"})
    await merchant.play("paid")
    assert {"Name": "Balance"} in merchant.listener.heard[0]["CallbackMetadata"]["Item"]


async def test_a_whole_amount(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"metadata": "integer"})
    await merchant.play("paid")
    assert b'"Value":150}' in merchant.listener.raw[0]


async def test_nobody_at_home_is_noted_and_not_tried_again(merchant: Merchant) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        merchant.listener.url = f"http://127.0.0.1:{free.getsockname()[1]}/x"
        row = await merchant.play("paid")
    (delivery,) = row["callbacks"]
    assert (delivery["status"], delivery["error"]) == (None, "ClientConnectorError")


async def test_source_and_headers_can_be_set(merchant: Merchant) -> None:
    changes = {"callback_source": "127.0.0.9", "callback_headers": {"X-Forwarded-For": "1.2.3.4"}}
    await merchant.control("PATCH", "settings", changes)
    await merchant.play("paid")
    assert merchant.listener.peers == ["127.0.0.9"]
    assert merchant.listener.headers[0]["X-Forwarded-For"] == "1.2.3.4"
