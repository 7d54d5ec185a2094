"""EncryptedField: plain only while it is read, and only in its own row."""

from __future__ import annotations

import copy
import io
import json
import pickle
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.core import serializers
from django.core.management import call_command
from django.db import models, transaction
from django.db.migrations.writer import MigrationWriter
from django.db.models import F, Value
from django.forms import modelform_factory
from django.http import HttpRequest
from django.test import override_settings
from django.test.utils import isolate_apps

from milango import sealing
from milango.core.errors import SecretUnreadable
from milango.models import MpesaCredential, OAuthToken
from milango.models.fields import EncryptedField, Sealed, sealed_for

from . import raw
from .keys import FIRST, SECOND, with_keys

pytestmark = pytest.mark.django_db

PLAIN = "secret of Mama Njeri"


def again(row: MpesaCredential) -> MpesaCredential:
    return MpesaCredential.objects.get(pk=row.pk)


def pickled_and_back(row: MpesaCredential) -> MpesaCredential:
    copied: MpesaCredential = pickle.loads(pickle.dumps(row))  # noqa: S301 - our own bytes
    return copied


def held(row: models.Model, name: str = "consumer_secret") -> Any:
    return row.__dict__[name]


# -- in the database


def test_it_works(mine: MpesaCredential) -> None:
    assert mine.consumer_secret == PLAIN
    stored = raw.read(mine, "consumer_secret")
    assert stored.startswith("mse1:01:")
    assert PLAIN not in stored


def test_each_column_of_a_row_is_sealed_for_itself(mine: MpesaCredential) -> None:
    raw.write(mine, "passkey", raw.read(mine, "consumer_secret"))
    with pytest.raises(SecretUnreadable):
        _ = again(mine).passkey


def test_a_secret_does_not_open_in_another_row(
    mine: MpesaCredential, theirs: MpesaCredential
) -> None:
    raw.write(theirs, "consumer_secret", raw.read(mine, "consumer_secret"))
    with pytest.raises(SecretUnreadable, match="another row"):
        _ = again(theirs).consumer_secret


def test_a_secret_does_not_open_for_another_merchant(
    mine: MpesaCredential, theirs: MpesaCredential
) -> None:
    raw.write(mine, "merchant_id", raw.read(theirs, "merchant_id"))
    with pytest.raises(SecretUnreadable, match="another row"):
        _ = again(mine).consumer_secret


def test_a_lost_key_gives_an_error_and_never_the_ciphertext(mine: MpesaCredential) -> None:
    with override_settings(MILANGO=with_keys(SECOND)):
        with pytest.raises(SecretUnreadable, match="'01'"):
            _ = again(mine).consumer_secret
        assert "mse1" not in repr(again(mine).__dict__)


def test_a_lost_key_does_not_stop_the_other_columns_from_being_saved(mine: MpesaCredential) -> None:
    before = raw.read(mine, "consumer_secret")
    with override_settings(MILANGO=with_keys(SECOND)):
        row = again(mine)
        row.active = False
        row.save()
    assert raw.read(mine, "consumer_secret") == before
    assert again(mine).consumer_secret == PLAIN


def test_plain_text_that_something_wrote_into_the_column_is_not_given_out(
    mine: MpesaCredential,
) -> None:
    raw.write(mine, "consumer_secret", "hunter2")
    with pytest.raises(SecretUnreadable, match="not sealed"):
        _ = again(mine).consumer_secret


def test_saving_a_row_leaves_an_untouched_secret_as_it_was(mine: MpesaCredential) -> None:
    before = raw.read(mine, "consumer_secret")
    mine.save()
    assert raw.read(mine, "consumer_secret") == before


def test_a_row_loaded_before_a_rotation_does_not_bring_the_old_key_back(
    mine: MpesaCredential,
) -> None:
    with override_settings(MILANGO=with_keys(SECOND, FIRST)):
        mine.save()
        assert raw.read(mine, "consumer_secret").startswith("mse1:02:")
        assert again(mine).consumer_secret == PLAIN


def test_a_copied_row_is_refused_because_its_secrets_would_not_open(mine: MpesaCredential) -> None:
    mine.pk, mine._state.adding, mine.short_code = theirs_id(), True, "600000"
    with pytest.raises(SecretUnreadable), transaction.atomic():
        mine.save()


def theirs_id() -> Any:
    return MpesaCredential._meta.pk.get_default()


