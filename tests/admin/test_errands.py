"""Errands: what a person starts in the admin runs as a task, and its page tells of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from milango.core.errors import InvalidRequest
from milango.flows import audit, errands
from milango.flows.settle import settle_many
from milango.models import (
    AuditEntry,
    Errand,
    InboundCallback,
    Membership,
    MpesaCredential,
    Payment,
    StatementImport,
    WebhookDelivery,
    WebhookEndpoint,
)
from milango.tasks import jobs
from tests.flows.conftest import make_payment, original, paid
from tests.people import make_credential, make_merchant
from tests.statement_files import Entry, as_csv, receipt_of, rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def credential() -> MpesaCredential:
    return make_credential(make_merchant("alpha"))


@pytest.fixture
def clerk(credential) -> Client:
    """Somebody with every right, who looks after one merchant."""
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.all())
    Membership.objects.create(user=user, merchant=credential.merchant)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def do(django_capture_on_commit_callbacks) -> Any:
    """Do something, and then what it left for after the commit: the task."""

    def run(work: Any) -> Any:
        with django_capture_on_commit_callbacks(execute=True):
            return work()

    return run


def code(number: int) -> str:
    """The receipt of a statement's first, second… line."""
    return receipt_of(timezone.now(), number)


def statement(credential: MpesaCredential, *amounts: int) -> bytes:
    at = timezone.now()
    entries = [Entry(code(number), at, amount) for number, amount in enumerate(amounts, start=1)]
    return as_csv(rows(credential.short_code, entries))


def upload(client: Client, credential: MpesaCredential, content: bytes) -> Any:
    file = SimpleUploadedFile("march.csv", content)
    add = reverse("admin:milango_statementimport_add")
    return client.post(add, {"credential": str(credential.pk), "file": file})


def text(answer: Any) -> str:
    return answer.content.decode()


def test_an_uploaded_statement_settles_and_its_page_reports(clerk, credential, do) -> None:
    payment = make_payment(credential)
    answer = do(lambda: upload(clerk, credential, statement(credential, 50, 70)))
    errand = Errand.objects.get()
    assert answer.url == reverse("admin:milango_errand_change", args=[errand.pk])
    assert (errand.state, errand.content, errand.merchant) == ("done", None, credential.merchant)
    counts = errand.result["counts"]
    assert (counts["settled"], counts["missing_here"]) == (1, 1)
    payment.refresh_from_db()
    assert payment.status == "Success"
    page = text(clerk.get(answer.url))
    assert "Missing here" in page
    assert code(2) in page
    assert "refresh" not in page, "it has ended"
    actors = AuditEntry.objects.filter(action__startswith="statement.").values_list("actor")
    assert set(actors) == {("admin:clerk",)}
    assert audit.first_broken() is None


def test_the_same_file_again_is_the_same_errand_and_import(clerk, credential, do) -> None:
    content = statement(credential, 50)
    first, second = (do(lambda: upload(clerk, credential, content)) for _ in range(2))
    assert first.url == second.url
    assert StatementImport.objects.count() == 1
    assert "imported before" in text(clerk.get(second.url))


def test_until_a_worker_comes_the_page_says_so_and_a_second_upload_starts_nothing(
    clerk, credential
) -> None:
    content = statement(credential, 50)
    page = upload(clerk, credential, content).url
    upload(clerk, credential, content)
    assert Errand.objects.get().state == "waiting"
    assert AuditEntry.objects.filter(action="statement.asked").count() == 1
    assert 'http-equiv="refresh"' in text(clerk.get(page))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"  \n", "This file is empty"),
        (b"%PDF-1.7 ...", "This is a PDF"),
        (b"a" * (errands.MOST_BYTES + 1), "larger than 30 MB"),
    ],
)
def test_what_is_no_statement_at_first_sight_is_refused_on_the_form(
    clerk, credential, content, said
) -> None:
    assert said in text(upload(clerk, credential, content))
    assert not Errand.objects.exists()
    assert not StatementImport.objects.exists()
    assert not AuditEntry.objects.filter(action__startswith="statement.").exists()


def test_the_limit_of_an_uploaded_statement_is_its_last_byte(credential) -> None:
    errands.check_upload(b"a" * errands.MOST_BYTES)
    with pytest.raises(InvalidRequest, match=r"larger than 30 MB.*milango reconcile") as refused:
        errands.upload_statement(
            credential, b"a" * (errands.MOST_BYTES + 1), filename="march.csv", actor="test"
        )
    assert refused.value.field == "file"
    assert not Errand.objects.exists()
    assert not AuditEntry.objects.filter(action="statement.asked").exists()


