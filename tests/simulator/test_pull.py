from __future__ import annotations

from typing import Any

import pytest

from .conftest import Merchant
from .shapes import bones, payload
from .test_push import AT_THE_TILL, TILL

HOUR = 3600


@pytest.fixture
async def shop(merchant: Merchant) -> Merchant:
    await merchant.register_pull()
    return merchant


async def rows(shop: Merchant, **wish: Any) -> list[dict[str, Any]]:
    status, body = await shop.pull(**wish)
    assert status == 200, body
    (page,) = body["Response"]
    return list(page)


async def test_it_works(shop: Merchant) -> None:
    counter = await shop.pay()
    checkout = await shop.pushed()
    await shop.settle()
    status, body = await shop.pull()
    assert (status, bones(body)) == (200, bones(payload("pull_query.response")))
    pushed = await shop.truth(checkout)
    said = [(row["transactionId"], row["amount"]) for row in body["Response"][0]]
    assert said == [(pushed["receipt"], "150.0"), (counter["receipt"], "500.0")]
    row = body["Response"][0][0]
    assert (row["msisdn"], row["billreference"]) == (254708374149, "INV-20931")
    assert row["trxDate"][:19] == pushed["ended_at"][:19]


async def test_nothing_is_1001_and_a_list_in_a_list(shop: Merchant) -> None:
    status, body = await shop.pull()
    expected = payload("pull_query.response.empty")
    assert (status, body["ResponseCode"], body["Response"]) == (200, "1001", expected["Response"])


async def test_registering_twice_is_told(merchant: Merchant) -> None:
    first, second = await merchant.register_pull(), await merchant.register_pull()
    assert (first[0], bones(first[1])) == (200, bones(payload("pull_register.response")))
    assert (first[1]["ResponseStatus"], second[1]["ResponseStatus"]) == ("1000", "1001")


async def test_the_answer_s_keys_may_have_spaces(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"pull_spaced_keys": True})
    _, body = await shop.register_pull()
    expected = payload("pull_register.response.spaced_keys")
    assert body | {"ResponseRefID": "", "ShortCode": ""} == expected | {
        "ResponseRefID": "",
        "ShortCode": "",
    }


async def test_who_has_not_registered_pulls_nothing(merchant: Merchant) -> None:
    status, body = await merchant.pull()
    assert (status, body["errorCode"]) == (400, "400.001")


async def test_what_is_older_than_48_hours_is_gone(shop: Merchant) -> None:
    await shop.pay(ago_s=49 * HOUR)
    kept = await shop.pay(ago_s=47 * HOUR)
    assert [row["transactionId"] for row in await rows(shop, hours=100)] == [kept["receipt"]]
    assert await rows(shop, hours=24) == []


async def test_pages_are_offsets_of_rows(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"pull_page": 2})
    paid = [(await shop.pay(ago_s=HOUR - n))["receipt"] for n in range(5)]
    pages = [await rows(shop, OffSetValue=offset) for offset in (0, "2", 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert [row["transactionId"] for page in pages for row in page] == paid[::-1]


async def test_a_payment_without_any_message_is_in_it(shop: Merchant) -> None:
    row = await shop.play("vanished")
    assert [each["transactionId"] for each in await rows(shop)] == [row["receipt"]]


async def test_what_was_not_paid_is_not_in_it(shop: Merchant) -> None:
    await shop.play("cancelled")
    assert await rows(shop) == []


async def test_a_till_is_pulled_by_either_number(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    await merchant.register_pull(ShortCode="9318826")
    await merchant.pushed(**AT_THE_TILL)
    await merchant.settle()
    (by_till,) = await rows(merchant, ShortCode="9318826")
    (by_store,) = await rows(merchant, ShortCode="5204417")
    assert by_till == by_store
    assert (by_till["transactiontype"], by_till["organizationname"]) == (
        "c2b-buy-goods-debit",
        "The Bar",
    )


async def test_another_app_s_rows_are_not_shown(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    assert (await merchant.register_pull(ShortCode="600999"))[1]["errorCode"] == "400.001"
    assert (await merchant.pull(ShortCode="600999"))[1]["errorCode"] == "400.001"


async def test_the_payer_s_number_may_be_masked(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"pull_msisdn": "masked"})
    await shop.pay()
    assert [row["msisdn"] for row in await rows(shop)] == ["2547 ***** 149"]


async def test_the_documents_say_get(shop: Merchant) -> None:
    body = payload("pull_query.request") | {"ShortCode": "600100"}
    headers = {"Authorization": f"Bearer {await shop.token()}"}
    address = f"{shop.address}/pulltransactions/v1/query"
    async with shop.http.get(address, json=body, headers=headers) as answer:
        assert (answer.status, (await answer.json())["ResponseCode"]) == (200, "1001")
    async with shop.http.put(address, json=body, headers=headers) as answer:
        assert answer.status == 405


@pytest.mark.parametrize(
    ("field", "value"),
    [("StartDate", "2026-03-14"), ("EndDate", None), ("OffSetValue", "-1"), ("ShortCode", "12")],
)
async def test_a_wrong_field_is_named(shop: Merchant, field: str, value: Any) -> None:
    status, body = await shop.pull(**{field: value})
    assert (status, body["errorMessage"]) == (400, f"Bad Request - Invalid {field}")


async def test_a_pull_may_fail(shop: Merchant) -> None:
    await shop.control("PATCH", "settings", {"pull_fails": 1})
    assert (await shop.pull())[1]["errorCode"] == "500.003.1001"


async def test_a_dead_token_pulls_nothing(shop: Merchant) -> None:
    status, body = await shop.post("/pulltransactions/v1/query", {}, "none")
    assert (status, body["errorCode"]) == (401, "401.001")
