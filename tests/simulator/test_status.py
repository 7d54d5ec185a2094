from __future__ import annotations

import re
from typing import Any

import pytest

from .conftest import Merchant
from .shapes import bones, payload

APP = {
    "consumer_key": "a-key",
    "consumer_secret": "a-secret",
    "shortcodes": [
        {
            "shortcode": "600100",
            "passkey": "a-passkey-of-our-own",
            "name": "The Shop",
            "initiator": "asker",
            "initiator_password": "a-password",
        },
        {
            "shortcode": "600200",
            "passkey": "another",
            "initiator": "asker",
            "initiator_password": "a-password",
        },
    ],
}


def parameters(result: dict[str, Any]) -> dict[str, Any]:
    items = result["ResultParameters"]["ResultParameter"]
    return {item["Key"]: item.get("Value") for item in items}


@pytest.fixture
async def shop(merchant: Merchant) -> Merchant:
    await merchant.control("POST", "apps", APP)
    return merchant


async def paid(shop: Merchant, phone: str = "254708374149") -> dict[str, Any]:
    checkout = await shop.pushed(phone)
    await shop.settle()
    return await shop.truth(checkout)


async def test_it_works(shop: Merchant) -> None:
    row = await paid(shop)
    status, ack = await shop.ask_status(row["receipt"])
    assert status == 200
    assert bones(ack) == bones(payload("transaction_status.response"))
    assert re.fullmatch(r"AG_\d{8}_[0-9a-f]{20}", ack["ConversationID"])
    await shop.settle()
    (told,) = shop.listener.said("result")
    assert bones(told) == bones(payload("transaction_status.result.completed"))
    assert told["Result"]["ConversationID"] == ack["ConversationID"]
    facts = parameters(told["Result"])
    assert facts["TransactionStatus"] == "Completed"
    assert (facts["Amount"], facts["ReceiptNo"]) == (150.0, row["receipt"])
    assert facts["OriginatorConversationID"] == row["merchant_request_id"]
    assert facts["CreditPartyName"] == "600100 - The Shop"
    assert facts["DebitPartyName"].startswith("254708374149 - ")


async def test_a_receipt_that_nobody_has_is_not_found(shop: Merchant) -> None:
    told = await shop.status("UCE3P9W8ZA", Occasion="recon")
    assert bones({"Result": told}) == bones(payload("transaction_status.result.not_found"))
    assert told["ResultCode"] == 2033


async def test_receipts_of_another_short_code_are_not_told(shop: Merchant) -> None:
    row = await paid(shop)
    assert (await shop.status(row["receipt"], PartyA="600200"))["ResultCode"] == 2033
    assert (await shop.status(row["receipt"], PartyA="600300"))["ResultCode"] == 21


@pytest.mark.parametrize("name", ["OriginalConversationID", "OriginatorConversationID"])
@pytest.mark.parametrize(
    ("phone", "said"),
    [
        ("254708374149", "Completed"),
        ("254708374150", "Cancelled"),
        ("254708374153", "Expired"),
        ("254708374152", "Declined"),
    ],
)
async def test_a_push_is_found_by_its_merchant_request_id(
    shop: Merchant, name: str, phone: str, said: str
) -> None:
    row = await paid(shop, phone)
    told = await shop.status("", **{name: row["merchant_request_id"]})
    assert (told["ResultCode"], parameters(told)["TransactionStatus"]) == (0, said)
    await shop.control("PATCH", "settings", {"status_by_merchant_request_id": False})
    told = await shop.status("", **{name: row["merchant_request_id"]})
    assert told["ResultCode"] == 2033


async def test_an_open_push_is_not_final(shop: Merchant) -> None:
    checkout = await shop.pushed("254711000001")
    row = await shop.truth(checkout)
    told = await shop.status("", OriginalConversationID=row["merchant_request_id"])
    facts = parameters(told)
    assert (facts["TransactionStatus"], facts["FinalisedTime"]) == ("Initiated", None)
    assert facts["ReceiptNo"].endswith("0000000")


async def test_asking_for_nothing_is_25(shop: Merchant) -> None:
    told = await shop.status("", Occasion="recon")
    assert bones({"Result": told}) == bones(payload("transaction_status.result.bad_parameter"))
    assert told["ResultCode"] == 25


async def test_a_wrong_password_is_told_in_the_result(shop: Merchant) -> None:
    row = await paid(shop)
    told = await shop.status(row["receipt"], operator="wrong", Occasion="recon")
    assert bones({"Result": told}) == bones(payload("transaction_status.result.initiator_invalid"))
    assert told["ResultCode"] == 2001
    assert (await shop.status(row["receipt"], Initiator="other"))["ResultCode"] == 2001
    assert (await shop.status(row["receipt"], SecurityCredential="plain"))["ResultCode"] == 2001


