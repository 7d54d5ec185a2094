"""A stored callback leads to its payment, and the payment to what M-Pesa has told of it."""

from __future__ import annotations

import json
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from milango.flows import confirmations, matching, replay, traces
from milango.flows.settle import settle_many
from milango.models import InboundCallback, MpesaCredential, Payment, StatusQuestion
from tests.people import PAYER, make_credential, make_merchant

from .conftest import accepted, original, paid

pytestmark = pytest.mark.django_db(transaction=True)

LISTED = "196.201.214.200"
STRANGER = "203.0.113.9"
CODE = "UCE3P9W8ZA"


def told(credential: MpesaCredential, peer: str = LISTED, **changes: str) -> InboundCallback:
    """A confirmation is posted; gives the row that keeps it."""
    said = {"TransID": CODE, "TransAmount": "50.00", "MSISDN": PAYER, "BillRefNumber": "INV-1"}
    said |= {"BusinessShortCode": credential.short_code} | changes
    token = urlsplit(confirmations.address_of(credential, "confirm")).path.split("/")[-2]
    confirmations.receive_confirmation(token, json.dumps(said).encode(), {}, peer)
    return InboundCallback.objects.latest("received_at")


def about(row: InboundCallback) -> UUID | None:
    found: UUID | None = traces.traced(InboundCallback.objects.filter(pk=row.pk)).get().about
    return found


def test_a_confirmation_leads_to_the_payment_that_it_made_or_settled(credential, pay) -> None:
    prompted = pay(prompt_open=True)
    joined = told(credential)
    own = told(credential, TransID="UCE7777777", TransAmount="70.00")
    made = Payment.objects.exclude(pk=prompted.pk).get()
    assert (joined.verdict, own.verdict) == ("joined", "own")
    assert (about(joined), about(own)) == (prompted.pk, made.pk)
    assert list(traces.confirmations_of(prompted)) == [joined]
    assert list(traces.confirmations_of(made)) == [own]


def test_money_that_waited_leads_to_the_payment_that_a_person_named(credential, pay) -> None:
    pay(prompt_open=True)
    second = pay()
    row = told(credential)
    assert (row.verdict, about(row)) == ("unmatched", None)
    matching.match(second, CODE, reason="the payer came by", actor="cli:asha")
    assert about(row) == second.pk
    assert list(traces.confirmations_of(second)) == [row]


def test_what_is_not_believed_leads_nowhere(credential) -> None:
    own = told(credential)
    forged = told(credential, STRANGER, FirstName="X")
    foreign = told(credential, BusinessShortCode="600999")
    assert (forged.verdict, foreign.verdict) == ("unlisted", "foreign")
    assert about(forged) is about(foreign) is None
    assert list(traces.confirmations_of(Payment.objects.get())) == [own]


def test_bytes_that_a_stranger_posted_first_lead_there_once_safaricom_has_said_them(
    credential,
) -> None:
    row = told(credential, STRANGER)
    assert about(row) is None
    assert told(credential) == row
    assert about(row) == Payment.objects.get().pk


def test_what_was_foreign_leads_there_once_it_is_processed_again(credential) -> None:
    row = told(credential, BusinessShortCode="600999")
    MpesaCredential.objects.filter(pk=credential.pk).update(store_number="600999", kind="till")
    assert replay.again(row.pk).verdict == "own"
    assert about(row) == Payment.objects.get().pk


def test_a_reversal_leads_to_what_it_took_back(credential, pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, CODE)])
    row = told(credential, TransactionType="Pay Bill Reversal", TransID="UCE9ZZZZZZ")
    assert about(row) == payment.pk
    assert list(traces.confirmations_of(payment)) == [row]


def test_one_receipt_at_two_merchants_leads_each_to_its_own(credential) -> None:
    other = make_credential(make_merchant("Kiosk"), environment="production")
    rows = [told(each) for each in (credential, other)]
    owners = {payment.merchant: payment.pk for payment in Payment.objects.all()}
    assert [about(row) for row in rows] == [owners[credential.merchant], owners[other.merchant]]


def test_prompts_and_answers_lead_to_their_payments(credential, pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, CODE, original=original(payment, b"{}"))])
    asked = StatusQuestion.objects.create(
        credential=credential, payment=payment, receipt=CODE, asked_at=timezone.now()
    )
    common = {"received_at": timezone.now(), "named_id": asked.pk, "kind": "result"}
    answer = InboundCallback.objects.create(
        merchant=credential.merchant, verdict="settled", body_sha256="1" * 64, **common
    )
    orphan = InboundCallback.objects.create(verdict="orphan", body_sha256="2" * 64, **common)
    assert about(InboundCallback.objects.get(kind="stk")) == payment.pk
    assert (about(answer), about(orphan)) == (payment.pk, None)


def test_a_payments_confirmations_are_found_by_index(credential) -> None:
    told(credential)
    common = {"kind": "c2b", "named_id": credential.pk, "received_at": timezone.now()}
    InboundCallback.objects.bulk_create(
        InboundCallback(body_sha256=f"{n:064}", receipt=f"UCE{n:07}", **common)
        for n in range(1, 2_001)
    )
    rows = traces.confirmations_of(Payment.objects.get())
    with connection.cursor() as cursor:
        # Of a table that is nearly empty every plan is as good as another.
        cursor.execute("ANALYZE milango_inboundcallback")
    assert "callbacks_by_receipt" in rows.explain()
