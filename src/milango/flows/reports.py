"""What a comparison with a statement found, for people and for programs."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import msgspec

from .statements import AGREED, Found, Kind, Report

__all__ = ["AGREED", "PROBLEMS", "SHOWN", "WORDS", "as_dict", "problem_of"]

SHOWN: Final = 100
"""Receipts of one kind on a page of the admin."""

WORDS: Final = {
    Kind.MATCHED: "Matched",
    Kind.SETTLED: "Proven by this statement",
    Kind.OPEN_HERE: "Paid there, open here",
    Kind.OTHER_AMOUNT: "Another amount",
    Kind.OTHER_MONEY: "Another payment's, by its payer, account or time",
    Kind.MISSING_HERE: "Missing here",
    Kind.MISSING_THERE: "Missing there",
    Kind.REVERSED_THERE: "Reversed there",
    Kind.REVERSED_HERE: "Reversed here by a word, not there",
    Kind.CHANGED: "Told otherwise by an earlier statement",
}

PROBLEMS: Final = {
    "unreadable_row": "a row cannot be read",
    "no_balance": "a line has no balance",
    "balance_broken": "the balance does not follow from the line before: a line was edited, "
    "added or taken away, or the file mixes several accounts",
    "out_of_order": "the lines are not in the order of time",
    "outside_period": "a line lies outside the statement's own period",
    "receipt_twice": "two lines have one receipt",
    "no_opening": "the file does not say what the account held before and after",
    "closing": "the lines do not lead to the closing balance",
    "totals": "the lines do not add up to the totals above",
    "changed_line": "an earlier statement said otherwise about a receipt",
    "no_short_code": "the file does not say whose statement it is",
}


def problem_of(problem: str, row: int) -> str:
    """Why a statement proves nothing, in words; an empty text: it may."""
    if not problem:
        return ""
    where = f" (row {row})" if row else ""
    return f"It proves nothing: {PROBLEMS.get(problem, problem)}{where}. No payment has changed."


def as_dict(report: Report, *, most: int | None = None) -> dict[str, Any]:
    """The report as JSON has it; of each kind so many receipts at most. Times UTC, amounts KES."""
    record = report.record
    told = {
        "statement": record.public_id,
        "sha256": record.sha256,
        "short_code": report.credential.short_code,
        "since": report.statement.since,
        "until": report.statement.until,
        "imported_before": not report.is_new,
        "problem": report.problem,
        "problem_row": record.problem_row,
        "all_matched": report.all_matched,
        "counts": {kind.value: count for kind, count in report.counts.items()},
        "differences": [_difference(found) for found in _first(report.found, most)],
    }
    plain: dict[str, Any] = msgspec.to_builtins(told)
    return plain


def _first(found: list[Found], most: int | None) -> list[Found]:
    seen: Counter[Kind] = Counter()
    chosen = []
    for each in found:
        seen[each.kind] += 1
        if most is None or seen[each.kind] <= most:
            chosen.append(each)
    return chosen


def _difference(found: Found) -> dict[str, object]:
    return {
        "kind": found.kind.value,
        "receipt": found.receipt,
        "row": found.row or None,
        "amount": found.amount,
        "paid_at": found.paid_at,
        "payment": found.payment or None,
        "status": found.status or None,
        "our_amount": found.our_amount,
    }
