"""What the command line says about the sources that a short code can be asked through."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from milango.flows import audit
from milango.models import CredentialState, MpesaCredential, StatusQuestion
from tests.cli.conftest import Milango
from tests.people import make_credential, make_merchant

pytestmark = pytest.mark.django_db(transaction=True)

RECEIPT = "UCE5K7Q2XD"


@pytest.fixture
def live() -> MpesaCredential:
    return make_credential(make_merchant("Duka"), short_code="600984", environment="production")


def ask(milango: Milango, receipt: str = RECEIPT, shortcode: str = "600984") -> Any:
    return milango("shortcodes", "ask", "--merchant", "Duka", "--shortcode", shortcode, receipt)


def with_operator(credential: MpesaCredential) -> None:
    credential.initiator_name = credential.initiator_certificate = "x"
    credential.initiator_password = "y"
    credential.save()


def refused(credential: MpesaCredential) -> None:
    CredentialState.objects.create(
        credential=credential,
        refused_version=credential.version,
        initiator_refused_at=timezone.now(),
    )


def test_why_a_receipt_is_not_asked_about_is_said(milango: Milango, live: MpesaCredential) -> None:
    assert "no API operator" in ask(milango).output
    with_operator(live)
    StatusQuestion.objects.create(credential=live, receipt=RECEIPT, asked_at=timezone.now())
    assert "still open" in ask(milango).output
    refused(live)
    assert "more tries would lock it" in ask(milango).output
    assert ask(milango, "not-a-receipt").exit_code == 2


def test_an_unknown_short_code_names_those_that_there_are(
    milango: Milango, live: MpesaCredential
) -> None:
    answer = ask(milango, shortcode="600000")
    assert answer.exit_code == 2
    assert "Paybill 600984 (production)" in " ".join(answer.output.split())


def test_the_check_urges_a_second_source(milango: Milango, live: MpesaCredential) -> None:
    checked = milango("check", "--setup")
    assert "neither C2B nor Pull is on" in checked.output
    assert checked.exit_code == 0, "worth knowing, and not wrong"
    audit.record("test", "c2b.registered", live.public_id, merchant=live.merchant)
    assert "neither" not in milango("check", "--setup").output


def test_the_check_says_that_an_operator_was_refused(
    milango: Milango, live: MpesaCredential
) -> None:
    with_operator(live)
    refused(live)
    assert "Daraja refused the API operator" in milango("check", "--setup").output
