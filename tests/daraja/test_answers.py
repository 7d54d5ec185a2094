"""What each answer of Daraja means: yes, no, not now, or unknown."""

from __future__ import annotations

import json

import pytest

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent
from milango.core.payments import Outcome
from milango.daraja.answers import InvalidToken, read_push, read_query, read_token
from tests.daraja.payloads import CHECKOUT, names, payload

PAGE = b"<html><head><title>403 Forbidden</title></head><body>Request blocked</body></html>"

PUSH_ERRORS = {
    "stk_push.error.internal": (500, DarajaSilent),
    "stk_push.error.invalid_access_token": (404, InvalidToken),
    "stk_push.error.invalid_amount": (400, DarajaRefused),
    "stk_push.error.invalid_callback_url": (400, DarajaRefused),
    "stk_push.error.invalid_phone": (400, DarajaRefused),
    "stk_push.error.invalid_shortcode": (400, DarajaRefused),
    "stk_push.error.invalid_timestamp": (400, DarajaRefused),
    "stk_push.error.invalid_transaction_type": (400, DarajaRefused),
    "stk_push.error.merchant_not_exist": (500, DarajaRefused),
    "stk_push.error.method_not_allowed": (405, DarajaRefused),
    "stk_push.error.no_api_product": (401, InvalidToken),
    "stk_push.error.quota_violation": (500, DarajaBusy),
    "stk_push.error.resource_not_found": (404, DarajaRefused),
    "stk_push.error.spike_arrest": (500, DarajaBusy),
    "stk_push.error.subscriber_locked": (500, DarajaBusy),
    "stk_push.error.system_busy": (500, DarajaBusy),
    "stk_push.error.wrong_credentials": (500, DarajaRefused),
    "gateway.fault.spike_arrest": (429, DarajaBusy),
    "gateway.fault.soap_envelope": (500, DarajaSilent),
}


def error(code: object, message: object = "") -> bytes:
    return json.dumps({"requestId": "1", "errorCode": code, "errorMessage": message}).encode()


def push_answer(**fields: object) -> bytes:
    return json.dumps(json.loads(payload("stk_push.response")) | fields).encode()


def query_answer(**fields: object) -> bytes:
    return json.dumps(json.loads(payload("stk_query.response.success")) | fields).encode()


# --- push -----------------------------------------------------------------------------------


def test_an_accepted_push_names_itself():
    accepted = read_push(200, payload("stk_push.response"))
    assert accepted.checkout_request_id == CHECKOUT
    assert accepted.merchant_request_id == "6c1d-4f0a-9b27-5e8a1c3d90f27184"


def test_every_push_error_of_the_library_is_in_the_table():
    assert names("stk_push.error") | names("gateway") == set(PUSH_ERRORS)


@pytest.mark.parametrize("name", PUSH_ERRORS)
def test_a_push_error_says_what_to_do_next(name: str):
    status, meaning = PUSH_ERRORS[name]
    with pytest.raises(DarajaError) as caught:
        read_push(status, payload(name))
    assert type(caught.value) is meaning


SILENCES = {
    "a page of the edge": (403, PAGE),
    "a page of a proxy": (502, PAGE),
    "nothing": (200, b""),
    "nothing, and refused": (400, b""),
    "half an answer": (200, payload("stk_push.response")[:60]),
    "a list": (200, b"[]"),
    "a time-out of the gateway": (504, b'{"message": "Endpoint request timed out"}'),
    "no checkout id": (200, push_answer(CheckoutRequestID=None)),
    "an empty checkout id": (200, push_answer(CheckoutRequestID=" ")),
    "a checkout id that no column holds": (200, push_answer(CheckoutRequestID="w" * 129)),
    "a checkout id that is a number": (200, push_answer(CheckoutRequestID=174379)),
    "another response code": (200, push_answer(ResponseCode="1")),
    "no response code": (200, push_answer(ResponseCode=None)),
    "false as response code": (200, push_answer(ResponseCode=False)),
    "accepted with HTTP 500": (500, payload("stk_push.response")),
    "two checkout ids": (200, push_answer()[:-1] + b', "CheckoutRequestID": "ws_CO_2"}'),
    "an unknown error": (500, error("500.009.1", "Something")),
    "an unknown 500.001.1001": (500, error("500.001.1001", "Request failed")),
    "an error without text": (500, error("500.001.1001")),
    "an error code that is a list": (500, error(["400.002.02"])),
    "deep nesting": (200, b"[" * 100_000),
    "a redirect": (302, b""),
}


@pytest.mark.parametrize("what", SILENCES)
def test_what_proves_nothing_is_unknown(what: str):
    with pytest.raises(DarajaSilent):
        read_push(*SILENCES[what])


BUSY = {
    "429 without a body": (429, b""),
    "429 with a page": (429, PAGE),
    "429 with an unknown code": (429, error("429.001", "Too Many Requests")),
    "maintenance": (503, error("00.002.1001", "Service is under maintenance")),
    "an Apigee quota": (
        429,
        b'{"fault": {"faultstring": "Rate limit quota violation. Quota limit exceeded.",'
        b' "detail": {"errorcode": "policies.ratelimit.QuotaViolation"}}}',
    ),
}


@pytest.mark.parametrize("what", BUSY)
def test_a_refusal_for_load_sent_nothing(what: str):
    with pytest.raises(DarajaBusy):
        read_push(*BUSY[what])