def test_giving_a_row_to_another_merchant_needs_its_secrets_anew(
    mine: MpesaCredential, theirs: MpesaCredential
) -> None:
    mine.merchant = theirs.merchant
    with pytest.raises(SecretUnreadable), transaction.atomic():
        mine.save()
    mine.consumer_key = mine.consumer_secret = mine.passkey = "typed again"
    mine.save()
    assert again(mine).consumer_secret == "typed again"


def test_none_is_null_and_empty_is_empty(db: None, mine: MpesaCredential) -> None:
    row = OAuthToken.objects.create(key="k")
    assert raw.read(row, "token") is None
    assert OAuthToken.objects.get(token__isnull=True).token is None
    mine.passkey = ""
    mine.save()
    assert (raw.read(mine, "passkey"), again(mine).passkey) == ("", "")


@pytest.mark.parametrize("text", ["mse1:", "mse1:01:AAAA", "mse1:hello"])
def test_a_secret_that_looks_sealed_is_refused(mine: MpesaCredential, text: str) -> None:
    with pytest.raises(ValueError, match="cannot begin with"):
        mine.passkey = text


@pytest.mark.parametrize("value", [7, b"bytes", F("passkey"), Value("x"), ["list"]])
def test_a_secret_is_text(mine: MpesaCredential, value: Any) -> None:
    with pytest.raises(TypeError, match="takes text"):
        mine.passkey = value


def test_secrets_of_any_script_and_length_come_back(mine: MpesaCredential) -> None:
    mine.passkey = text = "ñ🔑\n\0'\"" + "x" * 10_000
    mine.save()
    assert again(mine).passkey == text


# -- in the instance


def test_the_instance_holds_only_the_sealed_text(mine: MpesaCredential) -> None:
    _ = mine.consumer_secret
    assert isinstance(held(mine), Sealed)
    assert PLAIN not in repr(vars(mine))


def test_a_new_secret_waits_hidden_and_is_sealed_by_save(mine: MpesaCredential) -> None:
    mine.consumer_secret = "new"
    assert mine.consumer_secret == "new"
    assert "new" not in repr(held(mine)).removeprefix("<not")
    mine.save()
    assert isinstance(held(mine), Sealed)
    assert mine.consumer_secret == again(mine).consumer_secret == "new"


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_a_sealed_text_shows_nothing(mine: MpesaCredential, show: Any) -> None:
    assert show(held(mine)) == "<sealed>"


@pytest.mark.parametrize("move", [copy.copy, copy.deepcopy, pickled_and_back])
@pytest.mark.parametrize("saved", [True, False])
def test_copies_and_pickles_of_an_instance_read_the_same(
    mine: MpesaCredential, move: Any, saved: bool
) -> None:
    mine.consumer_secret = PLAIN if saved else "waiting"
    if saved:
        mine.save()
    moved = move(mine)
    assert moved.consumer_secret == mine.consumer_secret
    moved.save()
    assert again(mine).consumer_secret == mine.consumer_secret


def test_pickles_hold_no_plain_text(mine: MpesaCredential) -> None:
    mine.passkey = "waiting to be saved"
    pickled = pickle.dumps(mine)
    assert PLAIN.encode() not in pickled
    assert b"waiting to be saved" not in pickled
    assert b"mse1:01:" in pickled


@pytest.mark.parametrize(
    "narrow",
    [lambda rows: rows.defer("consumer_secret"), lambda rows: rows.only("short_code")],
)
def test_a_deferred_secret_is_fetched_when_it_is_read(
    mine: MpesaCredential, narrow: Any, django_assert_num_queries: Any
) -> None:
    row = narrow(MpesaCredential.objects).get(pk=mine.pk)
    assert "consumer_secret" in row.get_deferred_fields()
    _ = row.merchant_id
    with django_assert_num_queries(1):
        assert row.consumer_secret == PLAIN
        assert row.consumer_secret == PLAIN
    assert isinstance(held(row), Sealed)


def test_saving_a_row_with_a_deferred_secret_leaves_it_alone(mine: MpesaCredential) -> None:
    before = raw.read(mine, "consumer_secret")
    row = MpesaCredential.objects.defer("consumer_secret").get(pk=mine.pk)
    row.save()
    assert raw.read(mine, "consumer_secret") == before


def test_refresh_from_db_reads_what_was_saved_meanwhile(mine: MpesaCredential) -> None:
    other = again(mine)
    other.consumer_secret = "changed"
    other.save()
    mine.refresh_from_db()
    assert mine.consumer_secret == "changed"
    assert "changed" not in repr(vars(mine))
    mine.save()
    assert again(mine).consumer_secret == "changed"


