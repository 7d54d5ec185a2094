"""Answers of Pull: the last 48 hours of C2B payments, for confirmations that were lost.

A row that cannot be read does not hide the others: it is named, and its place is kept.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

from milango.core.errors import DarajaRefused, DarajaSilent
from milango.core.reversals import is_reversal

from .answers import error_of, fail, object_of
from .fields import Unreadable, amount_of, phone_of, receipt_of, unsigned, word_of
from .messages import EAT, eat_time
from .questions import PulledPayment, PullPage, PullRegistered
from .texts import clean, code_of

FOUND: Final = "1000"
NOTHING: Final = "1001"
ALREADY: Final = "1001"

WRITTEN: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
)

Rows = list[Any]


def read_pull(status: int, body: bytes, *, offset: int) -> PullPage:
    """The rows from `offset` on, or the error that says what to do next."""
    answer = object_of(status, body)
    code = code_of(answer.get("ResponseCode")) or ""
    rows = _rows(answer.get("Response"))
    if status == 200 and (rows or code == NOTHING or (code == FOUND and rows is not None)):
        return _page(rows or [], offset, clean(answer.get("ResponseRefID"), 128))
    error, text = error_of(answer)
    if "no transactions" in text.lower():
        return PullPage(rows=())
    if error or not code:
        fail(status, error, text)
    raise _unfit(code, clean(answer.get("ResponseMessage"), 255))


def read_pull_registered(status: int, body: bytes) -> PullRegistered:
    """That Pull is on, now or since before; or the error that says what to do next."""
    answer = object_of(status, body)
    # One source writes these keys with a space.
    spaced = {name.replace(" ", ""): value for name, value in answer.items()}
    code = code_of(spaced.get("ResponseStatus")) or ""
    text = clean(spaced.get("ResponseDescription"), 255)
    if status == 200 and code in {FOUND, ALREADY}:
        reference = clean(spaced.get("ResponseRefID"), 128)
        return PullRegistered(already=code == ALREADY, reference=reference, text=text)
    error, error_text = error_of(answer)
    if error or not code:
        fail(status, error, error_text)
    raise _unfit(code, text)


def _unfit(code: str, text: str) -> DarajaRefused | DarajaSilent:
    """A status of Pull's own that is neither: a refusal, unless it says yes without showing it."""
    if code in {FOUND, NOTHING}:
        message = "Pull says that it has payments and shows none that can be read."
        return DarajaSilent(message, daraja_code=code, text=text)
    return DarajaRefused(f"Pull answered {code}: {text}", daraja_code=code, text=text)


def _rows(raw: object) -> Rows | None:
    """The rows of a list in a list; None when there is no list at all."""
    if isinstance(raw, dict):
        return [raw]
    if not isinstance(raw, list):
        return None
    return [row for part in raw for row in (part if isinstance(part, list) else [part])]


def _page(rows: Rows, offset: int, reference: str) -> PullPage:
    read: list[PulledPayment] = []
    problems: list[tuple[int, str]] = []
    for place, row in enumerate(rows, start=offset):
        try:
            read.append(_row(row))
        except Unreadable as error:
            problems.append((place, error.problem))
    return PullPage(
        rows=tuple(read),
        problems=tuple(problems),
        next_offset=offset + len(rows) if rows else None,
        reference=reference,
    )


def _row(row: object) -> PulledPayment:
    if not isinstance(row, dict):
        raise Unreadable("not_a_row")
    # Documents and traffic differ in capitals.
    get = {name.lower(): value for name, value in row.items()}.get
    words = clean(get("transactiontype"), 64)
    back = is_reversal(words)
    receipt = receipt_of(get("transactionid"))
    amount = amount_of(unsigned(get("amount")) if back else get("amount"))
    if receipt is None:
        raise Unreadable("no_receipt")
    if amount is None:
        raise Unreadable("no_amount")
    paid_at, zone_known = _when(word_of(get("trxdate")))
    return PulledPayment(
        trans_id=receipt,
        amount=amount,
        paid_at=paid_at,
        zone_known=zone_known,
        msisdn=phone_of(get("msisdn")) or "",
        bill_ref=clean(get("billreference"), 64),
        transaction_type=words,
        is_reversal=back,
        sender=clean(get("sender"), 64),
        organization=clean(get("organizationname"), 128),
    )


def _when(word: str | None) -> tuple[datetime | None, bool]:
    """A row's time in UTC, and whether its zone is beyond doubt. Without a zone it is EAT."""
    if word == "":
        return None, True
    at = _moment(word or "")
    if at is None:
        raise Unreadable("bad_date")
    return at, not (word or "").endswith("Z")


def _moment(word: str) -> datetime | None:
    if WRITTEN.fullmatch(word) is None:
        return eat_time(word)
    try:
        at = datetime.fromisoformat(word)
        return (at if at.tzinfo else at.replace(tzinfo=EAT)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
