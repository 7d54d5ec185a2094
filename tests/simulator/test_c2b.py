from __future__ import annotations

import hashlib
from typing import Any

import pytest

from .conftest import Merchant, password
from .shapes import bones, payload
from .test_push import AT_THE_TILL, TILL

PAYER = "254708374149"


@pytest.fixture
async def shop(merchant: Merchant) -> Merchant:
    await merchant.register()
    return merchant


async def test_it_works(shop: Merchant) -> None:
    row = await shop.pay()
    await shop.settle()
    (told,) = shop.listener.said("confirm")
    assert bones(told) == bones(payload("c2b_confirmation.paybill.masked_v2"))
    assert told["TransID"] == row["receipt"]
    assert (told["TransactionType"], told["TransAmount"]) == ("Pay Bill", "500.00")
    assert (told["BillRefNumber"], told["MSISDN"]) == ("HSE-14B", "2547 ***** 149")
    (written,) = await shop.control("GET", "transactions")
    assert (written["kind"], written["state"]) == ("counter", "completed")
    assert [each["body"] for each in written["confirmations"]] == [told]


async def test_registering_answers_in_daraja_s_spelling(merchant: Merchant) -> None:
    status, body = await merchant.register()
    assert (status, bones(body)) == (200, bones(payload("c2b_register.response")))
    (kept,) = await merchant.control("GET", "c2b")
    assert (kept["shortcode"], kept["version"]) == ("600100", "v2")


async def test_a_pushed_payment_is_confirmed_under_the_same_receipt(shop: Merchant) -> None:
    row = await shop.truth(await shop.pushed())
    await shop.settle()
    row = await shop.truth(row["checkout_request_id"])
    (told,) = shop.listener.said("confirm")
    assert bones(told) == bones(payload("c2b_confirmation.stk_originated"))
    assert (told["TransID"], told["BillRefNumber"]) == (row["receipt"], "INV-20931")
    assert len(shop.listener.heard) == 1


@pytest.mark.parametrize("story", ["vanished", "callback_lost", "other_amount", "garbled_callback"])
async def test_a_confirmation_tells_the_truth_whatever_the_callback_says(
    shop: Merchant, story: str
) -> None:
    row = await shop.play(story)
    (told,) = shop.listener.said("confirm")
    assert (told["TransID"], told["TransAmount"]) == (row["receipt"], "150.00")


async def test_what_was_not_paid_is_not_confirmed(shop: Merchant) -> None:
    await shop.play("cancelled")
    assert shop.listener.told == []
    assert await shop.control("GET", "transactions") == []


async def test_nobody_is_told_who_has_not_registered(merchant: Merchant) -> None:
    await merchant.pay()
    await merchant.settle()
    assert merchant.listener.told == []


async def test_the_balance_grows_with_each_payment(shop: Merchant) -> None:
    for amount in (500, 20):
        await shop.pay(amount=amount)
        await shop.settle()
    balances = [told["OrgAccountBalance"] for told in shop.listener.said("confirm")]
    assert balances == ["500.00", "520.00"]


async def test_a_till_is_paid_without_a_reference(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    await merchant.register(ShortCode="9318826")
    await merchant.pay(shortcode="9318826", account_reference="ignored")
    await merchant.pushed(**AT_THE_TILL)
    await merchant.settle()
    told = merchant.listener.said("confirm")
    expected = payload("c2b_confirmation.till.masked_v2")
    assert [bones(each) for each in told] == [bones(expected)] * 2
    assert {each["TransactionType"] for each in told} == {"Customer Merchant Payment"}
    assert {each["BillRefNumber"] for each in told} == {""}
    assert {each["BusinessShortCode"] for each in told} == {"9318826"}


async def test_a_till_may_be_told_by_its_store_number(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    changes = {"till_number": "store", "till_transaction_type": "Buy Goods"}
    await merchant.control("PATCH", "settings", changes)
    await merchant.register(ShortCode="5204417")
    await merchant.pay(shortcode="9318826")
    await merchant.settle()
    (told,) = merchant.listener.said("confirm")
    assert (told["BusinessShortCode"], told["TransactionType"]) == ("5204417", "Buy Goods")


@pytest.mark.parametrize(
    ("version", "mode", "said"),
    [
        ("v1", "by_version", hashlib.sha256(PAYER.encode()).hexdigest()),
        ("v2", "by_version", "2547 ***** 149"),
        ("v2", "hashed", payload("c2b_confirmation.paybill.hashed_v1")["MSISDN"]),
        ("v2", "full", PAYER),
    ],
)
async def test_the_payer_s_number_is_told_in_many_ways(
    merchant: Merchant, version: str, mode: str, said: str
) -> None:
    await merchant.control("PATCH", "settings", {"c2b_msisdn": mode})
    await merchant.register(version)
    await merchant.pay()
    await merchant.settle()
    assert merchant.listener.said("confirm")[0]["MSISDN"] == said


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("first", {"FirstName": "OTIENO", "MiddleName": "", "LastName": ""}),
        ("all", {"FirstName": "OTIENO", "MiddleName": "", "LastName": "KAMAU"}),
        ("missing", {"FirstName": "OTIENO"}),
    ],
)
async def test_names_may_be_missing(shop: Merchant, mode: str, names: dict[str, str]) -> None:
    await shop.control("PATCH", "settings", {"c2b_names": mode})
    await shop.pay()
    await shop.settle()
    (told,) = shop.listener.said("confirm")
    assert {name: told[name] for name in told if name.endswith("Name")} == names


