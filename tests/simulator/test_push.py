from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import Merchant, password

TILL = {
    "consumer_key": "a-key",
    "consumer_secret": "a-secret",
    "name": "Two Doors",
    "shortcodes": [
        {"shortcode": "600100", "passkey": "a-passkey-of-our-own", "name": "The Shop"},
        {
            "shortcode": "5204417",
            "kind": "till",
            "party_b": "9318826",
            "passkey": "a-passkey-of-our-own",
            "name": "The Bar",
        },
    ],
}
AT_THE_TILL: dict[str, Any] = {
    "BusinessShortCode": 5204417,
    "PartyB": 9318826,
    "TransactionType": "CustomerBuyGoodsOnline",
    "Password": password("5204417"),
}


async def test_it_works(merchant: Merchant) -> None:
    status, body = await merchant.push()
    assert status == 200
    assert body["ResponseCode"] == "0"
    assert body["ResponseDescription"] == "Success. Request accepted for processing"
    assert body["CustomerMessage"] == body["ResponseDescription"]
    assert re.fullmatch(r"ws_CO_\d{14}\d{1,3}708374149", body["CheckoutRequestID"])
    assert re.fullmatch(
        r"[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\d+", body["MerchantRequestID"]
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("BusinessShortCode", "12"),
        ("BusinessShortCode", None),
        ("Timestamp", "20261399101530"),
        ("Timestamp", "2026"),
        ("TransactionType", "CustomerGift"),
        ("Amount", 0),
        ("Amount", "1.5"),
        ("Amount", -5),
        ("Amount", True),
        ("Amount", 250_001),
        ("PhoneNumber", "0708374149"),
        ("PhoneNumber", "254608374149"),
        ("PartyA", None),
        ("CallBackURL", "http://pay.example.com/hooks"),
        ("CallBackURL", "https://Pay.example.com/hooks"),
        ("CallBackURL", "https://pay.example.com/a b"),
        ("CallBackURL", ""),
        ("AccountReference", "THIRTEEN-LONG"),
        ("AccountReference", None),
        ("TransactionDesc", "fourteen chars"),
    ],
)
async def test_a_bad_field_is_named(merchant: Merchant, field: str, value: Any) -> None:
    status, body = await merchant.push(**{"PhoneNumber": "254708374149", field: value})
    assert (status, body["errorCode"]) == (400, "400.002.02")
    assert body["errorMessage"] == f"Bad Request - Invalid {field}"
    assert body["requestId"]
    assert await merchant.control("GET", "ledger") == []


async def test_numbers_are_as_good_as_texts(merchant: Merchant) -> None:
    checkout = await merchant.pushed(
        BusinessShortCode=600100, Amount="150", PartyB=600100, PhoneNumber=254110000123
    )
    assert (await merchant.truth(checkout))["phone"] == "254110000123"


async def test_the_description_may_be_missing(merchant: Merchant) -> None:
    assert (await merchant.push(TransactionDesc=None))[0] == 200


async def test_a_form_lacks_its_first_field(merchant: Merchant) -> None:
    headers = {"Authorization": f"Bearer {await merchant.token()}"}
    address = f"{merchant.address}/mpesa/stkpush/v1/processrequest"
    async with merchant.http.post(address, data={"Amount": "1"}, headers=headers) as answer:
        body = await answer.json()
    assert body["errorMessage"] == "Bad Request - Invalid BusinessShortCode"


@pytest.mark.parametrize("raw", [b"{", b"[]", b"[" * 60_000, b"\xff", b" " * 70_000])
async def test_what_is_no_json_object_is_refused(merchant: Merchant, raw: bytes) -> None:
    headers = {
        "Authorization": f"Bearer {await merchant.token()}",
        "Content-Type": "application/json",
    }
    address = f"{merchant.address}/mpesa/stkpush/v1/processrequest"
    async with merchant.http.post(address, data=raw, headers=headers) as answer:
        body = await answer.json()
    assert (answer.status, body["errorCode"]) == (400, "400.002.05")


async def test_a_missing_bearer_is_an_invalid_header(merchant: Merchant) -> None:
    address = f"{merchant.address}/mpesa/stkpush/v1/processrequest"
    async with merchant.http.post(address, json=merchant.push_body()) as answer:
        body = await answer.json()
    assert (answer.status, body["errorCode"]) == (404, "404.001.04")


