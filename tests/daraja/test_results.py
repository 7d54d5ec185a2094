"""Transaction Status: two layers of status, and that nothing but `Completed` says "paid"."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.payments import Outcome
from milango.daraja import fields
from milango.daraja.results import OUTCOMES, StatusResult, read_result, read_timeout
from tests.daraja.payloads import document, names, payload

COMPLETED = "transaction_status.result.completed"


def result(**values: Any) -> bytes:
    """The library's completed result with other fields."""
    body = document(COMPLETED)
    body["Result"] |= values
    return json.dumps(body).encode()


def parameters(*dropped: str, **values: Any) -> bytes:
    """The library's completed result with other parameters."""
    listed = document(COMPLETED)["Result"]["ResultParameters"]["ResultParameter"]
    found = {item["Key"]: item.get("Value") for item in listed} | values
    items = [{"Key": key, "Value": value} for key, value in found.items() if key not in dropped]
    return result(ResultParameters={"ResultParameter": items})


# --- the library ----------------------------------------------------------------------------


def test_every_result_of_the_library_is_read_here():
    known = {"completed", "b2c_completed_strings", *UNANSWERED}
    assert names("transaction_status.result") == {f"transaction_status.result.{n}" for n in known}


def test_a_completed_payment_carries_who_paid_what_to_whom():
    found = read_result(payload(COMPLETED))
    assert (found.outcome, found.code, found.transaction_status) == (Outcome.PAID, "0", "Completed")
    assert (found.receipt, found.amount) == ("UCE3P9W8ZA", Decimal(500))
    assert found.paid_at == datetime(2026, 3, 14, 8, 30, 5, tzinfo=UTC)
    assert (found.credit_party, found.credit_short_code) == ("600984 - Example Stores", "600984")
    assert (found.debit_party, found.phone) == ("254708374149 - WANJIRU KAMAU", "254708374149")
    assert found.conversation_id == "AG_20260314_20105b958b3da872ddce"
    assert found.originator_conversation_id == "956a-4775-8eea-d4fab33fef5a5472030"
    assert found.payment_originator_conversation_id == "6c1d-4f0a-9b27-5e8a1c3d90f27184"
    assert found.reason_type == "Pay Bill Online"
    assert (found.is_timeout, found.initiator_trouble, found.problem) == (False, False, "")


def test_texts_for_numbers_say_the_same():
    found = read_result(payload("transaction_status.result.b2c_completed_strings"))
    assert (found.outcome, found.receipt, found.amount) == (
        Outcome.PAID,
        "UCE7D5X3PB",
        Decimal(2500),
    )
    assert found.payment_originator_conversation_id == "gw-po-000481-1"


UNANSWERED = {"not_found": "2033", "bad_parameter": "25", "initiator_invalid": "2001"}


@pytest.mark.parametrize("name", UNANSWERED)
def test_a_question_that_failed_says_nothing_about_the_payment(name: str):
    found = read_result(payload(f"transaction_status.result.{name}"))
    assert (found.outcome, found.code) == (Outcome.UNKNOWN, UNANSWERED[name])
    assert (found.receipt, found.amount, found.problem) == (None, None, "")
    assert found.conversation_id
    assert found.initiator_trouble is (name == "initiator_invalid")


def test_a_time_out_is_unknown_and_may_be_asked_again():
    for found in (
        read_timeout(payload("async_queue_timeout")),
        read_result(payload("async_queue_timeout")),
    ):
        assert (found.outcome, found.is_timeout) == (Outcome.UNKNOWN, True)
        assert found.conversation_id == "AG_20260314_2010d5fd884f45740e19"
        assert not found.initiator_trouble


@pytest.mark.parametrize("body", [b"", b"{}", b"<html>", payload(COMPLETED)])
def test_whatever_comes_to_the_time_out_url_is_unknown(body: bytes):
    found = read_timeout(body)
    assert (found.outcome, found.is_timeout, found.receipt) == (Outcome.UNKNOWN, True, None)


# --- two layers -----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [*OUTCOMES, "COMPLETED", " Completed ", "Reversed"])
def test_a_final_status_is_the_outcome(status: str):
    found = read_result(parameters(TransactionStatus=status))
    assert found.outcome is OUTCOMES[status.strip().lower()]


@pytest.mark.parametrize(
    "status",
    [
        "Initiated",
        "Authorized",
        "Pending Authorized",
        "Completed?",
        "",
        None,
        0,
        True,
        ["Completed"],
    ],
)
def test_every_other_status_is_unknown(status: object):
    found = read_result(parameters(TransactionStatus=status))
    assert (found.outcome, found.paid_at, found.problem) == (Outcome.UNKNOWN, None, "")


def test_a_result_without_a_status_is_unknown():
    assert read_result(parameters("TransactionStatus")).outcome is Outcome.UNKNOWN
    assert read_result(result(ResultParameters=None)).outcome is Outcome.UNKNOWN


@pytest.mark.parametrize("code", [1, "1", 17, "2033", "R000001", "00", "0.0", 1032, 2006])
def test_a_status_beside_a_failed_question_is_not_believed(code: object):
    found = read_result(result(ResultCode=code))
    assert (found.outcome, found.receipt, found.amount) == (Outcome.UNKNOWN, None, None)


def test_a_message_that_announces_another_is_not_final():
    assert read_result(result(ResultType=1)).outcome is Outcome.UNKNOWN
    assert read_result(result(ResultType="0")).outcome is Outcome.PAID


