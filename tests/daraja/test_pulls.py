"""Answers of Pull: rows in every format that may come, and none that hides another."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent
from milango.daraja.callbacks import read_stk_callback
from milango.daraja.pulls import read_pull, read_pull_registered
from milango.daraja.questions import PulledPayment, PullPage
from tests.daraja.payloads import document, names, payload

ROW: dict[str, Any] = document("pull_query.response")["Response"][0][0]


def answered(*rows: object, **values: Any) -> bytes:
    return json.dumps({"ResponseCode": "1000", "Response": [list(rows)]} | values).encode()


def page(*rows: object, **values: Any) -> PullPage:
    return read_pull(200, answered(*rows, **values), offset=0)


def only(**values: Any) -> PulledPayment:
    (row,) = page(ROW | values).rows
    return row


def test_the_library_has_no_other_answers():
    assert names("pull_") == {
        f"pull_{name}"
        for name in (
            "query.request",
            "query.response",
            "query.response.empty",
            "register.request",
            "register.response",
            "register.response.spaced_keys",
        )
    }


def test_a_row_says_what_was_paid():
    found = read_pull(200, payload("pull_query.response"), offset=40)
    assert found.rows[0] == PulledPayment(
        trans_id="UCE3P9W8ZA",
        amount=Decimal(500),
        paid_at=datetime(2026, 3, 14, 8, 30, 5, tzinfo=UTC),
        zone_known=True,
        msisdn="254708374149",
        bill_ref="HSE-14B",
        transaction_type="c2b-pay-bill-debit",
        sender="MPESA",
        organization="Example Stores",
    )
    assert (found.next_offset, found.problems) == (42, ())


def test_an_stk_payment_is_found_by_its_receipt():
    stk = read_stk_callback(payload("stk_callback.success"))
    row = read_pull(200, payload("pull_query.response"), offset=0).rows[1]
    assert (row.trans_id, row.amount, row.paid_at) == (stk.receipt, stk.amount, stk.paid_at)


def test_nothing_found_is_the_end():
    found = read_pull(200, payload("pull_query.response.empty"), offset=200)
    assert (found.rows, found.next_offset) == ((), None)


@pytest.mark.parametrize(
    ("written", "hour", "known"),
    [
        ("2026-03-14T11:30:05+03:00", 8, True),
        ("2026-03-14T11:30:05.000+0300", 8, True),
        ("2026-03-14 11:30:05", 8, True),
        ("2026-03-14T11:30:05", 8, True),
        ("20260314113005", 8, True),
        (20260314113005, 8, True),
        ("2026-03-14T11:30:05Z", 11, False),
        ("2026-03-14T11:30:05.000Z", 11, False),
    ],
)
def test_a_time_without_zone_is_east_african_and_z_is_in_doubt(
    written: object, hour: int, known: bool
):
    row = only(trxDate=written)
    assert row.paid_at == datetime(2026, 3, 14, hour, 30, 5, tzinfo=UTC)
    assert row.zone_known is known


@pytest.mark.parametrize("amount", ["500.0", 500, 500.0, "500"])
def test_an_amount_may_be_a_text_or_a_number(amount: object):
    assert only(amount=amount).amount == Decimal(500)


def test_a_masked_number_is_kept_as_written():
    assert only(msisdn="2547 ***** 149").msisdn == "2547 ***** 149"


def test_names_of_fields_may_have_other_capitals():
    (row,) = page({key.upper(): value for key, value in ROW.items()}).rows
    assert row.trans_id == "UCE3P9W8ZA"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("text", "not_a_row"),
        (None, "not_a_row"),
        ({}, "no_receipt"),
        (ROW | {"transactionId": "UCE 3"}, "bad_receipt"),
        (ROW | {"amount": None}, "no_amount"),
        (ROW | {"amount": "-5"}, "bad_amount"),
        (ROW | {"trxDate": "yesterday"}, "bad_date"),
        (ROW | {"trxDate": "0001-01-01T00:00:00"}, "bad_date"),
        (ROW | {"trxDate": "2026-13-01 00:00:00"}, "bad_date"),
        (ROW | {"trxDate": []}, "bad_date"),
    ],
)
def test_a_row_that_cannot_be_read_is_named_and_hides_no_other(row: object, problem: str):
    found = read_pull(200, answered(ROW, row, ROW), offset=100)
    assert len(found.rows) == 2
    assert (found.problems, found.next_offset) == (((101, problem),), 103)


@pytest.mark.parametrize("rows", [[ROW], ROW, [[ROW], []]])
def test_a_list_in_a_list_may_be_flat(rows: object):
    assert [row.trans_id for row in page(Response=rows).rows] == ["UCE3P9W8ZA"]


def error(code: str, text: str) -> bytes:
    return json.dumps({"errorCode": code, "errorMessage": text}).encode()


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (400, error("400.001", "Invalid ShortCode"), DarajaRefused),
        (200, answered(ResponseCode="1002", ResponseMessage="Not registered"), DarajaRefused),
        (200, answered(Response=None), DarajaSilent),
        (200, answered(Response="none"), DarajaSilent),
        (200, b"{}", DarajaSilent),
        (200, b"<html>", DarajaSilent),
        (500, error("500.003.02", "System is busy"), DarajaBusy),
        (502, b"", DarajaSilent),
        (500, answered(ROW), DarajaSilent),
    ],
)
def test_silence_is_not_an_empty_window(status: int, body: bytes, meaning: type[DarajaError]):
    with pytest.raises(meaning):
        read_pull(status, body, offset=0)


def test_an_error_may_say_that_there_is_nothing():
    found = read_pull(500, error("500", "No transactions found"), offset=0)
    assert (found.rows, found.next_offset) == ((), None)


@pytest.mark.parametrize(
    ("status", "body", "meaning"),
    [
        (200, b'{"ResponseStatus": "1003", "ResponseDescription": "no"}', DarajaRefused),
        (200, b"{}", DarajaSilent),
        (500, payload("pull_register.response"), DarajaSilent),
        (400, error("400.001", "Invalid ShortCode"), DarajaRefused),
    ],
)
def test_pull_is_on_only_when_it_says_so(status: int, body: bytes, meaning: type[DarajaError]):
    with pytest.raises(meaning):
        read_pull_registered(status, body)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.lists(st.dictionaries(st.sampled_from(sorted(ROW)), VALUES), max_size=4))
def test_whatever_a_row_holds_it_is_read_or_named(rows: list[dict[str, Any]]):
    try:
        found = page(*(ROW | row for row in rows))
    except DarajaSilent:  # not JSON as we trust it, such as NaN
        return
    assert len(found.rows) + len(found.problems) == len(rows)


def test_a_row_shows_no_personal_data_in_its_repr():
    assert repr(only()) == "<PulledPayment UCE3P9W8ZA>"
