"""STK callbacks: what each says, and that nothing but 0 and "0" says "paid"."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from milango.core.errors import CallbackUnreadable
from milango.core.payments import Evidence, Outcome, Source
from milango.daraja import fields
from milango.daraja.callbacks import StkCallback, evidence_from, read_stk_callback
from milango.daraja.fields import Unreadable
from tests.daraja.payloads import CHECKOUT, document, names, payload

NOW = datetime(2026, 3, 14, 7, 15, 50, tzinfo=UTC)
SUCCESS = payload("stk_callback.success").decode()

FAILURES = {
    "above_maximum": "3",
    "below_minimum": "2",
    "cancelled": "1032",
    "cancelled.alt_text": "1032",
    "cancelled.legacy_prefix": "1032",
    "credential_locked": "8006",
    "daily_limit": "4",
    "expired": "1019",
    "external_validation_failed": "2007",
    "insufficient_funds": "1",
    "max_balance": "8",
    "no_response": "1037",
    "not_permitted": "2028",
    "operator_not_exist": "SFC_IC0003",
    "push_error": "1025",
    "push_error_9999": "9999",
    "rule_limited": "17",
    "smsc_ack_timeout": "1036",
    "subscriber_locked": "1001",
    "system_busy": "26",
    "unreachable": "1037",
    "wrong_pin": "2001",
}
SUCCESSES = {"success", "success.amount_integer", "success.with_balance"}


def callback(**fields: Any) -> bytes:
    """The library's success with other fields in its stkCallback."""
    body = document("stk_callback.success")
    body["Body"]["stkCallback"] |= fields
    return json.dumps(body).encode()


def items(**values: Any) -> bytes:
    """The library's success with other values in its metadata."""
    given = {
        "Amount": 150.0,
        "MpesaReceiptNumber": "UCE5K7Q2XD",
        "TransactionDate": 20260314101547,
        "PhoneNumber": 254708374149,
    }
    listed = [{"Name": name, "Value": value} for name, value in (given | values).items()]
    return callback(CallbackMetadata={"Item": listed})


def written(code: str) -> bytes:
    """The library's success with its result code written so in JSON."""
    return SUCCESS.replace('"ResultCode": 0', f'"ResultCode": {code}').encode()


def evidence(body: bytes) -> Evidence:
    return evidence_from(body, payment_id=UUID(int=1), listed=True, observed_at=NOW)


# --- the library ----------------------------------------------------------------------------


def test_every_callback_of_the_library_is_read_here():
    known = {f"stk_callback.{name}" for name in {*FAILURES, *SUCCESSES, "ack"}}
    assert names("stk_callback") == known


@pytest.mark.parametrize("name", FAILURES)
def test_a_failure_carries_its_code_and_no_money(name: str):
    found = read_stk_callback(payload(f"stk_callback.{name}"))
    assert (found.outcome, found.code) == (Outcome.FAILED, FAILURES[name])
    assert found.checkout_request_id == CHECKOUT
    assert found.text
    assert (found.amount, found.receipt, found.phone, found.paid_at) == (None, None, None, None)


@pytest.mark.parametrize("name", ["success", "success.with_balance"])
def test_a_success_carries_what_was_paid(name: str):
    found = read_stk_callback(payload(f"stk_callback.{name}"))
    assert (found.outcome, found.code) == (Outcome.PAID, "0")
    assert found.amount == Decimal(150)
    assert found.receipt == "UCE5K7Q2XD"
    assert found.phone == "254708374149"
    assert found.paid_at == datetime(2026, 3, 14, 7, 15, 47, tzinfo=UTC)


def test_an_amount_without_fraction_is_the_same_amount():
    found = read_stk_callback(payload("stk_callback.success.amount_integer"))
    assert (found.amount, found.phone) == (Decimal(1250), "254110000123")


def test_our_own_acknowledgement_is_no_callback():
    assert evidence(payload("stk_callback.ack")).problem == "not_a_callback"


def test_evidence_keeps_what_the_callback_says_and_who_brought_it():
    found = evidence(payload("stk_callback.success"))
    assert (found.source, found.outcome, found.listed) == (Source.CALLBACK, Outcome.PAID, True)
    assert (found.checkout_request_id, found.receipt) == (CHECKOUT, "UCE5K7Q2XD")
    assert found.observed_at == NOW
    assert found.problem == ""


