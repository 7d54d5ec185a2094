"""`milango check`, `replay` and `doubts`, as a person or a monitoring script runs them."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from milango.core.payments import Source
from milango.flows import endpoints, installations
from milango.flows.settle import settle_many
from milango.models import (
    AuditEntry,
    Doubt,
    InboundCallback,
    Payment,
    Receipt,
    StatusQuestion,
)
from tests.cli.conftest import Milango
from tests.flows.conftest import accepted, make_payment, paid
from tests.flows.test_receive import body, with_token
from tests.people import OTHER_PAYER, PAYER, make_credential, make_merchant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def payment() -> Payment:
    installations.current()
    payment = make_payment(make_credential(make_merchant()))
    settle_many([accepted(payment), paid(payment)])
    return payment


def test_sound_books_end_with_0(milango: Milango, payment: Payment) -> None:
    checked = milango("check")
    assert checked.exit_code == 0, checked.output
    assert "ok  books: 1 payments held to" in checked.output
    assert "ok  settings" in checked.output


def test_what_is_wrong_is_named_with_what_it_means_and_what_to_do(
    milango: Milango, payment: Payment
) -> None:
    Payment.objects.update(status="Failed")
    checked = milango("check")
    assert checked.exit_code == 1
    assert payment.public_id in checked.output
    assert payment.merchant.public_id in checked.output
    assert "is Failed, and its evidence amounts to Success" in checked.output
    assert "It means: " in checked.output
    assert "Next: " in checked.output
    assert "254708374149" not in checked.output


def test_json_is_one_document(milango: Milango, payment: Payment) -> None:
    assert json.loads(milango("check", "--json").output)["clean"] is True
    Payment.objects.update(amount_paid=1)
    checked = milango("check", "--money", "--json")
    told = json.loads(checked.output)
    assert (checked.exit_code, told["clean"], told["setup"]) == (1, False, {})
    names = {finding["invariant"] for finding in told["books"]["findings"]}
    assert names == {"status_has_evidence", "sums_agree", "receipt_settles_one"}


def test_what_cannot_be_checked_ends_with_2(milango: Milango, settings, tmp_path: Path) -> None:
    from django.db import connection

    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = str(tmp_path / "nowhere" / "none")
    try:
        checked = milango("check", "--money")
    finally:
        connection.close()
        connection.settings_dict["NAME"] = name
    assert checked.exit_code == 2
    assert "could not be checked" in checked.output


def test_the_setup_alone_and_the_money_alone(milango: Milango, payment: Payment) -> None:
    assert "books" not in milango("check", "--setup").output
    assert "settings" not in milango("check", "--money").output
    Payment.objects.update(status="Failed")
    assert milango("check", "--setup").exit_code == 0
    later = (timezone.now() + timedelta(days=2)).date().isoformat()
    assert milango("check", "--money", "--since", later).exit_code == 0
    assert milango("check", "--money", "--since", "1h").exit_code == 1
    assert milango("check", "--since", "yesterday").exit_code == 2


def _stored(verdict: str) -> tuple[Payment, InboundCallback]:
    payment, _token = with_token(make_credential(make_merchant()))
    settle_many([accepted(payment)])
    row = InboundCallback.objects.create(
        payment=payment,
        merchant=payment.merchant,
        body=body(payment),
        body_sha256="a" * 64,
        peer="196.201.214.200",
        verdict=verdict,
        received_at=timezone.now(),
        named_id=payment.pk,
        token_hash=payment.callback_token_hash,
    )
    return payment, row


def test_replay_settles_what_is_stored_and_says_so(milango: Milango) -> None:
    payment, _row = _stored("poisoned")
    replayed = milango("replay")
    assert replayed.exit_code == 0, replayed.output
    assert "poisoned -> settled" in replayed.output
    payment.refresh_from_db()
    assert payment.status == "Success"
    assert AuditEntry.objects.filter(action="callbacks.replayed").count() == 1
    assert "nothing to process again" in milango("replay").output


def test_replay_takes_those_that_are_named(milango: Milango) -> None:
    _payment, row = _stored("doubt:not_json")
    assert "nothing to process again" in milango("replay").output
    assert (
        "nothing to process again"
        in milango("replay", "--verdict", "doubt:not_json", "--since", "2999-01-01").output
    )
    assert "doubt:not_json -> settled" in milango("replay", "--id", row.public_id).output
    assert milango("replay", "--id", "pay_1").exit_code == 2


def test_replay_ends_with_1_while_something_is_left(milango: Milango) -> None:
    InboundCallback.objects.create(
        body=b"{}", body_sha256="b" * 64, verdict="orphan", received_at=timezone.now()
    )
    assert milango("replay").exit_code == 1


@pytest.fixture
def doubt(payment: Payment) -> Doubt:
    settle_many([paid(payment, amount=1)])
    return Doubt.objects.get()


def test_doubts_are_listed_shown_and_resolved(milango: Milango, doubt: Doubt) -> None:
    listed = milango("doubts", "list").output
    assert doubt.public_id in listed
    assert "other_amount" in listed
    shown = milango("doubts", "show", doubt.public_id).output
    assert "payment.flagged" in shown
    assert "another amount than was asked" in shown
    assert doubt.payment.phone not in listed + shown
    assert milango("doubts", "resolve", doubt.public_id).exit_code == 2
    resolved = milango("doubts", "resolve", doubt.public_id, "--reason", "sent back")
    assert resolved.exit_code == 0, resolved.output
    assert milango("doubts", "resolve", doubt.public_id, "--reason", "again").exit_code == 1
    assert "There are none." in milango("doubts", "list").output
    assert "resolved" in milango("doubts", "list", "--resolved").output
    shown = milango("doubts", "show", doubt.public_id).output
    assert "sent back" in shown
    assert f"UTC by {AuditEntry.objects.get(action='doubt.resolved').actor}: " in shown


def test_a_payments_timeline_says_who_proved_what_and_nothing_that_is_not_known(
    milango: Milango,
) -> None:
    payment = make_payment(make_credential(make_merchant("Kiosk")))
    settle_many([accepted(payment), paid(payment, None, source=Source.QUERY)])
    shown = milango("payments", "show", payment.public_id).output
    assert "payment.succeeded  told by query\n" in shown
    settle_many([paid(payment, amount=1)])
    shown = milango("payments", "show", payment.public_id).output
    assert Doubt.objects.get().public_id in shown
    assert "another amount than was asked" in shown


def test_doubts_of_one_merchant_are_its_own(milango: Milango, doubt: Doubt) -> None:
    make_merchant("Kiosk")
    assert "There are none." in milango("doubts", "list", "--merchant", "Kiosk").output
    assert doubt.public_id in milango("doubts", "list", "--merchant", "Duka").output
    assert "There are none." in milango("doubts", "list", "--kind", "refund_due").output
    assert milango("doubts", "show", "dbt_1").exit_code == 2


def test_unmatched_money_is_listed_and_matched(milango: Milango) -> None:
    installations.current()
    credential = make_credential(make_merchant())
    small, large = make_payment(credential), make_payment(credential, amount=9_000)
    for amount in (50, 9_000):
        Receipt.objects.create(
            environment=credential.environment,
            short_code=credential.party_b,
            code=f"UCE{amount:07}",
            credential=credential,
            amount=amount,
            source="c2b",
            paid_at=timezone.now(),
        )
    merchant = ("--merchant", credential.merchant.name, "--shortcode", credential.short_code)
    assert "UCE0000050  KES 50.00" in milango("shortcodes", "unmatched", *merchant).output
    of_all = milango("shortcodes", "unmatched").output
    assert "UCE0000050  KES 50.00" in of_all
    assert f"{credential.merchant.name}, {credential.short_code}" in of_all
    assert milango("shortcodes", "unmatched", "--shortcode", "999").exit_code == 2
    why = ("--reason", "the till slip")
    wrong = milango("payments", "match", large.public_id, "UCE0000050", *why)
    assert wrong.exit_code != 0
    assert "It is KES 50.00, and the payment asks for KES 9000.00." in wrong.output
    assert milango("payments", "match", small.public_id, "UCE0000050", *why).exit_code == 0
    noted = milango("payments", "match", large.public_id, "UCE0009000", *why)
    assert (noted.exit_code, "second person" in noted.output) == (3, True)
    small.refresh_from_db()
    assert (small.status, small.receipt_number) == ("Success", "UCE0000050")


def test_a_word_that_waits_is_withdrawn(milango: Milango) -> None:
    installations.current()
    payment = make_payment(make_credential(make_merchant()), amount=9_000)
    said = milango("payments", "mark", payment.public_id, "paid", "--reason", "the till slip")
    word = said.output.split()[-1]
    assert word in milango("payments", "waiting").output
    assert f"Withdrawn: {word} never counts" in milango("payments", "withdraw", word).output
    assert "Nothing waits." in milango("payments", "waiting").output
    refused = milango("payments", "approve", word)
    assert (refused.exit_code, "was withdrawn by" in refused.output) == (1, True)
    assert milango("payments", "withdraw", "wrd_1").exit_code == 2


def test_a_word_that_proof_outweighs_is_not_said_to_count(
    milango: Milango, payment: Payment
) -> None:
    said = milango("payments", "mark", payment.public_id, "failed", "--reason", "not on the slip")
    assert said.exit_code == 1
    assert "stays Success: what is proven of it outweighs this word" in said.output
    assert "voided" in said.output


def test_a_payment_shows_the_word_that_waits_for_it(milango: Milango, payment: Payment) -> None:
    why = ("--reason", "forged")
    word = milango("payments", "mark", payment.public_id, "voided", *why).output.split()[-1]
    assert (
        f"milango payments approve {word}" in milango("payments", "show", payment.public_id).output
    )
    milango("payments", "withdraw", word)
    assert word not in milango("payments", "show", payment.public_id).output


@pytest.mark.parametrize("command", ["mark", "match", "ask"])
def test_a_text_that_is_no_receipt_is_refused(milango: Milango, command: str) -> None:
    installations.current()
    payment = make_payment(make_credential(make_merchant()))
    why = ("--reason", "the till slip")
    given = {
        "mark": ("payments", "mark", payment.public_id, "paid", "--receipt", "slip 12", *why),
        "match": ("payments", "match", payment.public_id, "slip 12", *why),
        "ask": ("shortcodes", "ask", "--merchant", "Duka", "--shortcode", "600100", "slip 12"),
    }
    refused = milango(*given[command])
    assert refused.exit_code == (1 if command == "match" else 2)
    assert "'slip 12' is no receipt. One has ten letters and digits" in refused.output
    payment.refresh_from_db()
    assert payment.status == "Pending"


def test_payments_are_found_by_what_a_person_knows_of_them(
    milango: Milango, payment: Payment
) -> None:
    other = make_payment(make_credential(make_merchant("Hoteli")), phone=OTHER_PAYER)
    payment.refresh_from_db()
    both = milango("payments", "list").output
    assert {line.split()[0] for line in both.splitlines()} == {other.public_id, payment.public_id}
    assert PAYER not in both
    for words in (
        ("--phone", PAYER),
        ("--receipt", payment.receipt_number.lower()),
        ("--status", "Success"),
        ("--merchant", payment.merchant.name),
    ):
        found = milango("payments", "list", *words).output
        assert payment.public_id in found
        assert other.public_id not in found
    assert milango("payments", "list", "--most", "1").output.count("pay_") == 1
    assert milango("payments", "list", "--order", "x").output == "There is none.\n"
    wrong = milango("payments", "list", "--status", "paid")
    assert wrong.exit_code
    assert "status must be one of Pending" in wrong.output


def test_what_was_asked_of_transaction_status_is_listed_with_its_answer(
    milango: Milango, payment: Payment
) -> None:
    assert milango("shortcodes", "asked").output == "Nothing was asked.\n"
    asked = {"credential": payment.credential, "why": "operator", "asked_at": timezone.now()}
    StatusQuestion.objects.create(receipt="UCE0000001", verdict="says:2033", **asked)
    StatusQuestion.objects.create(receipt="UCE0000002", payment=payment, **asked)
    answered, waits = sorted(milango("shortcodes", "asked").output.splitlines())
    assert answered.startswith("UCE0000001  ")
    assert answered.endswith("says:2033")
    assert waits.startswith(f"UCE0000002 ({payment.public_id})")
    assert waits.endswith("no answer yet")
    assert len(milango("shortcodes", "asked", "--receipt", "UCE0000001").output.splitlines()) == 1


def test_deliveries_are_listed_with_the_ids_that_replay_takes(
    milango: Milango, payment: Payment
) -> None:
    assert milango("webhooks", "deliveries").output == "There is none.\n"
    endpoint = endpoints.add(payment.merchant, "https://shop.example/hook", actor="test")
    delivery = endpoints.trigger_at(endpoint, "ping")
    listed = milango("webhooks", "deliveries", "--merchant", payment.merchant.name).output
    assert f"{delivery.public_id}  " in listed
    assert "ping: due, attempts: 0, https://shop.example/hook" in listed
    assert milango("webhooks", "deliveries", "--state", "given_up").output == "There is none.\n"