def test_what_turns_out_to_be_no_statement_is_refused_on_its_page(clerk, credential, do) -> None:
    other = make_credential(make_merchant("omega"))
    for content, said in (
        (b"name,age\nJane,7\n", "statement"),
        (statement(other, 50), f"statement of short code {other.short_code}"),
    ):
        answer = do(lambda content=content: upload(clerk, credential, content))
        assert said in text(clerk.get(answer.url))
    assert {errand.state for errand in Errand.objects.all()} == {"refused"}
    assert not StatementImport.objects.exists()


def test_nobody_uploads_for_another_merchant_or_sees_their_errands(clerk, do) -> None:
    other = make_credential(make_merchant("omega"))
    answer = upload(clerk, other, statement(other, 50))
    assert "Select a valid choice" in text(answer)
    foreign = errands.upload_statement(other, b"x", filename="omega.csv", actor="test")
    assert clerk.get(reverse("admin:milango_errand_change", args=[foreign.pk])).status_code == 302
    assert "omega" not in text(clerk.get(reverse("admin:milango_errand_changelist")))


def test_chosen_callbacks_are_processed_again(clerk, credential, do) -> None:
    payment = make_payment(credential)
    row = InboundCallback.objects.create(
        payment=payment,
        merchant=credential.merchant,
        body=b"not json",
        body_sha256="0" * 64,
        verdict="poisoned",
        received_at=timezone.now(),
        token_hash=payment.callback_token_hash,
    )
    chosen = {"action": "replay", "_selected_action": [str(row.pk)]}
    page = reverse("admin:milango_inboundcallback_changelist")
    answer = do(lambda: clerk.post(page, chosen))
    row.refresh_from_db()
    assert row.verdict != "poisoned"
    assert Errand.objects.get().result["processed"] == 1
    assert row.verdict in text(clerk.get(answer.url))


def test_a_span_of_webhooks_is_delivered_again(clerk, credential, do) -> None:
    payment = make_payment(credential)
    settle_many([paid(payment, original=original(payment, b"x"))])
    endpoint = WebhookEndpoint.objects.create(
        merchant=credential.merchant, url="https://alpha.example/hook", secret="whsec_x"
    )
    page = reverse("admin:milango_webhookendpoint_changelist")
    chosen = {"action": "replay", "_selected_action": [str(endpoint.pk)]}
    assert "Deliver again" in text(clerk.post(page, chosen))
    now = timezone.now()
    span = {
        **{"since_0": f"{now - timedelta(days=1):%Y-%m-%d}", "since_1": "00:00"},
        **{"until_0": f"{now + timedelta(days=1):%Y-%m-%d}", "until_1": "00:00"},
    }
    backwards = span | {"until_0": "2020-01-01", "replay": "yes"}
    assert "end after it begins" in text(clerk.post(page, chosen | backwards))
    answer = do(lambda: clerk.post(page, chosen | span | {"replay": "yes"}))
    assert Errand.objects.get().state == "done"
    assert WebhookDelivery.objects.filter(endpoint=endpoint).count() > 0
    assert "due again" in text(clerk.get(answer.url))


def test_an_errand_whose_worker_died_is_begun_again_and_given_up_in_the_end(
    credential, do, monkeypatch
) -> None:
    errand = errands.upload_statement(credential, b"x", filename="x.csv", actor="test")
    monkeypatch.setitem(errands.WORK, "statement", lambda *args: 1 / 0)
    for tries in range(1, errands.MOST_TRIES + 1):
        with pytest.raises(ZeroDivisionError):
            errands.run(errand.pk)
        errands.run(errand.pk)  # while somebody seems to be at work, nobody else begins
        errand.refresh_from_db()
        assert (errand.state, errand.tries) == ("working", tries)
        Errand.objects.update(touched_at=timezone.now() - errands.STALLED - timedelta(seconds=1))
    assert errands.overdue() == []
    errand.refresh_from_db()
    assert (errand.state, errand.content) == ("failed", None)


def test_the_sweep_begins_an_errand_whose_task_was_lost(credential, do) -> None:
    errands.upload_statement(credential, statement(credential, 50), filename="x", actor="test")
    do(jobs.sweep.call)
    assert Errand.objects.get().state == "waiting", "it may still be on its way"
    Errand.objects.update(touched_at=timezone.now() - errands.STALLED - timedelta(seconds=1))
    do(jobs.sweep.call)
    assert Errand.objects.get().state == "done"
    assert Payment.objects.count() == 0
