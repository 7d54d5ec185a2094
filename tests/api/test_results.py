"""POST /callbacks/result/<token>: what Transaction Status answers, and what it may prove."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import OperationalError
from django.utils import timezone

from milango.core.payments import Outcome, Source
from milango.daraja import DynamicMpesaClient
from milango.daraja.questions import StatusAccepted
from milango.daraja.results import StatusResult
from milango.flows import batches, questions, reversals, words
from milango.flows.book import Line, book
from milango.models import CredentialState, Doubt, InboundCallback, Payment, StatusQuestion
from milango.models.ids import uuid7
from tests.flows.conftest import at_once, make_payment, original
from tests.people import PAYER, make_credential, make_merchant

from .conftest import open_client

pytestmark = pytest.mark.django_db

LISTED = "196.201.214.200"
RECEIPT = "UCE3P9W8ZA"


class Asked:
    """A question that Daraja has taken, and its result address."""

    def __init__(self, payment: Payment | None, monkeypatch: pytest.MonkeyPatch) -> None:
        self.live = payment.credential if payment else make_live()
        self.address = ""
        self.payment = payment

        def take(client: Any, receipt: str, *, result_url: str, timeout_url: str) -> StatusAccepted:
            self.address = urlsplit(result_url).path
            return StatusAccepted(conversation_id="AG_1", originator_conversation_id="o-1")

        monkeypatch.setattr(DynamicMpesaClient, "payment_status", take)
        found = questions.ask_by_receipt(self.live, RECEIPT, why="claim", payment=payment)
        assert found
        self.question = found

    def answer(self, peer: str = LISTED, code: Any = 0, suffix: str = "", **changes: Any) -> str:
        at = timezone.now() + timedelta(hours=3)
        values = {
            "ReceiptNo": RECEIPT,
            "Amount": "50.00",
            "TransactionStatus": "Completed",
            "FinalisedTime": at.strftime("%Y%m%d%H%M%S"),
            "CreditPartyName": f"{self.live.short_code} - DUKA",
            "DebitPartyName": f"{PAYER} - SOMEBODY",
        }
        ids = {"ConversationID": changes.pop("ConversationID", "AG_1")}
        values |= changes
        parameters = [{"Key": key, "Value": value} for key, value in values.items()]
        result = {
            **ids,
            "ResultType": 0,
            "ResultCode": code,
            "ResultDesc": "",
            "OriginatorConversationID": "o-1",
            "ResultParameters": {"ResultParameter": parameters},
        }
        response = open_client().post(
            self.address + suffix,
            json.dumps({"Result": result}),
            content_type="application/json",
            REMOTE_ADDR=peer,
        )
        assert response.status_code == 200
        self.question.refresh_from_db()
        if self.payment:
            self.payment.refresh_from_db()
        return self.question.verdict


def make_live() -> Any:
    return make_credential(
        make_merchant("Duka"),
        environment="production",
        initiator_name="operator",
        initiator_password="secret",
        initiator_certificate="PEM",
    )


@pytest.fixture
def asked(db: None, monkeypatch: pytest.MonkeyPatch) -> Asked:
    return Asked(make_payment(make_live()), monkeypatch)


def test_a_completed_receipt_proves_the_payment(asked):
    assert asked.answer() == "settled"
    assert (asked.payment.status, asked.payment.receipt_number) == ("Success", RECEIPT)
    assert asked.question.answered_at is not None
    assert InboundCallback.objects.get().kind == "result"


BEFORE = "doubt:before_request"


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ({"peer": "203.0.113.9"}, "unlisted"),
        ({"ConversationID": "AG_2"}, "foreign"),
        ({"ConversationID": None}, "foreign"),
        ({"TransactionStatus": "Reversed", "FinalisedTime": 20200101120000}, BEFORE),
        ({"ReceiptNo": "UCE0000001"}, "other_receipt"),
        ({"CreditPartyName": "600999 - OTHER"}, "other_short_code"),
        ({"Amount": None}, "no_amount"),
        ({"Amount": "51.00"}, "doubt:other_amount"),
        ({"DebitPartyName": "254700000000 - OTHER"}, "doubt:other_payer"),
        ({"TransactionStatus": "Pending Authorized"}, "says:Pending Authorized"),
        ({"TransactionStatus": "Failed"}, "says:Failed"),
        ({"code": 2033}, "says:2033"),
        ({"suffix": "/timeout"}, "timeout"),
    ],
)
def test_what_does_not_fit_proves_nothing(asked, answer, verdict):
    assert asked.answer(**answer) == verdict
    assert asked.payment.status == "Pending"


@pytest.mark.django_db(transaction=True)
def test_whose_a_receipt_is_that_a_word_has_put_elsewhere_hears_of_it_too(asked):
    mine, other = asked.payment, make_payment(asked.payment.credential, amount=51)
    words.speak(mine, "paid", reason="so I heard", actor="cli:asha", receipt=RECEIPT)
    assert asked.answer(Amount="51.00") == "doubt:other_amount"
    assert set(Doubt.objects.values_list("payment", "kind")) == {
        (mine.pk, "other_amount"),
        (other.pk, "receipt_taken"),
    }


def test_an_answer_that_is_none_leaves_the_question_open_for_the_true_one(asked):
    asked.answer(peer="203.0.113.9")
    asked.answer(ConversationID="AG_2")
    assert asked.answer() == "settled"
    assert asked.payment.status == "Success"


def test_a_question_is_answered_once(asked):
    asked.answer()
    asked.answer(TransactionStatus="Reversed")
    assert asked.payment.status == "Success"
    verdicts = InboundCallback.objects.order_by("pk").values_list("verdict", flat=True)
    assert list(verdicts) == ["settled", "duplicate"]


def test_a_reversed_receipt_reverses_its_payment(asked):
    assert asked.answer(TransactionStatus="Reversed") == "settled"
    assert asked.payment.status == "Reversed"


@pytest.mark.parametrize("code", [2001, "8006"])
def test_a_refused_initiator_is_not_used_again_until_it_is_changed(asked, code):
    assert asked.answer(code=code) == f"initiator:{code}"
    assert asked.payment.status == "Pending"
    assert str(code) in CredentialState.objects.get().initiator_problem
    assert questions.ask_by_receipt(asked.live, "UCE0000009", why="operator") is None
    asked.live.initiator_password = "new"
    asked.live.save()
    assert questions.may_ask(asked.live)


def test_an_open_question_is_not_asked_twice(asked):
    assert questions.ask_by_receipt(asked.live, RECEIPT, why="operator") is None
    assert StatusQuestion.objects.count() == 1


def test_a_receipt_without_a_payment_is_booked(db, monkeypatch):
    asked = Asked(None, monkeypatch)
    assert asked.answer() == "own"
    assert Payment.objects.get().receipt_number == RECEIPT


def test_a_reversed_receipt_without_a_payment_is_remembered(db, monkeypatch):
    """Or the money would be booked when a late confirmation tells of it."""
    asked = Asked(None, monkeypatch)
    assert asked.answer(TransactionStatus="Reversed") == "reversal_unmatched"
    line = Line(receipt=RECEIPT, amount=Decimal(50), paid_at=timezone.now())
    book(asked.live, [line], Source.C2B, listed=True)
    assert reversals.retry(timezone.now()) == 1
    assert Payment.objects.get().status == "Reversed"


def test_a_result_for_nobody_is_nothing():
    body = json.dumps({"Result": {}})
    for path in ("/callbacks/result/x", f"/callbacks/result/{'0' * 98}/timeout"):
        answer = open_client().post(path, body, content_type="application/json")
        assert answer.status_code == 404


@pytest.mark.django_db(transaction=True)
def test_a_word_about_anothers_receipt_is_found_out_by_a_question_about_the_receipt_alone(
    db, monkeypatch
):
    asked = Asked(None, monkeypatch)
    named = make_payment(asked.live, phone="254700000099")
    words.speak(named, "paid", reason="so I heard", actor="cli:asha", receipt=RECEIPT)
    meant = make_payment(asked.live)
    assert asked.answer() == "doubt:other_payer"
    assert set(Doubt.objects.values_list("payment", "kind")) == {
        (named.pk, "other_payer"),
        (meant.pk, "receipt_taken"),
    }


def test_a_payers_own_payment_with_a_masked_number_is_reversed(db, monkeypatch):
    live = make_live()
    line = Line(
        receipt=RECEIPT, amount=Decimal(50), paid_at=timezone.now(), phone=f"2547***{PAYER[-3:]}"
    )
    book(live, [line], Source.C2B, listed=True)
    asked = Asked(Payment.objects.get(), monkeypatch)
    assert asked.answer(TransactionStatus="Reversed") == "settled"
    assert Payment.objects.get().status == "Reversed"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_answers_about_two_short_codes_do_not_wait_for_each_other(monkeypatch):
    conflicts = []
    once = batches._once

    def watched(*given: Any) -> Any:
        try:
            return once(*given)
        except OperationalError as error:
            conflicts.append(error)
            raise

    monkeypatch.setattr(batches, "_once", watched)
    live = [
        make_credential(make_merchant(name), environment="sandbox", short_code=code)
        for name, code in (("Kibanda", "600111"), ("Hoteli", "600222"))
    ]

    def answers(turn: int, order: int) -> list[questions.Answer]:
        made = []
        for credential in live[::order]:
            code = f"UCE{turn:03}{order + 1}{credential.short_code[-3:]}"
            row = StatusQuestion.objects.create(
                id=uuid7(),
                credential=credential,
                receipt=code,
                why="operator",
                token_hash="0" * 64,
                asked_at=timezone.now(),
            )
            said = StatusResult(
                outcome=Outcome.PAID,
                code="0",
                text="",
                receipt=code,
                amount=Decimal(50),
                credit_short_code=credential.short_code,
            )
            made.append(
                questions.Answer(
                    row.pk,
                    said,
                    original(Payment(callback_token_hash="0" * 64), b"{}"),
                    True,
                    "result",
                )
            )
        return made

    for turn in range(8):
        both = [answers(turn, order) for order in (1, -1)]
        at_once(*(partial(batches.run, questions.ANSWERS, each) for each in both))
    assert Payment.objects.count() == 32
    assert not conflicts
