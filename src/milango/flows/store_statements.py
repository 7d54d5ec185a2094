"""A table of the connection's own, where a statement's lines meet what we keep: the same SQL on
PostgreSQL and SQLite; only filling it differs. It lasts as long as the transaction around it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection

from milango.core.payments import Outcome, Source, Status
from milango.core.statements import Line
from milango.models import MpesaCredential, StatementImport
from milango.models.ids import first_uuid7

from .rows import RowOf

COLUMNS: Final = {
    # column        (PostgreSQL, SQLite)
    "number": ("integer", "integer"),
    "code": ("varchar(32)", "varchar(32)"),
    "amount": ("numeric(14, 2)", "decimal"),
    "reversed": ("numeric(14, 2)", "decimal"),
    "paid_at": ("timestamptz", "datetime"),
    "phone": ("varchar(20)", "varchar(20)"),
    "account": ("varchar(64)", "varchar(64)"),
}
"""`amount` is NULL where only money that went back is in the file."""

NAME: Final = "milango_statement_stage"
NAMES: Final = ", ".join(COLUMNS)

OWNERS: Final = (
    f"UPDATE {NAME} SET payment_id = p.id "
    "FROM milango_receipt r JOIN milango_payment p ON p.id = r.payment_id "
    f"WHERE r.code = {NAME}.code AND r.short_code = %s AND r.environment = %s "
    "AND p.credential_id = %s"
)
CHANGED: Final = (
    f"SELECT s.code FROM {NAME} s JOIN milango_statementline l "
    "ON l.code = s.code AND l.credential_id = %s "
    "WHERE s.amount IS NOT NULL AND (l.amount <> s.amount OR l.paid_at <> s.paid_at) "
    "ORDER BY s.number"
)
KEEP: Final = (
    "INSERT INTO milango_statementline "
    "(credential_id, statement_id, number, code, amount, paid_at, phone, account) "
    f"SELECT %s, %s, number, code, amount, paid_at, phone, account FROM {NAME} "
    "WHERE amount IS NOT NULL ON CONFLICT DO NOTHING"
)
AGREES: Final = (
    f"((p.status = '{Status.SUCCESS}' AND s.reversed = 0) OR p.status = '{Status.REVERSED}') "
    "AND (s.amount IS NULL OR s.amount = COALESCE(p.amount_paid, p.amount))"
)
OWNED: Final = f"FROM {NAME} s JOIN milango_payment p ON p.id = s.payment_id"
AGREEING: Final = f"SELECT count(*) {OWNED} WHERE s.amount IS NOT NULL AND {AGREES}"
OTHERWISE: Final = (
    "SELECT s.code, p.id, p.status, COALESCE(p.amount_paid, p.amount) "
    f"{OWNED} WHERE NOT ({AGREES}) ORDER BY s.number"
)
BY_WORD: Final = (
    f"SELECT s.code, p.id {OWNED} JOIN milango_receipt r ON r.code = s.code "
    "AND r.short_code = %s AND r.environment = %s "
    f"WHERE r.source = '{Source.OPERATOR}' AND s.amount IS NOT NULL ORDER BY s.number"
)
REVERSED_BY_WORD: Final = (
    f"SELECT s.code, p.id, p.status, COALESCE(p.amount_paid, p.amount) {OWNED} "
    f"WHERE p.status = '{Status.REVERSED}' AND s.amount IS NOT NULL AND s.reversed = 0 "
    "AND EXISTS (SELECT 1 FROM milango_operatorword w WHERE w.payment_id = p.id "
    f"AND w.outcome = '{Outcome.REVERSED}' AND w.applied_at <= %s) "
    "AND NOT EXISTS (SELECT 1 FROM milango_reversal r WHERE r.payment_id = p.id) "
    "ORDER BY s.number"
)
UNOWNED: Final = (
    f"SELECT code FROM {NAME} WHERE payment_id IS NULL AND amount IS NOT NULL ORDER BY number"
)
OURS: Final = "p.merchant_id = %s AND p.id >= %s AND p.id < %s AND p.credential_id = %s"
"""By time-ordered ids: the payments of a period, and no others, are read."""

MISSING: Final = (
    "SELECT p.receipt_number, p.id, p.status, COALESCE(p.amount_paid, p.amount) "
    f"FROM milango_payment p LEFT JOIN {NAME} s ON s.code = p.receipt_number "
    f"WHERE {OURS} AND p.status = '{Status.SUCCESS}' AND p.receipt_number <> '' "
    "AND p.transaction_date BETWEEN %s AND %s AND s.code IS NULL ORDER BY p.id"
)


class Ours(NamedTuple):
    """One of our payments beside what the file says, or does not say."""

    receipt: str
    payment_id: UUID
    status: str
    amount: Decimal


class Stage:
    """The lines of one statement, beside the payments of one short code."""

    def __init__(self, credential: MpesaCredential) -> None:
        self.credential = credential
        self._cursor = connection.cursor()

    def ask(self, statement: str, *values: Any) -> list[RowOf]:
        """Run a statement; its rows, if it has any."""
        self._cursor.execute(statement, [_value(value) for value in values])
        return list(self._cursor.fetchall()) if self._cursor.description else []

    def find_owners(self) -> None:
        """Join the lines to the payments that own their receipts."""
        mine = self.credential
        self.ask(OWNERS, mine.party_b, mine.environment, mine.pk)

    def changed(self) -> list[str]:
        """Receipts of which an earlier statement said otherwise."""
        return [code for (code,) in self.ask(CHANGED, self.credential.pk)]

    def keep(self, statement: StatementImport) -> None:
        """Write the lines down, those that are new."""
        self.ask(KEEP, self.credential.pk, statement.pk)

    def agreeing(self) -> int:
        """How many lines are as we have them."""
        ((count,),) = self.ask(AGREEING)
        return int(count)

    def otherwise(self) -> list[Ours]:
        """Owned lines of which we have another opinion."""
        return [_ours(row) for row in self.ask(OTHERWISE)]

    def by_word(self) -> dict[str, UUID]:
        """Receipts that an operator's word has put to a payment, and the payments."""
        rows = self.ask(BY_WORD, self.credential.party_b, self.credential.environment)
        return {code: _id(payment_id) for code, payment_id in rows}

    def reversed_by_word(self, until: datetime | None) -> list[Ours]:
        """Lines of money that came, and that went back again by a word alone, said by then."""
        return [_ours(row) for row in self.ask(REVERSED_BY_WORD, until)] if until else []

    def unowned(self) -> list[str]:
        """Receipts that nobody owns."""
        return [code for (code,) in self.ask(UNOWNED)]

    def missing(self, since: datetime, until: datetime, margin: tuple[datetime, datetime]) -> Any:
        """Our successes of the period that the file lacks; `margin`: when they were asked for."""
        mine = self.credential
        ids = (first_uuid7(margin[0]), first_uuid7(margin[1]))
        rows = self.ask(MISSING, mine.merchant_id, *ids, mine.pk, since, until)
        return [_ours(row) for row in rows]