def test_full_clean_keeps_secrets_and_asks_for_missing_ones(mine: MpesaCredential) -> None:
    mine.full_clean()
    mine.save()
    assert again(mine).consumer_secret == PLAIN
    mine.passkey = ""
    with pytest.raises(forms.ValidationError) as caught:
        mine.full_clean()
    assert set(caught.value.message_dict) == {"passkey"}


def test_bulk_create_seals_each_row(mine: MpesaCredential) -> None:
    rows = [
        MpesaCredential(
            merchant=mine.merchant,
            short_code=code,
            consumer_key="k",
            consumer_secret=f"secret {code}",
            passkey="p",
        )
        for code in ("600001", "600002")
    ]
    MpesaCredential.objects.bulk_create(rows)
    assert [again(row).consumer_secret for row in rows] == ["secret 600001", "secret 600002"]
    assert raw.read(rows[0], "consumer_secret").startswith("mse1:01:")


# -- in queries


@pytest.mark.parametrize("value", ["plain", Value("plain"), F("passkey"), Sealed("mse1:01:AAAA")])
def test_update_refuses_a_secret(mine: MpesaCredential, value: Any) -> None:
    before = raw.read(mine, "consumer_secret")
    with pytest.raises(TypeError, match=r"for one row.*save\(\)"), transaction.atomic():
        MpesaCredential.objects.update(consumer_secret=value)
    assert raw.read(mine, "consumer_secret") == before


def test_bulk_update_refuses_a_secret(mine: MpesaCredential) -> None:
    mine.consumer_secret = "new"
    with pytest.raises(TypeError, match="sealed for one row"):
        MpesaCredential.objects.bulk_update([mine], ["consumer_secret"])


def test_update_may_clear_a_secret(mine: MpesaCredential) -> None:
    MpesaCredential.objects.update(passkey="")
    assert again(mine).passkey == ""


def test_update_takes_what_was_sealed_for_the_row(db: None) -> None:
    OAuthToken.objects.create(key="k")
    sealed = sealed_for(OAuthToken, "token", "live token", pk="k")
    assert OAuthToken.objects.filter(key="k").update(token=sealed) == 1
    assert OAuthToken.objects.get().token == "live token"


@pytest.mark.parametrize(
    "condition",
    [
        {"consumer_secret": PLAIN},
        {"consumer_secret": None},
        {"consumer_secret__in": [PLAIN]},
        {"consumer_secret__startswith": "mse1"},
        {"consumer_secret__lower__contains": "s"},
        {"consumer_secret": F("passkey")},
    ],
)
def test_a_secret_cannot_be_searched(mine: MpesaCredential, condition: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="consumer_secret is encrypted and cannot be searched"):
        MpesaCredential.objects.filter(**condition).exists()
    with pytest.raises(TypeError, match="cannot be searched"):
        MpesaCredential.objects.exclude(**condition).exists()


def test_only_isnull_is_answered(mine: MpesaCredential) -> None:
    assert MpesaCredential.objects.filter(consumer_secret__isnull=False).count() == 1


def test_values_give_nothing_that_shows(mine: MpesaCredential) -> None:
    rows = MpesaCredential.objects
    given = [
        rows.values("consumer_secret").get()["consumer_secret"],
        rows.values_list("consumer_secret", flat=True).get(),
        rows.annotate(also=F("consumer_secret")).values_list("also", flat=True).get(),
    ]
    assert [type(value) for value in given] == [Sealed] * 3
    assert repr(given) == "[<sealed>, <sealed>, <sealed>]"
    with pytest.raises(TypeError):
        json.dumps(given)


# -- fixtures and migrations


@pytest.mark.parametrize("kind", ["json", "xml", "jsonl"])
def test_dumpdata_writes_sealed_text_and_loaddata_reads_it_back(
    mine: MpesaCredential, kind: str, tmp_path: Any
) -> None:
    before = raw.read(mine, "consumer_secret")
    dump = tmp_path / f"dump.{kind}"
    call_command("dumpdata", "milango.mpesacredential", format=kind, output=str(dump))
    assert PLAIN not in dump.read_text()
    assert before in dump.read_text()
    MpesaCredential.objects.all().delete()
    call_command("loaddata", str(dump), stdout=io.StringIO())
    assert raw.read(mine, "consumer_secret") == before
    assert again(mine).consumer_secret == PLAIN


def test_loaddata_replaces_a_row_that_exists(mine: MpesaCredential) -> None:
    dump = serializers.serialize("json", [mine])
    mine.consumer_secret = "later"
    mine.save()
    for loaded in serializers.deserialize("json", dump):
        loaded.save()
    assert again(mine).consumer_secret == PLAIN