def test_a_callback_shows_no_personal_data_in_its_repr():
    assert repr(read_stk_callback(payload("stk_callback.success"))) == "<StkCallback paid '0'>"


# --- shapes that are tolerated --------------------------------------------------------------

TOLERATED = {
    "0 as text": written('"0"'),
    "0 with white space": written('" 0\\n"'),
    "a byte order mark": b"\xef\xbb\xbf" + SUCCESS.encode(),
    "amount as text": items(Amount="150.00"),
    "amount as integer": items(Amount=150),
    "amount with an exponent": SUCCESS.replace("150.0", "1.5E2").encode(),
    "phone as text": items(PhoneNumber="254708374149"),
    "phone with a fraction": SUCCESS.replace("254708374149}", "254708374149.0}").encode(),
    "date as text": items(TransactionDate="20260314101547"),
    "receipt in small letters": items(MpesaReceiptNumber=" uce5k7q2xd "),
    "an item more": items(Balance="{Amount={CurrencyCode=KES, BasicAmount=72300.55}}"),
    "no merchant request id": callback(MerchantRequestID=None),
    "a field more": callback(Extra={"a": [1, None]}),
}


@pytest.mark.parametrize("what", TOLERATED)
def test_a_known_way_to_write_a_success_is_read(what: str):
    found = read_stk_callback(TOLERATED[what])
    assert found.outcome is Outcome.PAID
    assert (found.amount, found.receipt) == (Decimal(150), "UCE5K7Q2XD")
    assert (found.phone, found.paid_at) == (
        "254708374149",
        datetime(2026, 3, 14, 7, 15, 47, tzinfo=UTC),
    )


@given(st.permutations(document("stk_callback.success.with_balance")["Body"]["stkCallback"]
                       ["CallbackMetadata"]["Item"]))  # fmt: skip
def test_items_come_in_any_order(order: list[dict[str, Any]]):
    found = read_stk_callback(callback(CallbackMetadata={"Item": order}))
    assert found == read_stk_callback(payload("stk_callback.success"))


@pytest.mark.parametrize(
    "metadata",
    [None, {}, {"Item": None}, {"Item": []}, {"Item": [{"Name": "MpesaReceiptNumber"}]}],
    ids=repr,
)
def test_a_success_without_metadata_is_a_claim_without_receipt(metadata: object):
    found = evidence(callback(CallbackMetadata=metadata))
    assert (found.outcome, found.receipt, found.amount) == (Outcome.PAID, None, None)
    assert found.problem == ""


def test_a_single_item_may_stand_without_its_list():
    one = {"Item": {"Name": "MpesaReceiptNumber", "Value": "UCE5K7Q2XD"}}
    assert read_stk_callback(callback(CallbackMetadata=one)).receipt == "UCE5K7Q2XD"


@pytest.mark.parametrize("phone", ["2547•••••149", "2547****149", "2547 ***** 149", "a" * 64])
def test_a_masked_phone_number_is_kept_as_written(phone: str):
    assert read_stk_callback(items(PhoneNumber=phone)).phone == phone


def test_a_text_is_cut_and_freed_of_what_a_terminal_would_obey():
    found = read_stk_callback(callback(ResultDesc="\x1b[31m\u202eRed\r\n" + "x" * 999))
    assert found.text.startswith("[31mRedxxx")
    assert len(found.text) == 255


# --- what is a success ----------------------------------------------------------------------

