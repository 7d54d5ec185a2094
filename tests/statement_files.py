"""Statements made for payments, as the organisation portal writes them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from milango.core.statements import EAT

NAMES = [
    *("Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status"),
    *("Paid In", "Withdrawn", "Balance", "Balance Confirmed", "Reason Type", "Other Party Info"),
    *("Linked Transaction ID", "A/C No."),
]


CHARGE = Decimal("0.40")


class Entry(NamedTuple):
    """Money that moved on the account: `amount` below zero went back to the payer."""

    receipt: str
    at: datetime
    amount: int
    phone: str = "254708***149"
    account: str = "INV-1"
    linked: str = ""


def receipt_of(at: datetime, number: int) -> str:
    """A receipt that M-Pesa might have given at that instant."""
    day = at.astimezone(EAT)
    head = chr(ord("S") + day.year - 2024) + chr(ord("A") + day.month - 1)
    return f"{head}{'0123456789ABCDEFGHIJKLMNOPQRSTUV'[day.day]}{number:07d}"


def rows(short_code: str, entries: Sequence[Entry], *, opening: int = 1_000) -> list[list[str]]:
    """The block above, the columns, and the lines with their charges, newest first."""
    told = sorted(entries, key=lambda entry: entry.at)
    since, until = told[0].at - timedelta(minutes=1), told[-1].at + timedelta(minutes=1)
    balance, paid_in, withdrawn, lines = Decimal(opening), Decimal(0), Decimal(0), []
    for entry in told:
        amount = Decimal(entry.amount)
        balance += amount
        lines.append(_line(entry, amount, balance))
        if amount < 0:
            withdrawn += amount
        else:
            paid_in += amount
            balance -= CHARGE
            withdrawn -= CHARGE
            lines.append(_charge(entry, balance))
    facts = {
        "Opening Balance:": f"{opening:,}",
        "Closing Balance:": f"{balance:,.2f}",
        "Total Paid In:": f"{paid_in:,.2f}",
        "Total Withdrawn:": f"{withdrawn:,.2f}",
    }
    return [
        ["Account Holder:", "Duka la Mfano"],
        ["Short Code:", short_code],
        ["Account:", "Utility Account"],
        ["Time Period:", "From", _time(since), "To", _time(until)],
        ["Operator:", "clerk", "Date of Report:", _time(until + timedelta(hours=1))],
        [cell for fact in facts.items() for cell in fact],
        NAMES,
        *lines[::-1],
    ]


def as_csv(table: Sequence[Sequence[str]]) -> bytes:
    """The rows as a file."""
    out = io.StringIO()
    csv.writer(out).writerows(table)
    return out.getvalue().encode()


def _line(entry: Entry, amount: Decimal, balance: Decimal) -> list[str]:
    party = f"{entry.phone} - JOHN DOE"
    back = amount < 0
    details = f"Pay Bill Reversal to {party}" if back else f"Pay Bill from {party} Acc. "
    return [
        *(entry.receipt, _time(entry.at), _time(entry.at), details + entry.account, "Completed"),
        *(("", f"{amount:,.2f}") if back else (f"{amount:,.2f}", "")),
        *(f"{balance:,.2f}", "true", "Pay Utility Reversal" if back else "Pay Utility"),
        *(party, entry.linked, entry.account),
    ]


def _charge(entry: Entry, balance: Decimal) -> list[str]:
    at = _time(entry.at)
    return [
        *(entry.receipt, at, at, "Pay Bill Charge", "Completed", "", f"-{CHARGE}"),
        *(f"{balance:,.2f}", "true", "Pay Utility", "SP", "", ""),
    ]


def _time(at: datetime) -> str:
    return f"{at.astimezone(EAT):%d-%m-%Y %H:%M:%S}"
