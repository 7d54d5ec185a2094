"""The password and the requests, against the payload library."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from milango.daraja import messages
from tests.daraja.payloads import CHECKOUT, SANDBOX_PASSKEY, TILL_PASSKEY, document

AT = datetime(2026, 3, 14, 7, 15, 30, tzinfo=UTC)


def as_text(request: object) -> dict[str, str]:
    """Daraja takes numbers and texts alike, and its own samples mix them."""
    fields = request if isinstance(request, dict) else msgspec.to_builtins(request)
    return {name: str(value) for name, value in fields.items()}


def test_a_paybill_signs_and_receives_under_one_number():
    request = messages.push(
        kind="paybill",
        short_code="174379",
        business_short_code="174379",
        proof=messages.password("174379", SANDBOX_PASSKEY, AT),
        amount=Decimal(150),
        phone_number="254708374149",
        callback_url="https://pay.example.com/hooks/d/stk/7f3c9a1e5b2d4c60",
        account_reference="INV-20931",
        description="Order 20931",
    )
    assert as_text(request) == as_text(document("stk_push.request"))


def test_a_till_signs_with_its_store_number_and_receives_under_its_own():
    request = messages.push(
        kind="till",
        short_code="9318826",
        business_short_code="5204417",
        proof=messages.password("5204417", TILL_PASSKEY, AT),
        amount=Decimal("1250.00"),
        phone_number="254110000123",
        callback_url="https://pay.example.com/hooks/d/stk/0b6de1f7a8c94e52",
        account_reference="TABLE7",
        description="Lunch",
    )
    assert as_text(request) == as_text(document("stk_push.request.till"))


def test_a_query_is_signed_like_a_push():
    proof = messages.password("174379", SANDBOX_PASSKEY, AT)
    request = messages.query("174379", CHECKOUT, proof)
    assert as_text(request) == as_text(document("stk_query.request"))


def test_a_password_contains_the_timestamp_it_comes_with():
    password, timestamp = messages.password("174379", SANDBOX_PASSKEY, AT)
    assert timestamp == "20260314101530"
    assert password == document("stk_push.request")["Password"]


def test_a_password_of_a_naive_time_is_refused():
    with pytest.raises(ValueError, match="time zone"):
        messages.password("174379", SANDBOX_PASSKEY, AT.replace(tzinfo=None))


def test_a_time_of_daraja_is_east_african():
    assert messages.eat_time("20260314101547") == datetime(2026, 3, 14, 7, 15, 47, tzinfo=UTC)


@pytest.mark.parametrize(
    "digits",
    [
        "",
        "2026031410154",
        "20261314101547",
        "20260314101560",
        "00010101000000",
        "２０２６０３１４１０１５４７",
        "2026-03-14 10:1",
    ],
)
def test_what_is_no_time_is_none(digits: str):
    assert messages.eat_time(digits) is None


def test_a_request_shows_neither_password_nor_phone_number():
    proof = messages.password("174379", SANDBOX_PASSKEY, AT)
    assert repr(messages.query("174379", CHECKOUT, proof)) == "<Query>"
