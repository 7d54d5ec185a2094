"""Merchants, credentials and keys from the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from milango.core.errors import Declined
from milango.flows import callers
from milango.models import ApiKey, AuditEntry, Merchant, MerchantOrigin, MpesaCredential
from tests.cli.conftest import Milango
from tests.people import make_credential, make_key, make_merchant

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = {
    "MILANGO_CONSUMER_KEY": "canary-consumer-key",
    "MILANGO_CONSUMER_SECRET": "canary-consumer-secret",
    "MILANGO_PASSKEY": "canary-passkey",
}


def test_it_adds_and_lists_a_merchant(milango: Milango) -> None:
    added = milango("merchants", "add", "Mama Mboga", "--origin", "https://Mboga.example/")
    assert added.exit_code == 0
    assert MerchantOrigin.objects.get().origin == "https://mboga.example"
    listed = milango("merchants", "list").output
    assert "Mama Mboga: no credentials yet" in listed
    assert AuditEntry.objects.get(action="merchant.added").actor.startswith("cli")


def test_a_merchants_name_is_its_own(milango: Milango) -> None:
    make_merchant("Duka")
    refused = milango("merchants", "add", "Duka")
    assert (refused.exit_code, refused.output) == (
        1,
        "Error: There is a merchant called Duka already.\n",
    )


@pytest.mark.parametrize(
    "origin",
    ["http://shop.example", "shop.example", "https://shop.example/pay", "https://", "https://a:b"],
)
def test_what_is_no_origin_is_refused(milango: Milango, origin: str) -> None:
    assert milango("merchants", "add", "Duka", "--origin", origin).exit_code == 1
    assert not Merchant.objects.exists()


def test_three_plain_questions_make_a_till(milango: Milango) -> None:
    make_merchant("Duka")
    answers = "till\n5512345\n7700321\nsandbox\n"
    added = milango("credentials", "add", "--merchant", "duka", stdin=answers, env=SECRETS)
    assert added.exit_code == 0, added.output
    row = MpesaCredential.objects.get()
    assert (row.short_code, row.store_number, row.kind) == ("5512345", "7700321", "till")
    assert (row.business_short_code, row.party_b) == ("7700321", "5512345")
    assert row.environment == "sandbox"


def test_a_paybill_is_not_asked_for_a_store_number(milango: Milango) -> None:
    make_merchant("Duka")
    answers = "paybill\n600100\nsandbox\n"
    added = milango("credentials", "add", "--merchant", "Duka", stdin=answers, env=SECRETS)
    assert added.exit_code == 0, added.output
    assert "store" not in added.output
    assert MpesaCredential.objects.get().business_short_code == "600100"


def test_secrets_come_from_files_and_are_never_shown(milango: Milango, tmp_path: Path) -> None:
    make_merchant("Duka")
    words = ["credentials", "add", "--merchant", "Duka", "--kind", "paybill"]
    words += ["--shortcode", "600100", "--environment", "sandbox"]
    for name in ("consumer-key", "consumer-secret", "passkey"):
        (tmp_path / name).write_text(f"canary-{name}\n")
        words += [f"--{name}-file", str(tmp_path / name)]
    added = milango(*words)
    listed = milango("credentials", "list")
    assert MpesaCredential.objects.get().consumer_secret == "canary-consumer-secret"
    assert "canary" not in added.output + listed.output
    assert "600100" in listed.output


def test_secrets_from_a_hidden_question_are_not_echoed(milango: Milango) -> None:
    make_merchant("Duka")
    words = ["credentials", "add", "--merchant", "Duka", "--kind", "paybill"]
    words += ["--shortcode", "600100", "--environment", "sandbox"]
    added = milango(*words, stdin="canary-1\ncanary-2\ncanary-3\n")
    row = MpesaCredential.objects.get()
    assert (row.consumer_key, row.passkey) == ("canary-1", "canary-3")
    assert "canary" not in added.output


def test_no_option_takes_a_secret_itself() -> None:
    from milango.api.cli.credentials import add

    options = {option for parameter in add.params for option in parameter.opts}
    assert not options & {"--consumer-key", "--consumer-secret", "--passkey"}


def test_a_secret_given_for_its_file_is_not_repeated(milango: Milango) -> None:
    make_merchant("Duka")
    words = ["credentials", "add", "--merchant", "Duka", "--kind", "paybill"]
    words += ["--shortcode", "600100", "--environment", "sandbox"]
    refused = milango(*words, "--consumer-key-file", "canary-itself")
    assert refused.exit_code == 2
    assert "--consumer-key-file" in refused.output
    assert "canary" not in refused.output


def test_a_till_needs_another_number_to_sign(milango: Milango) -> None:
    make_merchant("Duka")
    words = ["credentials", "add", "--merchant", "Duka", "--kind", "till", "--shortcode", "5512345"]
    refused = milango(*words, "--store-number", "x", "--environment", "sandbox", env=SECRETS)
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
    assert not MpesaCredential.objects.exists()


def test_a_created_key_works_and_only_it_is_on_stdout(milango: Milango) -> None:
    make_merchant("Duka")
    created = milango("keys", "create", "--merchant", "Duka", "--scope", "read")
    plain = created.stdout.strip()
    assert plain.startswith("sk_")
    assert callers.authenticate(f"Bearer {plain}", None).scopes == {"read"}
    assert plain not in milango("keys", "list").output


def test_a_publishable_key_may_be_given_an_open_amount(milango: Milango) -> None:
    make_merchant("Duka")
    created = milango("keys", "create", "--merchant", "Duka", "--publishable", "--open-amount")
    assert callers.authenticate(f"Bearer {created.stdout.strip()}", None).open_amount


@pytest.mark.parametrize("words", [["--publishable", "--scope", "read"], ["--open-amount"]])
def test_options_that_do_not_fit_are_refused(milango: Milango, words: list[str]) -> None:
    make_merchant("Duka")
    assert milango("keys", "create", "--merchant", "Duka", *words).exit_code == 2
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("by", ["public_id", "hint"])
def test_a_revoked_key_is_useless(milango: Milango, by: str) -> None:
    key, plain = make_key(make_merchant("Duka"))
    assert milango("keys", "revoke", getattr(key, by)).exit_code == 0
    with pytest.raises(Declined):
        callers.authenticate(f"Bearer {plain}", None)
    assert "revoked" in milango("keys", "list").output


def test_an_unknown_key_or_merchant_is_said(milango: Milango) -> None:
    make_merchant("Duka")
    assert "no such key" in milango("keys", "revoke", "sk_0123456789").output
    unknown = milango("keys", "create", "--merchant", "Dukka")
    assert unknown.exit_code == 2
    assert "There are: Duka." in unknown.output


def test_one_merchants_keys_and_credentials_are_listed_alone(milango: Milango) -> None:
    ours, theirs = make_merchant("Ours"), make_merchant("Theirs")
    make_key(ours)
    make_key(theirs)
    make_credential(ours)
    make_credential(theirs)
    for noun in ("keys", "credentials"):
        listed = milango(noun, "list", "--merchant", "Ours").output
        assert "Ours" in listed
        assert "Theirs" not in listed