def test_an_open_prompt_is_not_now_for_a_minute():
    with pytest.raises(DarajaBusy) as caught:
        read_push(500, payload("stk_push.error.subscriber_locked"))
    assert caught.value.retry_after == 60


def test_an_error_that_comes_with_200_is_still_an_error():
    with pytest.raises(DarajaRefused):
        read_push(200, payload("stk_push.error.invalid_amount"))


@pytest.mark.parametrize("between", [" - ", ": ", " "])
def test_a_token_that_is_echoed_is_not_repeated(between: str):
    token = "c9SQxWWhmdVRlyh0zh8gZDTkubVF"
    body = error("401.002.01", f"Error Occurred - Invalid Access Token{between}{token}")
    with pytest.raises(InvalidToken) as caught:
        read_push(401, body)
    assert token not in str(caught.value) + caught.value.text


# --- query ----------------------------------------------------------------------------------

STATES = {
    "stk_query.response.success": (200, Outcome.PAID, "0"),
    "stk_query.response.cancelled": (200, Outcome.FAILED, "1032"),
    "stk_query.response.timeout": (200, Outcome.FAILED, "1037"),
    "stk_query.response.insufficient_funds": (200, Outcome.FAILED, "1"),
    "stk_query.response.processing_4999": (200, Outcome.UNKNOWN, "4999"),
    "stk_query.error.processing": (500, Outcome.UNKNOWN, ""),
    "stk_query.error.blank_message": (200, Outcome.UNKNOWN, ""),
    "stk_query.error.not_exist": (500, Outcome.UNKNOWN, ""),
}


def test_every_query_answer_of_the_library_is_in_the_table():
    known = {*STATES, "stk_query.error.invalid_access_token"}
    assert names("stk_query.response") | names("stk_query.error") == known


@pytest.mark.parametrize("name", STATES)
def test_a_query_answer_says_how_it_ended_if_it_has(name: str):
    status, outcome, code = STATES[name]
    answer = read_query(status, payload(name))
    assert (answer.outcome, answer.code) == (outcome, code)


def test_a_blank_query_answer_is_unknown_with_500_as_well():
    answer = read_query(500, payload("stk_query.error.blank_message"))
    assert answer.outcome is Outcome.UNKNOWN


@pytest.mark.parametrize(
    "fields",
    [
        {"ResultCode": "1"} | {"ResultDesc": "The transaction is being processed"},
        {"ResultDesc": "The transaction is still under processing"},
        {"ResultCode": "5555"},
        {"ResultCode": False},
        {"ResultCode": 0.0},
        {"ResultCode": "\u200b0"},
        {"ResultCode": "0" + "\u200b" * 40 + "1"},
        {"ResultCode": ""},
        {"ResultCode": "00"},
        {"ResultCode": ["0"]},
    ],
    ids=repr,
)
def test_a_query_answer_that_is_not_final_is_unknown(fields: dict[str, object]):
    assert read_query(200, query_answer(**fields)).outcome is Outcome.UNKNOWN


def test_the_response_code_is_never_the_result():
    with pytest.raises(DarajaSilent):
        read_query(200, query_answer(ResultCode=None))


def test_a_result_with_http_500_is_none():
    with pytest.raises(DarajaSilent):
        read_query(500, payload("stk_query.response.success"))


def test_two_result_codes_are_none():
    with pytest.raises(DarajaSilent):
        read_query(200, query_answer()[:-1] + b', "ResultCode": "1032"}')


def test_a_query_with_a_bad_token_says_so():
    with pytest.raises(InvalidToken):
        read_query(400, payload("stk_query.error.invalid_access_token"))


def test_a_query_with_a_wrong_passkey_is_refused():
    with pytest.raises(DarajaRefused):
        read_query(500, payload("stk_push.error.wrong_credentials"))


# --- token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["oauth.response", "oauth.response.numeric_expiry"])
def test_a_token_lives_for_an_hour(name: str):
    token, life = read_token(200, payload(name))
    assert len(token) == 28
    assert life == 3_599


@pytest.mark.parametrize("life", [None, "soon", True, "-1", "1e9", "inf", [], "9" * 400])
def test_a_token_without_a_usable_life_is_not_kept_for_long(life: object):
    body = json.dumps({"access_token": "X4DZOnDtYbJVQqfZ", "expires_in": life}).encode()
    assert read_token(200, body)[1] <= 60


def test_no_token_is_kept_for_more_than_an_hour():
    body = b'{"access_token": "X4DZOnDtYbJVQqfZ", "expires_in": 999999999}'
    assert read_token(200, body)[1] == 3_600


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, payload("oauth.error.invalid_grant")),
        (400, payload("oauth.error.invalid_auth_type")),
        (400, b""),
        (401, b""),
        (401, PAGE),
        (404, error("404.001.03", "Invalid Access Token")),
    ],
)
def test_wrong_keys_are_a_definite_no(status: int, body: bytes):
    with pytest.raises(DarajaRefused):
        read_token(status, body)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, PAGE),
        (429, b""),
        (500, payload("stk_push.error.system_busy")),
        (500, payload("gateway.fault.soap_envelope")),
        (504, b""),
        (200, b"{}"),
        (200, b'{"access_token": ""}'),
        (200, b'{"access_token": "two\\r\\nlines of it"}'),
        (200, b'{"access_token": 12345678}'),
        (200, payload("oauth.response")[:20]),
    ],
)
def test_a_token_service_out_of_order_is_not_now(status: int, body: bytes):
    with pytest.raises(DarajaBusy):
        read_token(status, body)
