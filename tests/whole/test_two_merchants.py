"""Two merchants, one Daraja: each push carries its own merchant's key, passkey and short code."""

from __future__ import annotations

import base64

import pytest

from milango.models import Payment
from tests.people import OTHER_PAYER, PAYER, make_key

pytestmark = pytest.mark.django_db(transaction=True)


def push(call, key: str, shortcode: str, phone: str, **fields):
    body = {"phone_number": phone, "amount": 50, "shortcode": shortcode, **fields}
    return call("POST", "/api/v1/stk-push", body, key=key)


def test_each_push_carries_its_own_merchants_credentials(call, daraja, paybill, till) -> None:
    keys = {cred.pk: make_key(cred.merchant)[1] for cred in (paybill, till)}
    for phone in (PAYER, OTHER_PAYER):
        daraja.story(phone, "paid")
    assert push(call, keys[paybill.pk], paybill.short_code, PAYER)[0] == 202
    assert push(call, keys[till.pk], till.short_code, OTHER_PAYER)[0] == 202
    daraja.idle()
    seen = {row["phone"]: row for row in daraja.ledger()}
    first, second = seen[PAYER], seen[OTHER_PAYER]
    assert first["consumer_key"] == paybill.consumer_key
    assert (first["business_short_code"], first["party_b"]) == (paybill.short_code,) * 2
    assert first["transaction_type"] == "CustomerPayBillOnline"
    assert second["consumer_key"] == till.consumer_key
    assert second["business_short_code"] == till.store_number
    assert second["party_b"] == till.short_code
    assert second["transaction_type"] == "CustomerBuyGoodsOnline"
    assert {p.status for p in Payment.objects.all()} == {"Success"}
    for payment in Payment.objects.select_related("credential"):
        row = seen[payment.phone]
        assert (payment.receipt_number, payment.party_b) == (row["receipt"], row["party_b"])


def test_a_merchant_cannot_push_on_another_merchants_short_code(call, daraja, paybill, till):
    _, key = make_key(paybill.merchant)
    foreign = push(call, key, till.short_code, PAYER)
    unknown = push(call, key, "999999", PAYER)
    assert foreign == unknown
    assert foreign[0] == 404
    assert daraja.ledger() == []
    assert not Payment.objects.exists()


def test_wrong_credentials_borrow_nothing_from_the_merchant_who_has_the_right_ones(
    call, daraja, paybill, till
) -> None:
    """A neighbour types the paybill's consumer key with a secret of his own."""
    _, key = make_key(paybill.merchant)
    daraja.story(PAYER, "paid")
    assert push(call, key, paybill.short_code, PAYER)[0] == 202
    till.consumer_key = paybill.consumer_key
    till.save()
    _, thief = make_key(till.merchant)
    status, problem = push(call, thief, till.short_code, OTHER_PAYER)
    assert (status, problem["code"]) == (422, "daraja_refused")
    assert len(daraja.ledger()) == 1
    daraja.story(OTHER_PAYER, "paid")
    assert push(call, key, paybill.short_code, OTHER_PAYER)[0] == 202, "the owner's token lives on"


def test_the_password_is_made_of_the_merchants_own_passkey(call, daraja, paybill) -> None:
    """The simulator checks it as Daraja does: a wrong passkey is refused, and no prompt is sent."""
    paybill.passkey = "another passkey"
    paybill.save()
    _, key = make_key(paybill.merchant)
    status, problem = push(call, key, paybill.short_code, PAYER)
    assert (status, problem["code"]) == (422, "daraja_refused")
    secret = base64.b64encode(paybill.passkey.encode()).decode().rstrip("=")
    assert secret not in str(problem)
    assert Payment.objects.get().status == "Failed"
    assert Payment.objects.get().reason == "refused"