async def test_get_is_not_allowed_and_other_paths_do_not_exist(merchant: Merchant) -> None:
    address = f"{merchant.address}/mpesa/stkpush/v1/processrequest"
    async with merchant.http.get(address) as answer:
        body = await answer.json()
    assert (answer.status, body["errorMessage"]) == (405, "GET Method Not Allowed")
    status, body = await merchant.post("/mpesa/stkpush/v9/processrequest", {}, "none")
    assert (status, body["errorCode"]) == (404, "404.001.01")


async def test_a_malformed_password_is_refused_in_open_mode(merchant: Merchant) -> None:
    status, body = await merchant.push(Password=password("600101"))
    assert (status, body["errorCode"]) == (500, "500.001.1001")
    assert body["errorMessage"] == "[MerchantValidate] - Wrong credentials"


async def test_a_registered_passkey_is_compared(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    status, body = await merchant.push(Password=password(passkey="another"))
    assert (status, body["errorMessage"]) == (500, "[MerchantValidate] - Wrong credentials")
    assert (await merchant.push())[0] == 200


async def test_another_app_s_short_code_does_not_exist(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    status, body = await merchant.push(BusinessShortCode="600999", Password=password("600999"))
    assert (status, body["errorMessage"]) == (500, "Merchant does not exist")


async def test_a_till_is_paid_through_its_store_number(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    checkout = await merchant.pushed(**AT_THE_TILL)
    await merchant.settle()
    row = await merchant.truth(checkout)
    assert (row["state"], row["business_short_code"], row["party_b"]) == (
        "paid",
        "5204417",
        "9318826",
    )


@pytest.mark.parametrize(
    "wrong", [{"PartyB": 5204417}, {"TransactionType": "CustomerPayBillOnline"}]
)
async def test_a_wrong_pairing_ends_with_2028(merchant: Merchant, wrong: dict[str, Any]) -> None:
    await merchant.control("POST", "apps", TILL)
    checkout = await merchant.pushed(**(AT_THE_TILL | wrong))
    await merchant.settle()
    assert (await merchant.truth(checkout))["result_code"] == "2028"
    assert merchant.listener.heard[0]["ResultCode"] == 2028


async def test_the_sandbox_pay_bill_sells_no_goods(merchant: Merchant) -> None:
    status, body = await merchant.push(
        BusinessShortCode="174379",
        PartyB="174379",
        Password=password("174379"),
        TransactionType="CustomerBuyGoodsOnline",
    )
    assert (status, body["errorMessage"]) == (400, "Bad Request - Invalid TransactionType")


async def test_one_prompt_per_phone(merchant: Merchant) -> None:
    await merchant.pushed("254711000001")
    status, body = await merchant.push("254711000001", Amount=20)
    assert (status, body["errorCode"]) == (500, "500.001.1001")
    assert body["errorMessage"].startswith("Unable to lock subscriber")
    assert (await merchant.push("254711000002"))[0] == 200


async def test_the_same_amount_again_within_two_minutes_ends_with_17(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"duplicate_window_s": 6000})
    await merchant.pushed()
    await merchant.settle()
    again = await merchant.pushed()
    other = await merchant.pushed("254708374162")
    await merchant.settle()
    assert (await merchant.truth(again))["result_code"] == "17"
    assert (await merchant.truth(other))["state"] == "paid"
    assert [said["ResultCode"] for said in merchant.listener.heard].count(17) == 1


async def test_a_cancelled_prompt_may_be_repeated_at_once(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"duplicate_window_s": 6000})
    phone = "254711000001"
    await merchant.control("POST", "stories", {"phone": phone, "story": "cancelled", "times": 1})
    await merchant.control("POST", "random", {"seed": 1, "weights": {"paid": 1}})
    await merchant.pushed(phone)
    await merchant.settle()
    again = await merchant.pushed(phone)
    await merchant.settle()
    assert (await merchant.truth(again))["state"] == "paid"


async def test_the_limit_may_also_speak_in_the_callback(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"over_limit": "callback"})
    checkout = await merchant.pushed(Amount=250_001)
    await merchant.settle()
    assert (await merchant.truth(checkout))["result_code"] == "3"


async def test_too_many_a_second_meet_spike_arrest(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"max_tps": 1})
    token = await merchant.token()
    answers = [await merchant.push(f"25471100000{n}", token=token) for n in range(4)]
    refused = [body["errorMessage"] for status, body in answers if status == 500]
    assert "Error Occurred: Spike Arrest Violation" in refused