ODD = {
    # result codes that are not 0
    "false": (written("false"), "bad_result_code"),
    "true": (written("true"), "bad_result_code"),
    "null": (written("null"), "bad_result_code"),
    "0.0": (written("0.0"), "bad_result_code"),
    "0e0": (written("0e0"), "bad_result_code"),
    "-0.0": (written("-0.0"), "bad_result_code"),
    "-0": (written("-0"), "bad_number"),
    "a list": (written("[0]"), "bad_result_code"),
    "an object": (written('{"0": 0}'), "bad_result_code"),
    "an empty text": (written('""'), "bad_result_code"),
    "a blank text": (written('"  "'), "bad_result_code"),
    "a hidden character": (written('"\\u200b0"'), "bad_result_code"),
    "a hard space": (written('"\\u00a00"'), "bad_result_code"),
    "a full-width zero": (written('"\\uff10"'), "bad_result_code"),
    "a long code": (written('"' + "0" * 33 + '"'), "bad_result_code"),
    "a sentence": (written('"it is 0"'), "bad_result_code"),
    "no code": (callback(ResultCode=None), "bad_result_code"),
    # numbers that JSON allows, or Python's json by mistake
    "NaN": (written("NaN"), "bad_number"),
    "Infinity": (written("-Infinity"), "bad_number"),
    "1e999": (written("1e999"), "bad_number"),
    "an exponent beyond Decimal": (written("1e99999999999999999999"), "bad_number"),
    "a giant integer": (written("9" * 5_000), "bad_number"),
    "a giant fraction": (written("0." + "0" * 5_000), "bad_number"),
    "a NaN amount": (SUCCESS.replace("150.0", "NaN").encode(), "bad_number"),
    # JSON that two readers would read differently, or that no column holds
    "two result codes": (written('1032, "ResultCode": 0'), "duplicate_keys"),
    "two bodies": (f'{{"Body": 1, {SUCCESS.strip()[1:]}'.encode(), "duplicate_keys"),
    "NUL": (callback(MerchantRequestID="a\0b"), "bad_characters"),
    "a lone surrogate": (callback(ResultDesc="\ud83d"), "bad_characters"),
    "NUL in a name": (callback(**{"a\0": 1}), "bad_characters"),
    "nothing": (b"", "not_json"),
    "a form": (b"ResultCode=0&CheckoutRequestID=ws_CO_1", "not_json"),
    "a page": (b"<html></html>", "not_json"),
    "half a callback": (SUCCESS[:200].encode(), "not_json"),
    "something after it": (SUCCESS.encode() + b"{}", "not_json"),
    "latin 1": (SUCCESS.replace("success", "succès").encode("latin-1"), "not_json"),
    "utf-16": (SUCCESS.encode("utf-16"), "not_json"),
    "deep nesting": (b"[" * 60_000, "deep_nesting"),
    "deep objects": (b'{"Body":' * 8_000 + b"1" + b"}" * 8_000, "deep_nesting"),
    # other shapes
    "a list of callbacks": (f"[{SUCCESS}]".encode(), "not_a_callback"),
    "a text": (b'"0"', "not_a_callback"),
    "zero": (b"0", "not_a_callback"),
    "no stkCallback": (b'{"Body": {}}', "not_a_callback"),
    "a list as stkCallback": (b'{"Body": {"stkCallback": []}}', "not_a_callback"),
    "no checkout id": (callback(CheckoutRequestID=None), "bad_checkout_id"),
    "a number as checkout id": (callback(CheckoutRequestID=1), "bad_checkout_id"),
    "a long checkout id": (callback(CheckoutRequestID="w" * 129), "bad_checkout_id"),
    "a split checkout id": (callback(CheckoutRequestID="ws_CO\n1"), "bad_checkout_id"),
    "false as merchant id": (callback(MerchantRequestID=False), "bad_merchant_request_id"),
    # metadata that says something else
    "a text as metadata": (callback(CallbackMetadata="Amount=150"), "bad_metadata"),
    "a text as items": (callback(CallbackMetadata={"Item": "Amount"}), "bad_metadata"),
    "a nameless item": (callback(CallbackMetadata={"Item": [{"Value": 1}]}), "bad_metadata"),
    "many items": (callback(CallbackMetadata={"Item": [{"Name": "A"}] * 65}), "bad_metadata"),
    "two amounts": (
        callback(CallbackMetadata={"Item": [{"Name": "Amount", "Value": 1}] * 2}),
        "duplicate_items",
    ),
    "no money": (items(Amount=0), "bad_amount"),
    "money back": (items(Amount=-150), "bad_amount"),
    "true as amount": (items(Amount=True), "bad_amount"),
    "words as amount": (items(Amount="fifty"), "bad_amount"),
    "digits of another script": (items(Amount="١٥٠"), "bad_amount"),
    "an underscore": (items(Amount="1_50"), "bad_amount"),
    "parts of a cent": (items(Amount=150.001), "bad_amount"),
    "all the money": (items(Amount=10**15), "bad_amount"),
    "a list as amount": (items(Amount=[150]), "bad_amount"),
    "a number as receipt": (items(MpesaReceiptNumber=1234567890), "bad_receipt"),
    "a long receipt": (items(MpesaReceiptNumber="U" * 33), "bad_receipt"),
    "a receipt with a space": (items(MpesaReceiptNumber="UCE5K 7Q2XD"), "bad_receipt"),
    "a receipt that grows": (items(MpesaReceiptNumber="UCEß"), "bad_receipt"),
    "an object as phone": (items(PhoneNumber={}), "bad_phone"),
    "true as phone": (items(PhoneNumber=True), "bad_phone"),
    "a long phone": (items(PhoneNumber="2" * 65), "bad_phone"),
    "a day as date": (items(TransactionDate=20260314), "bad_date"),
    "a date that is none": (items(TransactionDate=20261314101547), "bad_date"),
    "the first date": (items(TransactionDate="00010101000000"), "bad_date"),
    "true as date": (items(TransactionDate=True), "bad_date"),
}