async def test_simulate_pays_at_the_counter(shop: Merchant) -> None:
    body = payload("c2b_simulate.request.paybill") | {"ShortCode": "600100"}
    token = await shop.token()
    status, answer = await shop.post("/mpesa/c2b/v2/simulate", body, token)
    assert (status, bones(answer)) == (200, bones(payload("c2b_simulate.response")))
    await shop.settle()
    (told,) = shop.listener.said("confirm")
    assert (told["TransAmount"], told["BillRefNumber"]) == ("500.00", "HSE-14B")
    (written,) = await shop.control("GET", "transactions")
    assert written["originator_conversation_id"] == answer["OriginatorCoversationID"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ShortCode", "174379"),
        ("ShortCode", "12"),
        ("CommandID", "CustomerGift"),
        ("Amount", 0),
        ("Msisdn", "0708374149"),
        ("BillRefNumber", None),
        ("BillRefNumber", "x" * 21),
    ],
)
async def test_a_wrong_simulation_is_refused(shop: Merchant, field: str, value: Any) -> None:
    body = payload("c2b_simulate.request.paybill") | {field: value}
    status, answer = await shop.post("/mpesa/c2b/v1/simulate", body, await shop.token())
    assert (status, answer["errorMessage"]) == (400, f"Bad Request - Invalid {field}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ResponseType", "completed"),
        ("ConfirmationURL", "http://example.com/x"),
        ("ConfirmationURL", "https://example.com/M-Pesa/x"),
        ("ValidationURL", "https://example.com/executive"),
        ("ShortCode", None),
    ],
)
async def test_a_wrong_registration_is_refused(merchant: Merchant, field: str, value: Any) -> None:
    status, answer = await merchant.register(**{field: value})
    assert (status, answer["errorMessage"]) == (400, f"Bad Request - Invalid {field}")


async def test_another_app_s_short_code_cannot_be_registered(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    status, answer = await merchant.register(ShortCode="600999")
    assert (status, answer["errorMessage"]) == (400, "Bad Request - Invalid ShortCode")
    wish = {"shortcode": "600999", "phone": PAYER, "amount": 5, "account_reference": "A"}
    assert (await merchant.try_control("POST", "payments", wish))[0] == 404


async def test_production_registers_once(shop: Merchant) -> None:
    assert (await shop.register())[0] == 200
    await shop.control("PATCH", "settings", {"c2b_register_once": True})
    status, answer = await shop.register()
    expected = payload("c2b_register.error.already_registered")
    assert (status, answer["errorMessage"]) == (500, expected["errorMessage"])
    await shop.control("DELETE", "c2b/600100")
    assert (await shop.register())[0] == 200
    assert (await shop.try_control("DELETE", "c2b/600999"))[0] == 404


async def test_the_merchant_is_asked_before_a_payment(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"c2b_validation": True})
    shop.listener.reply = payload("c2b_validation.accept.third_party_id")
    row = await shop.pay()
    await shop.settle()
    (asked,), (told,) = shop.listener.said("validate"), shop.listener.said("confirm")
    assert bones(asked) == bones(payload("c2b_validation.request"))
    assert asked["TransID"] == told["TransID"] == row["receipt"]
    assert (asked["OrgAccountBalance"], told["OrgAccountBalance"]) == ("", "500.00")
    assert told["ThirdPartyTransID"] == shop.listener.reply["ThirdPartyTransID"]


