from __future__ import annotations

from .conftest import Merchant


async def test_it_works(merchant: Merchant) -> None:
    checkout = await merchant.pushed()
    await merchant.settle()
    status, body = await merchant.query(checkout)
    assert status == 200
    assert body.pop("MerchantRequestID")
    assert body == {
        "ResponseCode": "0",
        "ResponseDescription": "The service request has been accepted successsfully",
        "CheckoutRequestID": checkout,
        "ResultCode": "0",
        "ResultDesc": "The service request is processed successfully.",
    }


async def test_while_pending_it_says_4999_and_processing_in_turn(merchant: Merchant) -> None:
    checkout = await merchant.pushed("254711000001")
    first, second, third = [await merchant.query(checkout) for _ in range(3)]
    assert (first[0], first[1]["ResultCode"]) == (200, "4999")
    assert (second[0], second[1]["errorMessage"]) == (500, "The transaction is being processed")
    assert third[1]["ResultCode"] == "4999"


async def test_a_failure_is_told_in_the_words_of_queries(merchant: Merchant) -> None:
    row = await merchant.play("cancelled")
    _, body = await merchant.query(row["checkout_request_id"])
    assert (body["ResultCode"], body["ResultDesc"]) == ("1032", "Request Cancelled by user.")


async def test_an_unknown_id_does_not_exist(merchant: Merchant) -> None:
    status, body = await merchant.query("ws_CO_14032026101531204708374149")
    assert (status, body["errorCode"]) == (500, "500.001.1001")
    assert body["errorMessage"] == "The transaction does not Exist"


async def test_a_dead_token_has_the_code_of_this_api(merchant: Merchant) -> None:
    status, body = await merchant.query("ws_CO_1", token="dead")
    assert (status, body["errorCode"]) == (400, "400.003.01")


async def test_blank_messages_come_with_http_200(merchant: Merchant) -> None:
    row = await merchant.play("query_blank")
    checkout = row["checkout_request_id"]
    answers = [await merchant.query(checkout) for _ in range(4)]
    assert [(status, body.get("errorMessage")) for status, body in answers[:3]] == [(200, "")] * 3
    assert answers[3][1]["ResultCode"] == "0"


async def test_a_false_query_is_followed_by_the_truth(merchant: Merchant) -> None:
    row = await merchant.play("false_query")
    codes = [(await merchant.query(row["checkout_request_id"]))[1]["ResultCode"] for _ in range(3)]
    assert codes == ["1037", "1037", "0"]
    assert row["state"] == "paid"


async def test_a_share_of_blanks_can_be_set(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"blank_query_share": 1})
    row = await merchant.play("paid")
    status, body = await merchant.query(row["checkout_request_id"])
    assert (status, body["errorCode"], body["errorMessage"]) == (200, "500.001.1001", "")