@pytest.mark.parametrize("what", ODD)
def test_an_odd_body_is_flagged_and_claims_nothing(what: str):
    body, problem = ODD[what]
    found = evidence(body)
    assert (found.outcome, found.problem) == (Outcome.UNREADABLE, problem)
    assert (found.receipt, found.amount, found.checkout_request_id) == (None, None, None)


@pytest.mark.parametrize("code", ["1", "-1", '"00"', '"+0"', '"0x0"', '"R000002"', "4999", "5555"])
def test_only_zero_is_paid(code: str):
    assert read_stk_callback(written(code)).outcome is not Outcome.PAID


@pytest.mark.parametrize("code", ["4999", "5555", '"R000002"', '"00"', '"OK"'])
def test_a_code_that_is_not_listed_is_not_final(code: str):
    assert read_stk_callback(written(code)).outcome is Outcome.UNKNOWN


def test_an_unreadable_callback_is_an_error_that_names_its_problem():
    with pytest.raises(CallbackUnreadable, match="not_json"):
        read_stk_callback(b"{")


def test_a_fault_of_ours_loses_no_callback(monkeypatch: pytest.MonkeyPatch):
    def broken(body: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(fields, "decode", broken)
    assert evidence(SUCCESS.encode()).problem == "unreadable"


# --- whatever comes -------------------------------------------------------------------------

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["0", 0, "Amount", CHECKOUT, "20260314101547", "0" * 99]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["Body", "stkCallback", "Item", "Name", "Value", "x"]), inner
        )
    ),
    max_leaves=12,
)
FIELDS = (
    "MerchantRequestID CheckoutRequestID ResultCode ResultDesc CallbackMetadata Item Amount "
    "MpesaReceiptNumber TransactionDate PhoneNumber"
).split()


@st.composite
def mutated(draw: Callable[..., Any]) -> bytes:
    """A body of the library with some bytes cut out, and others put in their place."""
    body = payload(draw(st.sampled_from(sorted(names("stk_callback")))))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 40)))
    return body[:start] + draw(st.binary(max_size=12) | st.just(b'"0"')) + body[end:]


@st.composite
def other_values(draw: Callable[..., Any]) -> bytes:
    """A success in which any value may be anything."""
    values = draw(st.dictionaries(st.sampled_from(FIELDS), JSON))
    body = json.loads(items(**{name: values[name] for name in FIELDS[6:] if name in values}))
    body["Body"]["stkCallback"] |= {name: values[name] for name in FIELDS[:5] if name in values}
    return json.dumps(body).encode()


@settings(max_examples=300)
@given(st.binary(max_size=200) | mutated() | other_values() | JSON.map(json.dumps).map(str.encode))
def test_whatever_comes_is_evidence_of_something(body: bytes):
    found = evidence(body)
    read = read_or_problem(body)
    if isinstance(read, str):
        assert read != "unreadable"
        assert (found.outcome, found.problem) == (Outcome.UNREADABLE, read)
        return
    assert (found.outcome, found.code) == (read.outcome, read.code)
    assert (read.outcome is Outcome.PAID) == (read.code == "0")
    assert len(read.checkout_request_id) <= 128
    assert len(read.receipt or "") <= 32
    assert len(read.text) <= 255
    for text in (read.text, read.receipt, read.phone, read.merchant_request_id):
        assert "\0" not in (text or "")
        (text or "").encode()


def read_or_problem(body: bytes) -> StkCallback | str:
    try:
        return read_stk_callback(body)
    except Unreadable as error:
        return error.problem
