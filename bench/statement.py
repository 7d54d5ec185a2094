"""How long a statement takes to import: `python -m bench.statement`.

Makes payments on a PostgreSQL of its own, a statement that says the same of all but one in a
hundred, whose news were lost, and imports it.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from .postgres import running
from .scenarios import FOLDER

DAY = datetime(2026, 3, 14, 5, 0, tzinfo=UTC)


@click.command()
@click.option("--payments", default=50_000, help="Each has two lines: itself, and its charge.")
def main(payments: int) -> None:
    """Import a statement of so many payments, and say how long it took."""
    with running(FOLDER / "postgres") as server:
        server.new_database("bench_statement")
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "bench.settings",
            "BENCH_POSTGRES": str(server.folder),
            "BENCH_DATABASE": "bench_statement",
        }
        import django
        from django.core.management import call_command
        from django.db import connection

        django.setup()
        call_command("migrate", verbosity=0)
        try:
            measure(payments)
        finally:
            connection.close()


def measure(number: int) -> None:
    """Make everything, import it, import it again."""
    from milango.flows.statements import import_statement

    credential, table = make(number)
    from tests.statement_files import as_csv

    content = as_csv(table)
    click.echo(f"{len(table) - 7:,} lines, {len(content) / 1e6:.1f} MB of CSV")
    for what in ("first time", "again"):
        began = time.perf_counter()
        report = import_statement(credential, content, uploader="bench")
        took = time.perf_counter() - began
        counts = {kind.value: count for kind, count in report.counts.items() if count}
        click.echo(f"{what}: {took:.1f} s, {counts}")
        assert report.all_matched, report.problem


def make(number: int) -> tuple[Any, list[list[str]]]:
    """A merchant with so many payments of one day, and the day's statement."""
    from milango.models import Merchant, MpesaCredential, Payment, Receipt
    from milango.models.ids import first_uuid7
    from tests.statement_files import Entry, receipt_of, rows

    merchant = Merchant.objects.create(name="Duka")
    credential = MpesaCredential.objects.create(
        merchant=merchant,
        short_code="600100",
        environment="simulator",
        consumer_key="key",
        consumer_secret="secret",  # noqa: S106 - it opens nothing
        passkey="passkey",
    )
    payments, receipts, entries = [], [], []
    for n in range(number):
        at = (DAY + timedelta(hours=15) * n / number).replace(microsecond=0)
        code, phone = receipt_of(at, n), f"2547{n % 10**8:08}"
        entries.append(Entry(code, at, 50 + n % 50, f"{phone[:6]}***{phone[-3:]}"))
        asked = at - timedelta(seconds=20)
        payment = Payment(
            id=type(merchant.pk)(int=first_uuid7(asked).int + n),
            merchant=merchant,
            credential=credential,
            credential_version=1,
            environment="simulator",
            short_code="600100",
            party_b="600100",
            amount=50 + n % 50,
            phone=phone,
            account_reference="INV-1",
            created_at=asked,
            sending_at=asked,
            prompt_until=asked + timedelta(seconds=180),
            callback_token_hash="0" * 64,
        )
        if n % 100:
            payment.status, payment.receipt_number = "Success", code
            payment.amount_paid, payment.transaction_date = payment.amount, at
            receipts.append(
                Receipt(
                    environment="simulator",
                    short_code="600100",
                    code=code,
                    payment=payment,
                    source="callback",
                    amount=payment.amount,
                )
            )
        payments.append(payment)
    Payment.objects.bulk_create(payments, batch_size=5_000)
    Receipt.objects.bulk_create(receipts, batch_size=5_000)
    return credential, rows("600100", entries)


if __name__ == "__main__":
    main()