async def test_a_rejected_payment_moves_nothing(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"c2b_validation": True})
    shop.listener.reply = payload("c2b_validation.reject.invalid_account")
    row = await shop.pay()
    await shop.settle()
    assert shop.listener.said("confirm") == []
    assert row["state"] == "declined"
    told = await shop.status(row["receipt"])
    status = {
        item["Key"]: item.get("Value") for item in told["ResultParameters"]["ResultParameter"]
    }
    assert status["TransactionStatus"] == "Declined"


async def test_a_rejected_push_ends_with_2007(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"c2b_validation": True})
    shop.listener.reply = payload("c2b_validation.reject.other")
    row = await shop.play("paid")
    assert (row["state"], row["result_code"], row["receipt"]) == ("failed", "2007", None)
    assert shop.listener.heard[0]["ResultCode"] == 2007
    (written,) = await shop.control("GET", "transactions")
    assert written["state"] == "declined"


@pytest.mark.parametrize(
    ("response_type", "state"), [("Completed", "completed"), ("Cancelled", "declined")]
)
async def test_silence_is_what_was_registered(
    merchant: Merchant, response_type: str, state: str
) -> None:
    changes = {"c2b_validation": True, "validation_timeout_s": 0.05}
    await merchant.control("PATCH", "settings", changes)
    await merchant.register(ResponseType=response_type)
    merchant.listener.slowness = 0.5
    assert (await merchant.pay())["state"] == state
    merchant.listener.slowness = 0
    merchant.listener.reply = ["nonsense"]
    assert (await merchant.pay())["state"] == state


@pytest.mark.parametrize(("faults", "copies"), [({"drop": 1}, 0), ({"twice": 1}, 2)])
async def test_confirmations_get_lost_and_come_twice(
    shop: Merchant, faults: dict[str, Any], copies: int
) -> None:
    await shop.control("PATCH", "settings", {"confirmation_faults": faults})
    await shop.pay()
    await shop.settle()
    assert len(shop.listener.said("confirm")) == copies


async def test_a_late_confirmation_comes_after_a_later_one(shop: Merchant) -> None:
    faults = {"late": 1, "late_s": [20, 20]}
    await shop.control("PATCH", "settings", {"confirmation_faults": faults})
    first = await shop.pay()
    await shop.control("PATCH", "settings", {"confirmation_faults": {}})
    second = await shop.pay()
    await shop.settle()
    order = [told["TransID"] for told in shop.listener.said("confirm")]
    assert order == [second["receipt"], first["receipt"]]


async def test_a_confirmation_may_come_before_the_callback(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"confirmation_first": 1})
    await shop.play("paid")
    assert [b"TransID" in raw for raw in shop.listener.raw] == [True, False]


async def _lost(merchant: Merchant, seed: int) -> list[bool]:
    await merchant.control("POST", "reset", {"keep_settings": True})
    await merchant.control("POST", "random", {"seed": seed, "weights": {"paid": 1}})
    await merchant.register()
    for n in range(20):
        await merchant.pay(amount=10 + n)
    await merchant.settle()
    rows = await merchant.control("GET", "transactions")
    return [not row["confirmations"] for row in rows]


async def test_chance_loses_the_same_confirmations_for_a_seed(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"confirmation_faults": {"drop": 0.5}})
    first = await _lost(shop, 7)
    assert first == await _lost(shop, 7)
    assert first != await _lost(shop, 8)
    assert 0 < first.count(True) < 20


async def test_a_payment_in_the_past_has_a_receipt_of_its_day(shop: Merchant) -> None:
    today, earlier = await shop.pay(), await shop.pay(ago_s=86_400)
    assert today["receipt"][:3] != earlier["receipt"][:3]
    assert earlier["completed_at"] < today["completed_at"]


@pytest.mark.parametrize(
    "wrong",
    [{"phone": "12"}, {"amount": 0}, {"amount": 250_001}, {"account_reference": " "}],
)
async def test_a_payment_that_cannot_be_is_told(shop: Merchant, wrong: dict[str, Any]) -> None:
    wish = {"shortcode": "600100", "phone": PAYER, "amount": 5, "account_reference": "A"} | wrong
    assert (await shop.try_control("POST", "payments", wish))[0] == 400
    assert await shop.control("GET", "transactions") == []


async def test_two_shops_are_told_of_their_own_payments(shop: Merchant) -> None:
    await shop.register(ShortCode="600200", ConfirmationURL=shop.listener.at("other"))
    await shop.pushed(BusinessShortCode="600200", PartyB="600200", Password=password("600200"))
    await shop.settle()
    assert shop.listener.said("confirm") == []
    assert len(shop.listener.said("other")) == 1