async def test_three_wrong_passwords_lock_until_somebody_unlocks(shop: Merchant) -> None:
    row = await paid(shop)
    codes = [(await shop.status(row["receipt"], operator="x"))["ResultCode"] for _ in range(4)]
    assert codes == [2001, 2001, 2001, 8006]
    assert (await shop.status(row["receipt"]))["ResultCode"] == 8006
    who = {"shortcode": "600100", "initiator": "asker"}
    assert await shop.control("GET", "initiators") == [who | {"wrong": 3, "locked": True}]
    await shop.control("POST", "initiators/unlock", who)
    assert (await shop.status(row["receipt"]))["ResultCode"] == 0


async def test_a_right_password_forgives_the_wrong_ones(shop: Merchant) -> None:
    row = await paid(shop)
    for password in ("x", "x", "a-password", "x", "x"):
        last = await shop.status(row["receipt"], operator=password)
    assert last["ResultCode"] == 2001
    assert (await shop.status(row["receipt"]))["ResultCode"] == 0


async def test_an_open_simulator_asks_for_no_password(merchant: Merchant) -> None:
    row = await paid(merchant)
    assert (await merchant.status(row["receipt"], operator="any"))["ResultCode"] == 0
    told = await merchant.status(row["receipt"], SecurityCredential="plain")
    assert told["ResultCode"] == 2001


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Initiator", ""),
        ("SecurityCredential", None),
        ("CommandID", "TransactionReversal"),
        ("PartyA", "12"),
        ("IdentifierType", "7"),
        ("ResultURL", "http://example.com/x"),
        ("QueueTimeOutURL", None),
        ("Remarks", "x" * 101),
    ],
)
async def test_a_wrong_field_is_named_at_once(shop: Merchant, field: str, value: Any) -> None:
    status, body = await shop.ask_status("UCE3P9W8ZA", **{field: value})
    assert (status, body["errorCode"]) == (400, "400.002.02")
    assert body["errorMessage"] == f"Bad Request - Invalid {field}"
    assert await shop.control("GET", "inquiries") == []


async def test_a_dead_token_asks_nothing(shop: Merchant) -> None:
    status, body = await shop.post("/mpesa/transactionstatus/v1/query", {}, "none")
    assert (status, body["errorCode"]) == (400, "400.003.01")


async def test_numbers_may_be_texts_and_objects_lists(shop: Merchant) -> None:
    row = await paid(shop)
    await shop.control("PATCH", "settings", {"result_shape": "texts"})
    told = await shop.status(row["receipt"])
    assert (told["ResultType"], told["ResultCode"]) == ("0", "0")
    assert told["ReferenceData"] == {"ReferenceItem": [{"Key": "Occasion"}]}
    assert parameters(told)["Amount"] == "150.00"
    assert all(isinstance(value, str | None) for value in parameters(told).values())


async def test_one_parameter_may_stand_without_its_list(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"result_shape": "single"})
    told = await shop.status("UCE3P9W8ZA")
    assert told["ResultParameters"]["ResultParameter"]["Key"] == "BOCompletedTime"


async def test_a_queue_timeout_says_nothing_about_the_payment(shop: Merchant) -> None:
    row = await paid(shop)
    await shop.control("PATCH", "settings", {"queue_timeout_share": 1})
    await shop.ask_status(row["receipt"])
    await shop.settle()
    assert shop.listener.said("result") == []
    (told,) = shop.listener.said("timeout")
    assert bones(told) == bones(payload("async_queue_timeout"))
    (inquiry,) = await shop.control("GET", "inquiries")
    assert (inquiry["timed_out"], inquiry["result_code"]) == (True, None)


@pytest.mark.parametrize(("faults", "copies"), [({"drop": 1}, 0), ({"twice": 1}, 2)])
async def test_results_get_lost_and_come_twice(
    shop: Merchant, faults: dict[str, Any], copies: int
) -> None:
    row = await paid(shop)
    await shop.control("PATCH", "settings", {"result_faults": faults})
    await shop.ask_status(row["receipt"])
    await shop.settle()
    assert len(shop.listener.said("result")) == copies
    (inquiry,) = await shop.control("GET", "inquiries")
    assert (inquiry["transaction_status"], len(inquiry["deliveries"])) == ("Completed", copies)


async def test_a_lost_answer_is_followed_by_its_result(shop: Merchant) -> None:
    row = await paid(shop)
    await shop.control("PATCH", "settings", {"status_answer_lost": 1})
    status, body = await shop.ask_status(row["receipt"])
    assert (status, type(body)) == (504, str)
    await shop.settle()
    (told,) = shop.listener.said("result")
    assert parameters(told["Result"])["ReceiptNo"] == row["receipt"]


async def test_the_book_holds_what_moved_and_nothing_else(shop: Merchant) -> None:
    row = await paid(shop, "254708374165")
    await paid(shop, "254708374150")
    (written,) = await shop.control("GET", "transactions")
    assert (written["receipt"], written["amount"]) == (row["receipt"], 150)
    assert await shop.control("GET", "transactions?kind=reversal") == []
