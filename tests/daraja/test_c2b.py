"""C2B: what a confirmation says, and what is no confirmation."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.daraja import c2b, fields
from milango.daraja.c2b import Confirmation, Rejection, Unread, read_c2b, refused_word
from milango.daraja.callbacks import read_stk_callback
from tests.daraja.payloads import document, names, payload

MASKED = "c2b_confirmation.paybill.masked_v2"
TEST_NUMBER = "254708374149"
CONFIRMATIONS = {
    "paybill.hashed_v1",
    "paybill.masked_v2",
    "paybill.with_third_party_id",
    "stk_originated",
    "till.masked_v2",
}


def confirmation(**values: Any) -> bytes:
    """The library's masked confirmation with other fields."""
    return json.dumps(document(MASKED) | values).encode()


def read(body: bytes) -> Confirmation:
    found = read_c2b(body)
    assert isinstance(found, Confirmation)
    return found


def problem(body: bytes) -> str:
    found = read_c2b(body)
    assert isinstance(found, Unread)
    return found.problem


# --- the library ----------------------------------------------------------------------------


def test_every_confirmation_of_the_library_is_read():
    known = {f"c2b_confirmation.{name}" for name in CONFIRMATIONS}
    assert names("c2b_confirmation") == known | {"c2b_confirmation.ack"}
    for name in known:
        assert read(payload(name)).amount > 0


def test_a_confirmation_says_who_paid_what_for_what():
    found = read(payload(MASKED))
    assert found == Confirmation(
        trans_id="UCE3P9W8ZA",
        amount=Decimal("500.00"),
        business_short_code="600984",
        bill_ref="HSE-14B",
        transaction_type="Pay Bill",
        paid_at=datetime(2026, 3, 14, 8, 30, 5, tzinfo=UTC),
        msisdn="2547 ***** 149",
        payer_name="WANJIRU",
        org_account_balance=Decimal("48210.00"),
    )


def test_a_till_has_no_account_number():
    found = read(payload("c2b_confirmation.till.masked_v2"))
    assert (found.bill_ref, found.transaction_type) == ("", "Customer Merchant Payment")


def test_an_stk_payment_has_one_receipt_in_both_of_its_callbacks():
    stk = read_stk_callback(payload("stk_callback.success"))
    found = read(payload("c2b_confirmation.stk_originated"))
    assert (found.trans_id, found.amount, found.paid_at) == (stk.receipt, stk.amount, stk.paid_at)


def test_a_validation_has_the_shape_of_a_confirmation():
    found = read(payload("c2b_validation.request"))
    assert (found.trans_id, found.org_account_balance) == ("UCE3P9W8ZA", None)


def test_the_id_of_our_validation_reply_comes_back():
    found = read(payload("c2b_confirmation.paybill.with_third_party_id"))
    assert found.third_party_id == "GW-00918273"


# --- the payer's number ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("msisdn", "phone", "tail"),
    [
        (TEST_NUMBER, TEST_NUMBER, "149"),
        (int(TEST_NUMBER), TEST_NUMBER, "149"),
        ("2547 ***** 149", None, "149"),
        ("2547*****149", None, "149"),
        ("254708••••49", None, "49"),
        ("", None, None),
        (None, None, None),
        ("WANJIRU", None, None),
    ],
)
def test_a_number_is_whole_or_masked_or_absent(msisdn: object, phone: str | None, tail: str | None):
    found = read(confirmation(MSISDN=msisdn))
    assert (found.phone, found.phone_tail, found.phone_hash) == (phone, tail, None)


def test_a_hashed_number_can_be_compared():
    found = read(payload("c2b_confirmation.paybill.hashed_v1"))
    assert (found.phone, found.phone_tail) == (None, None)
    assert found.phone_hash == found.msisdn
    hashed = hashlib.sha256(TEST_NUMBER.encode()).hexdigest()
    assert read(confirmation(MSISDN=hashed.upper())).phone_hash == hashed


# --- shapes ---------------------------------------------------------------------------------


def test_names_may_be_missing_and_are_cleaned():
    assert read(payload("c2b_confirmation.paybill.hashed_v1")).payer_name == "WANJIRU"
    odd = confirmation(FirstName="WAN\u202eJIRU ", MiddleName=None, LastName="K\x00AMAU")
    assert problem(odd) == "bad_characters"
    assert read(confirmation(FirstName="WAN\u202eJIRU ", LastName="KAMAU")).payer_name == (
        "WANJIRU KAMAU"
    )


