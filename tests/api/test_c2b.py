"""POST /callbacks/c2b/<token>/…: money at the counter, and whose word counts for it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from milango.core import references
from milango.flows import confirmations
from milango.models import Doubt, InboundCallback, MpesaCredential, Payment
from tests.flows.conftest import make_payment
from tests.people import make_credential, make_merchant

from .conftest import open_client

pytestmark = pytest.mark.django_db

LISTED = "196.201.214.200"


@pytest.fixture
def live(db: None) -> MpesaCredential:
    return make_credential(make_merchant("Duka"), environment="production")


def said(credential: MpesaCredential, **changes: Any) -> bytes:
    """A confirmation as Safaricom writes it."""
    at = timezone.now() + timedelta(hours=3)
    document = {
        "TransactionType": "Pay Bill",
        "TransID": "UCE3P9W8ZA",
        "TransTime": at.strftime("%Y%m%d%H%M%S"),
        "TransAmount": "50.00",
        "BusinessShortCode": credential.short_code,
        "BillRefNumber": "HSE-14B",
        "InvoiceNumber": "",
        "OrgAccountBalance": "48210.00",
        "ThirdPartyTransID": "",
        "MSISDN": "2547 ***** 149",
        "FirstName": "WANJIRU",
    }
    return json.dumps(document | changes).encode()


def post(credential: MpesaCredential, what: str, body: bytes, peer: str = LISTED) -> Any:
    path = urlsplit(confirmations.address_of(credential, what)).path
    client = open_client()
    return client.post(path, body, content_type="application/json", REMOTE_ADDR=peer)


def test_money_that_nobody_asked_for_becomes_a_payment(live):
    answer = post(live, "confirm", said(live))
    assert (answer.status_code, answer.json()["ResultCode"]) == (200, 0)
    payment = Payment.objects.get()
    assert (payment.status, payment.receipt_number) == ("Success", "UCE3P9W8ZA")
    assert (payment.account_reference, payment.phone) == ("HSE-14B", "2547*****149")
    assert (payment.requested_by, payment.merchant) == ("payer", live.merchant)
    kept = InboundCallback.objects.get()
    assert (kept.kind, kept.verdict, kept.merchant) == ("c2b", "own", live.merchant)


def test_the_same_confirmation_again_is_one_payment(live):
    body = said(live)
    for _ in range(3):
        post(live, "confirm", body)
    assert Payment.objects.count() == 1
    assert InboundCallback.objects.get().repeats == 2


@pytest.mark.parametrize(
    ("peer", "changes", "verdict"),
    [
        ("203.0.113.9", {}, "unlisted"),
        (LISTED, {"BusinessShortCode": "600999"}, "foreign"),
        (LISTED, {"TransID": None}, "unreadable:no_receipt"),
    ],
)
def test_who_knows_the_address_proves_nothing(live, peer, changes, verdict):
    prompted = make_payment(live, account_reference="HSE-14B")
    assert post(live, "confirm", said(live, **changes), peer).status_code == 200
    prompted.refresh_from_db()
    assert (prompted.status, Payment.objects.count()) == ("Pending", 1)
    assert InboundCallback.objects.get().verdict == verdict


def test_another_merchants_address_books_nothing_for_this_one(live):
    other = make_credential(make_merchant("Hoteli"), environment="production")
    post(other, "confirm", said(live))
    assert not Payment.objects.exists()


def test_a_stranger_cannot_fill_the_disk(live, monkeypatch):
    monkeypatch.setattr(confirmations, "STRANGERS_A_DAY", (3, 86_400))
    for number in range(6):
        body = said(live, TransID=f"UCE000000{number}")
        assert post(live, "confirm", body, "203.0.113.9").status_code == 200
    assert InboundCallback.objects.count() == 3
    post(live, "confirm", said(live))
    assert Payment.objects.get().status == "Success", "Safaricom is heard all the same"


@pytest.mark.parametrize("amount", ["50.00", "-50.00"])
def test_what_went_back_is_not_booked_as_money(live, amount):
    post(live, "confirm", said(live))
    changes = {"TransactionType": "Pay Utility Reversal", "TransAmount": amount}
    for receipt in ("UCE3P9W8ZA", "UCE9ZZZZZZ"):
        post(live, "confirm", said(live, TransID=receipt, **changes), "203.0.113.9")
    assert Payment.objects.get().status == "Success", "a stranger takes nothing back"
    post(live, "confirm", said(live, InvoiceNumber="1", **changes))
    assert Payment.objects.get().status == "Reversed"
    post(live, "confirm", said(live, TransID="UCE8ZZZZZZ", **changes))
    assert Payment.objects.count() == 1


@pytest.mark.parametrize("what", ["confirm", "validate"])
def test_a_made_up_address_is_nothing_and_costs_no_query(live, what):
    client = open_client()
    for token in ("0" * 98, "x", "01" + "f" * 96):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            answer = client.post(
                f"/callbacks/c2b/{token}/{what}", said(live), content_type="application/json"
            )
        assert (answer.status_code, len(queries)) == (404, 0)


def test_validation_takes_what_is_for_this_short_code_and_writes_nothing(live):
    assert post(live, "validate", said(live)).json()["ResultCode"] == "0"
    wrong = post(live, "validate", said(live, BusinessShortCode="600999")).json()
    assert wrong == {"ResultCode": "C2B00015", "ResultDesc": "Rejected"}
    assert not InboundCallback.objects.exists()
    assert not Payment.objects.exists()


def test_validation_tells_a_stranger_nothing(live):
    for body in (said(live), said(live, BusinessShortCode="600999"), b"junk"):
        assert post(live, "validate", body, "203.0.113.9").json()["ResultCode"] == "0"


def test_a_slip_in_an_account_number_pays_for_nobody_else(live):
    live.checked_references = True
    live.save()
    good = references.checked_reference(1234)
    slip = good[:-1] + ("0" if good[-1] != "0" else "1")
    assert post(live, "validate", said(live, BillRefNumber=good)).json()["ResultCode"] == "0"
    refused = post(live, "validate", said(live, BillRefNumber=slip)).json()
    assert refused["ResultCode"] == "C2B00012"
    post(live, "confirm", said(live, BillRefNumber=slip))
    flagged = Doubt.objects.get()
    assert (flagged.kind, flagged.payment.status) == ("unknown_reference", "Success")


def test_the_account_number_of_a_prompt_needs_no_check_digits(live):
    live.checked_references = True
    live.save()
    make_payment(live, account_reference="INV-1", prompt_open=True)
    assert post(live, "validate", said(live, BillRefNumber="inv-1")).json()["ResultCode"] == "0"
