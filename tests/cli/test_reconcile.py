"""`milango reconcile`, as a person or a timer runs it."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from milango.flows import sheets
from milango.flows.settle import settle_many
from milango.models import AuditEntry, MpesaCredential, Payment, StatementImport
from tests.cli.conftest import Milango
from tests.flows.conftest import accepted, make_payment, paid
from tests.people import make_credential, make_merchant
from tests.statement_files import Entry, as_csv, receipt_of, rows

pytestmark = pytest.mark.django_db(transaction=True)

CODE = receipt_of(timezone.now(), 1)


@pytest.fixture
def now() -> datetime:
    return timezone.now().replace(microsecond=0)


@pytest.fixture
def credential() -> MpesaCredential:
    return make_credential(make_merchant("Duka"), short_code="600100", environment="production")


@pytest.fixture
def payment(credential: MpesaCredential, now: datetime) -> Payment:
    payment = make_payment(credential)
    settle_many([accepted(payment), paid(payment, CODE, paid_at=now)])
    return payment


def written(folder: Path, table: list[list[str]]) -> str:
    file = folder / "statement.csv"
    file.write_bytes(as_csv(table))
    return str(file)


def test_all_matched_is_exit_code_0(
    milango: Milango, payment: Payment, tmp_path: Path, now: datetime
) -> None:
    file = written(tmp_path, rows("600100", [Entry(CODE, now, 50)]))
    for again in (False, True):
        said = milango("reconcile", file, "--shortcode", "600100")
        assert said.exit_code == 0, said.output
        assert "Matched" in said.output
        assert ("had been imported before" in said.output) is again
    assert StatementImport.objects.get().uploader.startswith("cli")


def test_differences_are_exit_code_1_and_listed(
    milango: Milango, payment: Payment, tmp_path: Path, now: datetime
) -> None:
    other = Entry(receipt_of(now, 2), now + timedelta(seconds=9), 75, phone="254799***999")
    file = written(tmp_path, rows("600100", [Entry(CODE, now, 51), other]))
    said = milango("reconcile", file, "--shortcode", "600100")
    assert said.exit_code == 1
    assert CODE in said.output
    assert payment.public_id in said.output
    told = json.loads(milango("reconcile", file, "--shortcode", "600100", "--json").stdout)
    assert told["counts"]["other_amount"] == told["counts"]["missing_here"] == 1
    by_kind = {each["kind"]: each for each in told["differences"]}
    assert by_kind["other_amount"]["payment"] == payment.public_id
    assert (by_kind["other_amount"]["amount"], by_kind["other_amount"]["our_amount"]) == (
        "51.00",
        "50.00",
    )
    assert "DOE" not in json.dumps(told)


def test_an_edited_file_is_said_and_fails_the_check(
    milango: Milango, payment: Payment, tmp_path: Path, now: datetime
) -> None:
    later = Entry(receipt_of(now, 2), now + timedelta(seconds=9), 75)
    table = rows("600100", [Entry(CODE, now, 50), later])
    table[-3][5] = "85.00"
    said = milango("reconcile", written(tmp_path, table), "--shortcode", "600100")
    assert said.exit_code == 1
    assert "the balance does not follow" in " ".join(said.output.split())
    checked = milango("check")
    assert "!!  statements that do not add up" in checked.output
    assert "balance_broken, row 9" in checked.output
    assert "it waits for the merchant." in checked.output
    StatementImport.objects.update(resolved_at=timezone.now())
    assert "ok  statements that do not add up" in milango("check").output


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"Name,Phone\n", "not an M-Pesa statement"),
        (b"%PDF-1.7", "This is a PDF"),
        (as_csv(rows("999999", [Entry(CODE, timezone.now(), 50)])), "of short code 999999"),
    ],
    ids=["other columns", "a PDF", "another short code"],
)
def test_an_unusable_file_is_exit_code_2(
    milango: Milango, credential: MpesaCredential, tmp_path: Path, content: bytes, says: str
) -> None:
    file = tmp_path / "statement.csv"
    file.write_bytes(content)
    said = milango("reconcile", str(file), "--shortcode", "600100")
    assert (said.exit_code, says in said.output) == (2, True)
    assert not StatementImport.objects.exists()


def test_a_file_beyond_the_limit_is_exit_code_2_and_nothing_is_stored(
    milango: Milango, credential: MpesaCredential, payment: Payment, tmp_path: Path, now: datetime
) -> None:
    file = Path(written(tmp_path, rows("600100", [Entry(CODE, now, 50)])))
    with file.open("r+b") as stream:
        stream.truncate(sheets.MOST_BYTES + 1)
    said = milango("reconcile", str(file), "--shortcode", "600100")
    assert (said.exit_code, "larger than 64 MB" in said.output) == (2, True)
    assert not StatementImport.objects.exists()
    assert not AuditEntry.objects.exists()


def test_a_missing_file_or_short_code_is_exit_code_2(
    milango: Milango, credential: MpesaCredential, tmp_path: Path, now: datetime
) -> None:
    assert milango("reconcile", str(tmp_path / "no.csv"), "--shortcode", "600100").exit_code == 2
    file = written(tmp_path, rows("600101", [Entry(CODE, now, 50)]))
    assert "nobody has it" in milango("reconcile", file, "--shortcode", "600101").output


def test_a_short_code_of_several_needs_a_name(
    milango: Milango, credential: MpesaCredential, tmp_path: Path, now: datetime
) -> None:
    make_credential(make_merchant("Other"), short_code="600100", environment="sandbox")
    file = written(tmp_path, rows("600100", [Entry(CODE, now, 50)]))
    words = ("reconcile", file, "--shortcode", "600100")
    assert "several have it" in milango(*words).output
    assert milango(*words, "--merchant", "Duka").exit_code == 1
    assert milango(*words, "--environment", "sandbox").exit_code == 1
