"""The statement of a short code, as the organisation's portal lets one download it.

Columns, their order, the block above them, dates and signs are those that programs which read real
downloads expect. Every line comes from the book.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from milango.simulator.book import Transaction, party
from milango.simulator.ids import now
from milango.simulator.xlsx import Cell, Moment, Money, workbook

COLUMNS = (
    "Receipt No.",
    "Completion Time",
    "Initiation Time",
    "Details",
    "Transaction Status",
    "Paid In",
    "Withdrawn",
    "Balance",
    "Balance Confirmed",
    "Reason Type",
    "Other Party Info",
    "Linked Transaction ID",
    "A/C No.",
)

DETAILS: dict[str, str] = {
    "Pay Bill Online": "Pay Bill Online from {party} Acc. {reference}",
    "Pay Utility": "Pay Bill from {party} Acc. {reference}",
    "Merchant Payment Online": "Merchant Payment Online from {party}",
    "Merchant Payment": "Merchant Payment from {party}",
    "Pay Utility Reversal": "Pay Bill Reversal to {party}",
    "Merchant Payment Reversal": "Merchant Payment Reversal to {party}",
}
"""What Details says for each ReasonType."""

_CHARGE = {False: "Pay Bill Charge", True: "Merchant Payment Charge"}


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose statement it is. `number` is what was asked for: short code, store number or till."""

    number: str
    name: str
    till: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One line. Money in cents, `withdrawn` below zero; None is an empty cell."""

    receipt: str
    completed_at: datetime
    started_at: datetime
    details: str
    status: str
    paid_in: int | None
    withdrawn: int | None
    balance: int
    reason: str
    other_party: str
    linked: str
    account_no: str

    def cells(self) -> list[Cell]:
        return [
            self.receipt,
            Moment(self.completed_at),
            Moment(self.started_at),
            self.details,
            self.status,
            _money(self.paid_in),
            _money(self.withdrawn),
            Money(self.balance),
            "true",
            self.reason,
            self.other_party,
            self.linked,
            self.account_no,
        ]


def _money(cents: int | None) -> Cell:
    return "" if cents is None else Money(cents)


@dataclass(frozen=True, slots=True)
class Statement:
    """The lines of a period, newest first, and what the account held before and after."""

    owner: Owner
    since: datetime
    until: datetime
    opening: int
    closing: int
    lines: list[Line]

    def rows(self) -> Iterator[list[Cell]]:
        """The block above, the columns, the lines."""
        kind = "Merchant Account" if self.owner.till else "Utility Account"
        moved = [line for line in self.lines if line.status == "Completed"]
        paid_in = sum(line.paid_in or 0 for line in moved)
        withdrawn = sum(line.withdrawn or 0 for line in moved)
        yield ["Account Holder:", self.owner.name]
        yield ["Short Code:", self.owner.number]
        yield ["Account:", kind]
        yield ["Time Period:", "From", Moment(self.since), "To", Moment(self.until)]
        yield ["Operator:", "simulator", "", "", "Date of Report:", Moment(now())]
        balances = {
            "Opening Balance:": self.opening,
            "Closing Balance:": self.closing,
            "Available Balance:": self.closing,
            "Total Paid In:": paid_in,
            "Total Withdrawn:": withdrawn,
        }
        yield [cell for name, cents in balances.items() for cell in (name, Money(cents))]
        yield list(COLUMNS)
        for line in self.lines:
            yield line.cells()


def statement(
    owner: Owner, book: Sequence[Transaction], since: datetime, until: datetime, *, masked: bool
) -> Statement:
    """Of everything on an account, oldest first, what was completed from `since` to `until`."""
    lines = _running(_lines(book, masked=masked))
    before = [line for line in lines if line.completed_at < since]
    within = [line for line in lines if since <= line.completed_at <= until]
    opening = before[-1].balance if before else 0
    closing = within[-1].balance if within else opening
    return Statement(owner, since, until, opening, closing, within[::-1])


def _running(lines: Iterator[Line]) -> list[Line]:
    """With the balance after each."""
    balance, done = 0, []
    for line in lines:
        if line.status == "Completed":
            balance += (line.paid_in or 0) + (line.withdrawn or 0)
        done.append(replace(line, balance=balance))
    return done


def _lines(book: Sequence[Transaction], *, masked: bool) -> Iterator[Line]:
    for transaction in book:
        yield _line(transaction, masked=masked)
        if transaction.charge:
            yield _charge(transaction)


def _line(transaction: Transaction, *, masked: bool) -> Line:
    other = _masked(party(transaction.phone)) if masked else party(transaction.phone)
    back = transaction.kind == "reversal"
    reference = transaction.account_reference
    return Line(
        receipt=transaction.receipt,
        completed_at=transaction.completed_at,
        started_at=transaction.started_at,
        details=DETAILS[transaction.reason].format(party=other, reference=reference),
        status=transaction.state.capitalize(),
        paid_in=None if back else transaction.amount * 100,
        withdrawn=-transaction.amount * 100 if back else None,
        balance=0,
        reason=transaction.reason,
        other_party=other,
        linked=transaction.reverses,
        account_no=reference,
    )


def _charge(transaction: Transaction) -> Line:
    """M-Pesa's charge stands under the receipt of what it is for."""
    reason = _CHARGE[transaction.account.till]
    return replace(
        _line(transaction, masked=True),
        details=reason,
        paid_in=None,
        withdrawn=-transaction.charge,
        reason=reason,
        other_party="",
    )


def _masked(text: str) -> str:
    return f"{text[:4]}****{text[9:]}"


def as_csv(made: Statement, encoding: str) -> bytes:
    """Commas, every money with its thousands separators; what `encoding` lacks becomes `?`."""
    out = io.StringIO()
    csv.writer(out).writerows([str(cell) for cell in row] for row in made.rows())
    return out.getvalue().encode(encoding, "replace")


def as_xlsx(made: Statement, *, typed: bool) -> bytes:
    """One sheet; `typed` writes money as numbers and moments as dates, otherwise all are texts."""
    return workbook("Statement", made.rows(), typed=typed)