def test_a_dump_of_an_unsaved_secret_is_sealed_too(mine: MpesaCredential) -> None:
    mine.consumer_secret = "not saved yet"
    dump = serializers.serialize("json", [mine])
    assert "not saved yet" not in dump
    assert "mse1:01:" in json.loads(dump)[0]["fields"]["consumer_secret"]


def test_a_fixture_with_plain_text_is_refused(mine: MpesaCredential) -> None:
    dump = json.loads(serializers.serialize("json", [mine]))
    dump[0]["fields"]["passkey"] = "typed into the fixture"
    (loaded,) = serializers.deserialize("json", json.dumps(dump))
    with pytest.raises(TypeError, match="sealed for one row"):
        loaded.save()


def test_migrations_can_write_the_field_down() -> None:
    written, imports = MigrationWriter.serialize(EncryptedField(null=True))
    assert written == "milango.models.fields.EncryptedField(null=True)"
    assert imports == {"import milango.models.fields"}


@isolate_apps("tests")
def test_checks_refuse_what_cannot_work() -> None:
    class Numbered(models.Model):  # noqa: DJ008 - nobody shows it
        secret = EncryptedField(unique=True)

        class Meta:
            app_label = "tests"

    found = [error.id for error in Numbered._meta.get_field("secret").check()]
    assert found == ["milango.secrets.E001", "milango.secrets.E002"]
    assert [e.id for e in MpesaCredential._meta.get_field("passkey").check()] == []


@isolate_apps("tests")
def test_a_row_without_an_id_is_told_to_get_one_first() -> None:
    class Numbered(models.Model):  # noqa: DJ008 - nobody shows it
        secret = EncryptedField()

        class Meta:
            app_label = "tests"

    row = Numbered(secret="x")
    with pytest.raises(ValueError, match="needs its id before it is saved"):
        Numbered._meta.get_field("secret").pre_save(row, add=True)


# -- forms

FIELDS = ["merchant", "short_code", "kind", "environment", "consumer_secret"]
CredentialForm = modelform_factory(MpesaCredential, fields=FIELDS)


def data(row: MpesaCredential, **more: str) -> dict[str, str]:
    given = {"merchant": str(row.merchant_id), "short_code": row.short_code}
    return {**given, "kind": row.kind, "environment": row.environment, **more}


def test_a_form_never_shows_a_secret(mine: MpesaCredential) -> None:
    for form in (
        CredentialForm(instance=mine),
        CredentialForm(data(mine, consumer_secret="typed")),
    ):
        html = str(form["consumer_secret"])
        assert 'type="password"' in html
        assert "value" not in html
        assert PLAIN not in form.as_p()


def test_a_blank_secret_in_a_form_keeps_the_old_one(mine: MpesaCredential) -> None:
    form = CredentialForm(data(mine, consumer_secret=""), instance=mine)
    assert form.is_valid(), form.errors
    assert "consumer_secret" not in form.changed_data
    form.save()
    assert again(mine).consumer_secret == PLAIN


def test_a_typed_secret_replaces_the_old_one(mine: MpesaCredential) -> None:
    form = CredentialForm(data(mine, consumer_secret="typed"), instance=mine)
    assert form.is_valid(), form.errors
    assert "consumer_secret" in form.changed_data
    form.save()
    assert again(mine).consumer_secret == "typed"


def test_a_new_row_needs_its_secret(mine: MpesaCredential) -> None:
    form = CredentialForm(data(mine))
    assert set(form.errors) == {"consumer_secret", "__all__"}


def test_a_secret_that_looks_sealed_is_a_form_error(mine: MpesaCredential) -> None:
    form = CredentialForm(data(mine, consumer_secret="mse1:01:AAAA"), instance=mine)
    assert set(form.errors) == {"consumer_secret"}


def test_the_admin_offers_a_password_box_and_no_textarea() -> None:
    class Admin(admin.ModelAdmin):
        pass

    field = MpesaCredential._meta.get_field("passkey")
    page = Admin(MpesaCredential, admin.site)
    offered = page.formfield_for_dbfield(field, HttpRequest())
    assert offered is not None
    assert isinstance(offered.widget, forms.PasswordInput)
    assert not offered.widget.render_value


def test_the_bond_is_part_of_the_format(mine: MpesaCredential) -> None:
    bond = f"milango.MpesaCredential.passkey:{mine.pk}:{mine.merchant_id}"
    assert sealing.unseal(raw.read(mine, "passkey"), bond) == mine.passkey