@pytest.mark.parametrize("amount", ["500.00", "500", 500, 500.0, " 500.0 "])
def test_an_amount_may_be_a_text_or_a_number(amount: object):
    assert read(confirmation(TransAmount=amount)).amount == Decimal(500)


def test_a_short_code_keeps_its_noughts():
    assert read(confirmation(BusinessShortCode="060098")).business_short_code == "060098"
    assert read(confirmation(BusinessShortCode=600984)).business_short_code == "600984"


@pytest.mark.parametrize(
    ("balance", "expected"),
    [("-15.27", Decimal("-15.27")), (48210, Decimal(48210)), ("", None), ("KES 5", None)],
)
def test_a_balance_decides_nothing(balance: object, expected: Decimal | None):
    assert read(confirmation(OrgAccountBalance=balance)).org_account_balance == expected


UNREADABLE = {
    "no JSON": (b"TransID=UCE3P9W8ZA", "not_json"),
    "a list": (b"[]", "not_a_callback"),
    "our own reply": (payload("c2b_confirmation.ack"), "not_a_callback"),
    "a callback of STK push": (payload("stk_callback.success"), "not_a_callback"),
    "a key twice": (b'{"TransID": "A", "TransID": "B"}', "duplicate_keys"),
    "no receipt": (confirmation(TransID=""), "no_receipt"),
    "a receipt with a space": (confirmation(TransID="UCE3 P9W8ZA"), "bad_receipt"),
    "no amount": (confirmation(TransAmount=None), "no_amount"),
    "nothing paid": (confirmation(TransAmount="0.00"), "bad_amount"),
    "a negative amount": (confirmation(TransAmount="-5"), "bad_amount"),
    "half a cent": (confirmation(TransAmount="5.001"), "bad_amount"),
    "a thousand's comma": (confirmation(TransAmount="1,250.00"), "bad_amount"),
    "true shillings": (confirmation(TransAmount=True), "bad_amount"),
    "no short code": (confirmation(BusinessShortCode=""), "bad_short_code"),
    "a name for a short code": (confirmation(BusinessShortCode="Shop"), "bad_short_code"),
    "no date": (confirmation(TransTime="2026-03-14"), "bad_date"),
    "no number": (confirmation(MSISDN={"a": 1}), "bad_phone"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_is_no_confirmation_is_named(what: str):
    body, expected = UNREADABLE[what]
    assert problem(body) == expected


def test_a_fault_of_ours_loses_no_confirmation(monkeypatch: pytest.MonkeyPatch):
    def broken(body: bytes) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(fields, "decode", broken)
    assert problem(payload(MASKED)) == "unreadable"


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())


@given(st.dictionaries(st.sampled_from(sorted(document(MASKED))), VALUES))
def test_whatever_comes_never_raises(values: dict[str, Any]):
    assert isinstance(read_c2b(confirmation(**values)), Confirmation | Unread)


@given(st.binary())
def test_no_bytes_raise(body: bytes):
    assert isinstance(read_c2b(body), Unread)


def test_a_confirmation_shows_no_personal_data_in_its_repr():
    assert repr(read(payload(MASKED))) == "<Confirmation 600984 UCE3P9W8ZA>"


# --- replies and addresses ------------------------------------------------------------------


def test_replies_are_those_of_the_library():
    assert c2b.confirmed() == document("c2b_confirmation.ack")
    assert c2b.accepted() == document("c2b_validation.accept")
    assert c2b.accepted("GW-00918273") == document("c2b_validation.accept.third_party_id")
    rejections = {
        "invalid_account": Rejection.ACCOUNT,
        "invalid_amount": Rejection.AMOUNT,
        "invalid_kyc": Rejection.KYC,
        "invalid_msisdn": Rejection.MSISDN,
        "invalid_shortcode": Rejection.SHORT_CODE,
        "other": Rejection.OTHER,
    }
    assert names("c2b_validation.reject") == {f"c2b_validation.reject.{n}" for n in rejections}
    for name, rejection in rejections.items():
        assert c2b.rejected(rejection) == document(f"c2b_validation.reject.{name}")


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("https://pay.example.com/hooks/d/c2b/600984/confirm/91b7d0", ""),
        ("https://pay.example.com/M-Pesa/confirm", "m-pesa"),
        ("https://mpesa.example.com/confirm", "mpesa"),
        ("https://pay.example.com/executive/confirm", "exec"),
        ("https://pay.example.com/confirm?sql", "sql"),
    ],
)
def test_a_word_that_safaricom_refuses_in_an_address_is_found(url: str, word: str):
    assert refused_word(url) == word