@contextmanager
def stage(
    credential: MpesaCredential, lines: Sequence[Line], back: dict[str, Decimal]
) -> Iterator[Stage]:
    """The lines of payers' money, and what went `back` by receipt, ready to be compared."""
    postgres = connection.vendor == "postgresql"
    types = ", ".join(f"{name} {kinds[not postgres]}" for name, kinds in COLUMNS.items())
    here = Stage(credential)
    here.ask(f"CREATE TEMP TABLE {NAME} ({types}, payment_id {'uuid' if postgres else 'char(32)'})")
    rows = _rows(lines, back)
    if postgres:
        with here._cursor.copy(f"COPY {NAME} ({NAMES}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    else:
        marks = ", ".join(["%s"] * len(COLUMNS))
        kept = [[_value(value) for value in row] for row in rows]
        here._cursor.executemany(f"INSERT INTO {NAME} ({NAMES}) VALUES ({marks})", kept)
    here.ask(f"CREATE INDEX {NAME}_code ON {NAME} (code)")
    here.ask(f"ANALYZE {NAME}")
    try:
        yield here
    finally:
        if not connection.needs_rollback:
            here.ask(f"DROP TABLE {NAME}")


def _rows(lines: Sequence[Line], back: dict[str, Decimal]) -> Iterator[RowOf]:
    left = dict(back)
    for line in lines:
        gone = left.pop(line.receipt, Decimal(0))
        yield (
            line.number,
            line.receipt,
            line.paid_in,
            gone,
            line.completed_at,
            line.phone[:20],
            line.account,
        )
    for code, gone in left.items():
        yield (0, code, None, gone, None, "", "")


def _value(value: Any) -> Any:
    """A value as Django keeps it in the database in use."""
    if connection.vendor == "sqlite":
        if isinstance(value, UUID):
            return value.hex
        if isinstance(value, datetime):
            return str(value.astimezone(UTC).replace(tzinfo=None))
    return value


def _ours(row: Iterable[Any]) -> Ours:
    code, payment_id, status, amount = row
    return Ours(code, _id(payment_id), status, Decimal(str(amount)).quantize(Decimal("0.01")))


def _id(kept: UUID | str) -> UUID:
    return kept if isinstance(kept, UUID) else UUID(hex=kept)