@pytest.mark.parametrize(
    "code", [18, 20, "21", 22, 2001, "2001", " 8006 ", "100000010", "SFC_IC0003"]
)
def test_trouble_with_the_initiator_is_told_apart(code: object):
    found = read_result(result(ResultCode=code))
    assert (found.outcome, found.initiator_trouble) == (Outcome.UNKNOWN, True)


# --- shapes ---------------------------------------------------------------------------------

TOLERATED = {
    "0 as text": result(ResultCode=" 0 "),
    "amount as text": parameters(Amount="500.00"),
    "small letters in the receipt": parameters(ReceiptNo=" uce3p9w8za "),
    "a date as text": parameters(FinalisedTime="20260314113005"),
    "a new parameter": parameters(Anything={"a": [1]}),
}


@pytest.mark.parametrize("what", TOLERATED)
def test_other_spellings_say_the_same(what: str):
    assert read_result(TOLERATED[what]) == read_result(payload(COMPLETED))


def test_one_parameter_may_stand_without_a_list():
    one = {"ResultParameter": {"Key": "TransactionStatus", "Value": "Completed"}}
    found = read_result(result(ResultParameters=one))
    assert (found.outcome, found.receipt, found.amount) == (Outcome.PAID, None, None)


def test_a_parameter_without_value_is_absent():
    listed = [{"Key": "TransactionStatus", "Value": "Completed"}, {"Key": "ReceiptNo"}]
    found = read_result(result(ResultParameters={"ResultParameter": listed}))
    assert (found.outcome, found.receipt) == (Outcome.PAID, None)


def test_noughts_in_the_place_of_a_receipt_are_none():
    found = read_result(parameters(TransactionStatus="Failed", ReceiptNo="UCE0000000"))
    assert (found.outcome, found.receipt) == (Outcome.FAILED, None)


@pytest.mark.parametrize(
    ("party", "number"),
    [
        ("600984", "600984"),
        ("6009841 - Another", "6009841"),
        ("Shop 600984", None),
        ("600984x - Shop", None),
        ("60098", "60098"),
        ("60098412 - Shop", None),
        (None, None),
    ],
)
def test_a_short_code_is_the_whole_number_in_front(party: object, number: str | None):
    assert read_result(parameters(CreditPartyName=party)).credit_short_code == number


def test_a_masked_payer_has_no_number():
    assert read_result(parameters(DebitPartyName="2547****149 - W")).phone is None


def twice(key: str, value: object) -> bytes:
    body = document(COMPLETED)
    body["Result"]["ResultParameters"]["ResultParameter"].append({"Key": key, "Value": value})
    return json.dumps(body).encode()


def test_what_decides_nothing_may_stand_twice_and_counts_for_nothing():
    found = read_result(twice("DebitPartyName", "254700000123 - SOMEBODY"))
    assert (found.outcome, found.debit_party, found.phone) == (Outcome.PAID, "", None)


UNREADABLE = {
    "no JSON": (b"{", "not_json"),
    "a list": (b"[]", "not_a_callback"),
    "a callback of STK push": (payload("stk_callback.success"), "not_a_callback"),
    "our own reply": (payload("async_result.ack"), "not_a_callback"),
    "no code": (result(ResultCode=None), "bad_result_code"),
    "true as code": (result(ResultCode=True), "bad_result_code"),
    "an id that is none": (result(ConversationID={"a": 1}), "bad_conversation_id"),
    "two results": (b'{"Result": {}, "Result": {}}', "duplicate_keys"),
    "two statuses": (twice("TransactionStatus", "Failed"), "duplicate_items"),
    "two receipts": (twice("ReceiptNo", "UCE3P9W8ZB"), "duplicate_items"),
    "a negative amount": (parameters(Amount=-500), "bad_amount"),
    "no amount of money": (parameters(Amount="5e2"), "bad_amount"),
    "no receipt": (parameters(ReceiptNo="UCE3 P9"), "bad_receipt"),
    "no date": (parameters(FinalisedTime="14.03.2026"), "bad_date"),
    "a text for parameters": (result(ResultParameters="none"), "bad_parameters"),
    "a name that is none": (
        result(ResultParameters={"ResultParameter": [{"Key": 1}]}),
        "bad_parameters",
    ),
    "too many": (
        result(ResultParameters={"ResultParameter": [{"Key": "a"}] * 65}),
        "bad_parameters",
    ),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_named(what: str):
    body, problem = UNREADABLE[what]
    found = read_result(body)
    assert (found.outcome, found.problem) == (Outcome.UNREADABLE, problem)
    assert (found.receipt, found.amount) == (None, None)


def test_a_fault_of_ours_loses_no_result(monkeypatch: pytest.MonkeyPatch):
    def broken(body: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(fields, "decode", broken)
    assert read_result(payload(COMPLETED)).problem == "unreadable"


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(["ResultCode", "ResultType", "ResultDesc"]), VALUES), VALUES)
def test_whatever_comes_never_raises_and_only_a_clear_yes_is_paid(
    values: dict[str, Any], status: object
):
    body = json.loads(parameters(TransactionStatus=status))
    body["Result"] |= values
    found = read_result(json.dumps(body).encode())
    assert isinstance(found, StatusResult)
    if found.outcome is Outcome.PAID:
        assert str(status).strip().lower() == "completed"
        assert found.code == "0"


def test_a_result_shows_no_personal_data_in_its_repr():
    assert repr(read_result(payload(COMPLETED))) == "<StatusResult paid '0' 'Completed'>"
