"""Commands about the installation: its address, its keys, and what needs a person."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from milango.conf import conf
from milango.flows import installations
from milango.models import AuditEntry, Doubt, Installation, MpesaCredential
from tests.cli.conftest import Milango
from tests.people import make_credential, make_key, make_merchant

pytestmark = pytest.mark.django_db(transaction=True)


def _doubt(**fields: Any) -> Doubt:
    from uuid import uuid4

    from milango.models import Payment

    credential = make_credential(make_merchant())
    now = timezone.now()
    payment = Payment.objects.create(
        id=uuid4(),
        merchant=credential.merchant,
        credential=credential,
        credential_version=1,
        environment="simulator",
        short_code=credential.short_code,
        party_b=credential.party_b,
        amount=Decimal(50),
        phone="254708374149",
        account_reference="A1",
        callback_token_hash="x",
        created_at=now,
        prompt_until=now,
    )
    given = {"kind": "other_amount", "amount": Decimal(50), "owner": "operator", "raised_at": now}
    return Doubt.objects.create(merchant=credential.merchant, payment=payment, **given | fields)


def test_a_sound_installation_passes(milango: Milango) -> None:
    installations.current()
    checked = milango("check")
    assert checked.exit_code == 0, checked.output
    assert "!!" not in checked.output


@pytest.mark.parametrize(("days", "code"), [(2, 0), (4, 1)])
def test_a_doubt_older_than_three_days_fails(milango: Milango, days: int, code: int) -> None:
    _doubt(raised_at=timezone.now() - timedelta(days=days))
    checked = milango("check")
    assert checked.exit_code == code
    assert ("other_amount" in checked.output) is bool(code)
    assert "254708374149" not in checked.output


def test_a_resolved_doubt_does_not_fail(milango: Milango) -> None:
    now = timezone.now()
    _doubt(raised_at=now - timedelta(days=9), resolved_at=now)
    assert milango("check").exit_code == 0


def test_an_edited_audit_trail_fails(milango: Milango) -> None:
    make_key(make_merchant())
    AuditEntry.objects.update(actor="somebody else")
    checked = milango("check")
    assert checked.exit_code == 1
    assert "Entry 1 was changed" in checked.output


def test_a_copy_under_another_address_fails_until_it_is_adopted(milango: Milango) -> None:
    Installation.objects.create(pk=1, public_url="https://live.example.test")
    refused = milango("check")
    assert refused.exit_code == 1
    assert "milango adopt" in refused.output
    adopted = milango("adopt")
    assert conf().public_url in adopted.output
    assert milango("check").exit_code == 0


def test_the_worker_refuses_a_database_of_another_address(milango: Milango) -> None:
    Installation.objects.create(pk=1, public_url="https://live.example.test")
    refused = milango("worker")
    assert refused.exit_code == 1
    assert "milango adopt" in refused.output


def test_rotating_seals_every_secret_with_the_first_key(milango: Milango, settings: Any) -> None:
    make_credential(make_merchant(), consumer_key="canary")
    newest, older = settings.MILANGO["KEYS"]
    settings.MILANGO = settings.MILANGO | {"KEYS": [older, newest]}
    rotated = milango("rotate-keys")
    assert rotated.exit_code == 0, rotated.output
    assert "3 sealed anew, 0 were already, 0 failed." in rotated.output
    settings.MILANGO = settings.MILANGO | {"KEYS": [older]}
    assert MpesaCredential.objects.get().consumer_key == "canary"


def test_a_secret_that_cannot_be_opened_fails_the_rotation(milango: Milango, settings: Any) -> None:
    from milango import sealing

    make_credential(make_merchant())
    settings.MILANGO = settings.MILANGO | {"KEYS": [sealing.generate_key("09")]}
    rotated = milango("rotate-keys")
    assert rotated.exit_code == 1
    assert "3 failed" in rotated.output


def test_a_new_key_is_one_line_that_the_settings_take(milango: Milango, settings: Any) -> None:
    made = milango("new-key", "--id", "0a")
    settings.MILANGO = settings.MILANGO | {"KEYS": [made.output.strip()]}
    assert conf().keys[0].kid == "0a"
    assert milango("new-key", "--id", "zz").exit_code == 2


def test_manage_py_has_the_same_commands() -> None:
    call_command("milango", "merchants", "add", "Mama Mboga")
    assert AuditEntry.objects.filter(action="merchant.added").exists()
