"""Statements of the M-Pesa organisation portal: rows of cells → lines of money, and whether they
add up.

A block of facts stands above the lines (whose account, which period, what it held before and
after); each line carries the balance after it. So a line that somebody edited, added or took away
leaves a break in the running balance, or disagrees with the block above. `problems` lists such
breaks: a statement that has any proves nothing.

Times in the file are East African (EAT, UTC+3); those here are UTC. Amounts are KES.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from itertools import groupby, islice, pairwise
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec

from .errors import MilangoError
from .reversals import is_reversal

Row = Sequence[Any]
"""Cells as they were written: text from CSV; also numbers from a workbook."""

EAT: Final = timezone(timedelta(hours=3))
CENT: Final = Decimal("0.01")
NOUGHT: Final = Decimal(0)

MOST_ROWS: Final = 1_000_000
HEADER_WITHIN: Final = 60
"""Rows in which the names of the columns must have come."""

RECEIPT: Final = re.compile(r"[A-Z0-9]{8,12}")

COLUMNS: Final = {
    # names, lower case and without punctuation   field
    "receiptno": "receipt",
    "receiptnumber": "receipt",
    "receipt": "receipt",
    "transactionid": "receipt",
    "completiontime": "completed_at",
    "details": "details",
    "transactionstatus": "status",
    "status": "status",
    "paidin": "paid_in",
    "withdrawn": "withdrawn",
    "balance": "balance",
    "reasontype": "reason",
    "otherpartyinfo": "other_party",
    "linkedtransactionid": "linked",
    "acno": "account",
    "accountno": "account",
}
NEEDED: Final = ("receipt", "completed_at", "paid_in")

LABELS: Final = {
    # what stands in the block above, likewise     fact
    "shortcode": "short_code",
    "organisationshortcode": "short_code",
    "organizationshortcode": "short_code",
    "paybill": "short_code",
    "paybillnumber": "short_code",
    "tillnumber": "short_code",
    "accountholder": "organisation",
    "organisationname": "organisation",
    "organizationname": "organisation",
    "account": "account",
    "timeperiod": "period",
    "statementperiod": "period",
    "dateofreport": "reported_at",
    "openingbalance": "opening",
    "closingbalance": "closing",
    "totalpaidin": "total_paid_in",
    "totalwithdrawn": "total_withdrawn",
}

TITLE: Final = re.compile(r"statements? for (\d{5,7})\b.*", re.IGNORECASE)
"""`Statements for 600100 from 2026-03-01 to 2026-03-31`: a newer layout's only fact."""

OWN_MOVES: Final = re.compile(
    r"settle|utility account|working account|organi[sz]ation|\bmmf\b|revers|charge|\bfunds\b", re.I
)
"""Money that came in, but from no payer: moved between one's own accounts, or come back."""

CHARGE: Final = re.compile(r"charge", re.I)
PARTY: Final = re.compile(r"(?:^|\bfrom |\bto |\bby )(\+?\d[\d*•.xX]{4,14}\d{2,})(?= - | -$|\s*$)")
ACCOUNT: Final = re.compile(r"\bAcc\. *(.*)$")


class NotAStatement(MilangoError, ValueError):
    """This file is not a statement that can be read. Nothing was stored."""

    code = "not_a_statement"


class Kind(StrEnum):
    """What a line is."""

    PAYMENT = "payment"
    """A payer's money came in."""
    CHARGE = "charge"
    REVERSAL = "reversal"
    """A payer's money went back."""
    OTHER = "other"
    """Moved between own accounts, sent elsewhere, or not completed."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line. Amounts are zero or more."""

    number: int
    """The row in the file; the first row is 1."""
    receipt: str
    completed_at: datetime
    kind: Kind
    completed: bool
    """Only what is completed moved money."""
    paid_in: Decimal
    withdrawn: Decimal
    balance: Decimal | None
    phone: str = ""
    """The payer's number as written: whole, masked, or nothing. Names are not kept."""
    account: str = ""
    linked: str = ""
    """A reversal: the receipt of what went back."""

    @property
    def moved(self) -> Decimal:
        """By how much the line changed the balance."""
        return self.paid_in - self.withdrawn if self.completed else NOUGHT


class Problem(NamedTuple):
    """Why the statement proves nothing."""

    kind: str
    """`unreadable_row`, `no_balance`, `balance_broken`, `out_of_order`, `outside_period`,
    `receipt_twice`, `closing`, `totals`; and where the file says too little to be checked:
    `no_opening`, `no_short_code`."""
    row: int = 0
    """Where in the file, if it is one place."""


class Statement(msgspec.Struct, kw_only=True):
    """A statement as it was read; lines are oldest first."""

    lines: list[Line]
    problems: list[Problem]
    duplicates: int = 0
    """Rows that say the same as another one, and were left out."""
    short_code: str = ""
    organisation: str = ""
    account: str = ""
    since: datetime | None = None
    until: datetime | None = None
    """The period of which all lines are here; None: there are none."""

    @property
    def is_sound(self) -> bool:
        """It adds up, and says whose it is."""
        return not self.problems

    def payments(self) -> dict[str, Line]:
        """Payers' money by receipt."""
        return {line.receipt: line for line in self.lines if line.kind is Kind.PAYMENT}

    def reversed(self) -> dict[str, Decimal]:
        """What went back, by the receipt that it had come with."""
        back: dict[str, Decimal] = {}
        for line in self.lines:
            if line.kind is Kind.REVERSAL:
                code = line.linked or line.receipt
                back[code] = back.get(code, NOUGHT) + line.withdrawn
        return back


# --- reading --------------------------------------------------------------------------------


def read_statement(rows: Iterable[Row], told: Callable[[int], None] | None = None) -> Statement:
    """Read a statement. `told` hears every thousandth row's number. Raises NotAStatement."""
    numbered = enumerate(rows, start=1)
    facts, columns = _header(numbered)
    lines: list[Line] = []
    problems: list[Problem] = []
    seen: set[tuple[str, ...]] = set()
    duplicates = 0
    for number, row in numbered:
        if number > MOST_ROWS:
            raise NotAStatement(f"The file has more than {MOST_ROWS} rows. Split its period.")
        if told and not number % 1_000:
            told(number)
        cells = [row[at] if at < len(row) else "" for at in columns.values()]
        given = dict(zip(columns, cells, strict=True))
        if not _is_line(given):
            continue
        key = tuple(map(str, cells))
        if key in seen:
            duplicates += 1
            continue
        seen.add(key)
        line = _line(number, given)
        if line is None:
            problems.append(Problem("unreadable_row", number))
        else:
            lines.append(line)
    return _judged(facts, lines, problems, duplicates)


def _header(numbered: Iterator[tuple[int, Row]]) -> tuple[dict[str, Any], dict[str, int]]:
    """The block above, and where each field stands."""
    facts: dict[str, Any] = {}
    for number, row in numbered:
        columns: dict[str, int] = {}
        for at, cell in enumerate(row):
            if field := COLUMNS.get(_plain(cell)):
                columns.setdefault(field, at)
        if all(field in columns for field in NEEDED):
            return facts, columns
        _note_facts(facts, [cell for cell in row if _shown(cell)])
        if number >= HEADER_WITHIN:
            break
    raise NotAStatement(
        "This is not an M-Pesa statement: no row names the columns Receipt No., Completion Time "
        "and Paid In. Nothing was stored. Download it from the M-Pesa organisation portal, as "
        "CSV or Excel."
    )


def _note_facts(facts: dict[str, Any], cells: list[Any]) -> None:
    label = ""
    for cell in cells:
        text = _shown(cell)
        head, colon, tail = text.partition(":")
        if fact := LABELS.get(_plain(head if colon else text)):
            label = fact
            if not tail.strip():
                continue
            cell = tail.strip()
        elif _plain(text) in {"operator", "organization", "organisation", "availablebalance"}:
            label = ""
        if title := TITLE.fullmatch(text):
            facts.setdefault("short_code", title[1])
            continue
        if label == "period":
            facts.setdefault("period", []).extend(_instants(cell))
        elif label:
            facts.setdefault(label, cell)
            label = ""


_SPOKEN: Final = re.compile(r"\d[\d/:. T-]{6,}\d")


def _instants(cell: Any) -> list[Any]:
    """The times that a cell names: it may hold both ends of the period."""
    return _SPOKEN.findall(cell) if isinstance(cell, str) else [cell]


def _plain(cell: Any) -> str:
    """`Paid In (KSHs)` and `PAID IN` alike."""
    text = re.sub(r"\(.*?\)", "", cell) if isinstance(cell, str) else ""
    return re.sub(r"[^a-z]", "", text.lower())


def _shown(cell: Any) -> str:
    return str(cell).strip() if cell is not None else ""


def _is_line(given: dict[str, Any]) -> bool:
    """Not an empty row, not the totals below, not the columns' names on the next page."""
    receipt, at = _shown(given["receipt"]), _shown(given["completed_at"])
    return bool(receipt and at) and COLUMNS.get(_plain(receipt)) != "receipt"


def _line(number: int, given: dict[str, Any]) -> Line | None:
    receipt = _shown(given["receipt"]).upper()
    completed_at = read_time(given["completed_at"])
    paid_in, withdrawn = read_money(given["paid_in"]), read_money(given.get("withdrawn", ""))
    balance = read_money(given.get("balance", ""))
    unread = completed_at is None or paid_in is None or withdrawn is None or balance is None
    if unread or not RECEIPT.fullmatch(receipt) or (paid_in and withdrawn):
        return None
    assert completed_at is not None
    assert paid_in is not None
    assert withdrawn is not None
    details, reason = _shown(given.get("details")), _shown(given.get("reason"))
    completed = _shown(given.get("status", "Completed")).lower() == "completed"
    party = PARTY.search(_shown(given.get("other_party"))) or PARTY.search(details)
    said = ACCOUNT.search(details)
    return Line(
        number=number,
        receipt=receipt,
        completed_at=completed_at,
        kind=_kind(completed, paid_in, details, reason),
        completed=completed,
        paid_in=abs(paid_in),
        withdrawn=abs(withdrawn),
        balance=balance if _shown(given.get("balance")) else None,
        phone=party[1] if party else "",
        account=(_shown(given.get("account")) or (said[1].strip() if said else ""))[:64],
        linked=_shown(given.get("linked")).upper()[:32],
    )


def _kind(completed: bool, paid_in: Decimal, details: str, reason: str) -> Kind:
    if not completed:
        return Kind.OTHER
    # What follows is a name, and names hold any word.
    what = f"{reason} {re.split(r'(?: from | by | - )', details, maxsplit=1)[0]}"
    if paid_in:
        return Kind.OTHER if OWN_MOVES.search(what) else Kind.PAYMENT
    if CHARGE.search(what):
        return Kind.CHARGE
    return Kind.REVERSAL if is_reversal(what) else Kind.OTHER


# --- cells ----------------------------------------------------------------------------------

_EXACT: Final = re.compile(r"-?\d{1,12}(?:\.\d{1,2})?")
_THOUSANDS: Final = re.compile(r"-?\d{1,3}(?:,\d{3})+(?:\.\d{1,2})?")
_COMMA: Final = re.compile(r"-?(?:\d{1,3}(?:\.\d{3})+|\d{1,12}),\d{1,2}")


def read_money(cell: Any) -> Decimal | None:
    """KES as a cell writes it: `1,234.50`, `-50`, `(50.00)`, `1 234,50`; an empty cell is nought.

    None: it is no amount.
    """
    if isinstance(cell, bool):
        return None
    if isinstance(cell, int | float):
        return _whole_cents(cell)
    text = _shown(cell)
    if not text or text == "-":
        return NOUGHT
    if _EXACT.fullmatch(text):
        return Decimal(text)
    text = re.sub(r"[\s'\u00a0\u202f]|KE?SH?S?\.?", "", text, flags=re.IGNORECASE)
    text = f"-{text[1:-1]}" if text.startswith("(") and text.endswith(")") else text
    text = text.replace("\N{MINUS SIGN}", "-")
    if _THOUSANDS.fullmatch(text):
        text = text.replace(",", "")
    elif _COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    return Decimal(text) if _EXACT.fullmatch(text) else None


def _whole_cents(number: float) -> Decimal | None:
    exact = Decimal(repr(number))
    if not exact.is_finite() or exact.adjusted() >= 12:
        return None
    cents = exact.quantize(CENT)
    return cents if abs(exact - cents) < Decimal("0.000001") else None


_DAY_FIRST: Final = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})(?:[ T]+(.*))?")
_YEAR_FIRST: Final = re.compile(r"(\d{4})([-/.])(\d{1,2})\2(\d{1,2})(?:[ T]+(.*))?")
_CLOCK: Final = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2})(?:\.\d+)?)?")


def read_time(cell: Any, *, end_of_day: bool = False) -> datetime | None:
    """An instant of EAT as a cell writes it, in UTC. `end_of_day`: what a mere date means.

    `14-03-2026 10:15:47`, `2026-03-14 10:15:47`, `14/03/2026 10:15`, or a cell of type date.
    None: it is no time.
    """
    if isinstance(cell, datetime):
        return cell.replace(tzinfo=EAT).astimezone(UTC)
    if isinstance(cell, date):
        cell = cell.isoformat()
    text = _shown(cell)
    if found := _YEAR_FIRST.fullmatch(text):
        year, _, month, day, clock = found.groups()
    elif found := _DAY_FIRST.fullmatch(text):
        day, _, month, year, clock = found.groups()
    else:
        return None
    clock = clock or ("23:59:59" if end_of_day else "0:00")
    parts = _CLOCK.fullmatch(clock.strip())
    if parts is None:
        return None
    hour, minute, second = parts.groups("0")
    try:
        at = datetime(
            int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=EAT
        )
    except ValueError:
        return None
    return at.astimezone(UTC)


# --- does it add up -------------------------------------------------------------------------


def _judged(
    facts: dict[str, Any], lines: list[Line], problems: list[Problem], duplicates: int
) -> Statement:
    ordered, broken = _oldest_first(lines, _fact(facts, "opening"))
    since, until = _period(facts, ordered)
    short_code = re.sub(r"\.0$", "", _shown(facts.get("short_code")))
    problems += broken + _disagreements(facts, ordered)
    problems += _outside(facts, ordered, since, until)
    problems += _twice(ordered)
    if not short_code:
        problems.append(Problem("no_short_code"))
    return Statement(
        lines=ordered,
        problems=problems,
        duplicates=duplicates,
        short_code=short_code,
        organisation=_shown(facts.get("organisation"))[:120],
        account=_shown(facts.get("account"))[:64],
        since=since,
        until=until,
    )


def _outside(
    facts: dict[str, Any], lines: list[Line], since: datetime | None, until: datetime | None
) -> list[Problem]:
    """The first line that the statement's own period does not hold."""
    if since is None or until is None:
        return []
    end = _end(facts, until)
    outside = (line for line in lines if not since <= line.completed_at <= end)
    return [Problem("outside_period", line.number) for line in islice(outside, 1)]


def _twice(lines: list[Line]) -> list[Problem]:
    """One receipt is one payment."""
    seen: set[str] = set()
    for line in lines:
        if line.kind is Kind.PAYMENT:
            if line.receipt in seen:
                return [Problem("receipt_twice", line.number)]
            seen.add(line.receipt)
    return []


def _oldest_first(lines: list[Line], opening: Decimal | None) -> tuple[list[Line], list[Problem]]:
    """The lines in the order in which money moved, and the first break among them."""
    if len(lines) > 1 and lines[0].completed_at > lines[-1].completed_at:
        lines = lines[::-1]
    problem = _first_break(lines, opening)
    return lines, [problem] if problem else []


def _first_break(lines: list[Line], opening: Decimal | None) -> Problem | None:
    for earlier, later in pairwise(lines):
        if later.completed_at < earlier.completed_at:
            return Problem("out_of_order", later.number)
    known = opening
    for _, together in groupby(lines, key=attrgetter("completed_at")):
        known, problem = _follow(known, [line for line in together if line.completed])
        if problem:
            return problem
    return None


def _follow(known: Decimal | None, lines: list[Line]) -> tuple[Decimal | None, Problem | None]:
    """The balance after the lines of one second, which may stand in any order."""
    at = known
    for line in lines:
        if line.balance is None:
            return at, Problem("no_balance", line.number)
        before = line.balance - line.moved
        if at is not None and before != at:
            return _follow_in_any_order(known, lines, line.number)
        at = line.balance
    return at, None


def _follow_in_any_order(
    known: Decimal | None, lines: list[Line], row: int
) -> tuple[Decimal | None, Problem | None]:
    """Each line leads from a balance to a balance; together they must be one way through."""
    steps: Counter[Decimal] = Counter()
    for line in lines:
        if line.balance is None:
            return known, Problem("no_balance", line.number)
        steps[line.balance - line.moved] += 1
        steps[line.balance] -= 1
    starts = [balance for balance, surplus in steps.items() for _ in range(surplus)]
    ends = [balance for balance, surplus in steps.items() for _ in range(-surplus)]
    if len(starts) > 1 or (known is not None and starts and starts[0] != known):
        return known, Problem("balance_broken", row)
    if not ends:  # around in a circle
        touched = known is None or any(line.balance == known for line in lines)
        return known, None if touched else Problem("balance_broken", row)
    return ends[0], None


def _disagreements(facts: dict[str, Any], lines: list[Line]) -> list[Problem]:
    """What the block above says and the lines do not, or does not say."""
    moved = [line for line in lines if line.completed]
    opening, closing = _fact(facts, "opening"), _fact(facts, "closing")
    found = []
    if opening is None or closing is None:
        # Then nobody could tell that the first or the last line was edited, or is gone.
        found.append(Problem("no_opening"))
    elif opening + sum((line.moved for line in moved), NOUGHT) != closing:
        found.append(Problem("closing"))
    for fact, sums in (("total_paid_in", "paid_in"), ("total_withdrawn", "withdrawn")):
        total = _fact(facts, fact)
        if total is not None and abs(total) != sum((getattr(x, sums) for x in moved), NOUGHT):
            found.append(Problem("totals"))
            break
    return found


def _fact(facts: dict[str, Any], name: str) -> Decimal | None:
    return read_money(facts[name]) if _shown(facts.get(name)) else None


def _period(facts: dict[str, Any], lines: list[Line]) -> tuple[datetime | None, datetime | None]:
    """From when to when every line is here.

    A statement of today says that it reaches to midnight, and was made before: it is complete up
    to its own making, or where that is not told, up to its last line.
    """
    ends = facts.get("period", [])
    since = read_time(ends[0]) if ends else None
    until = read_time(ends[-1], end_of_day=True) if len(ends) > 1 else None
    last = lines[-1].completed_at if lines else None
    made = read_time(facts.get("reported_at"))
    if until is None:
        until = last
    elif made or last:
        until = min(until, made or last or until)
    return since or (lines[0].completed_at if lines else None), until


def _end(facts: dict[str, Any], until: datetime) -> datetime:
    """No line may be later than this."""
    ends = facts.get("period", [])
    said = read_time(ends[-1], end_of_day=True) if len(ends) > 1 else None
    return said or until


# --- hints ----------------------------------------------------------------------------------

_FIRST_YEAR: Final = 2024 - (ord("S") - ord("A"))
_DAYS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


def receipt_date(receipt: str) -> date | None:
    """The East African day that a receipt's first three characters seem to name.

    Derived from samples: a hint, and no proof of anything.
    """
    if len(receipt) != 10 or not receipt[:2].isalpha() or receipt[2] not in _DAYS:
        return None
    try:
        return date(
            _FIRST_YEAR + ord(receipt[0]) - ord("A"),
            ord(receipt[1]) - ord("A") + 1,
            _DAYS.index(receipt[2]),
        )
    except ValueError:
        return None


def is_plausible(line: Line) -> bool:
    """Whether receipt and time name the same day, give or take one at midnight."""
    named = receipt_date(line.receipt)
    day = line.completed_at.astimezone(EAT).date()
    return named is not None and abs((named - day).days) <= 1


def may_be_phone(phone: str, written: str) -> bool:
    """Whether `2547***678`, `07****678` or a whole number may stand for this one.

    What shows fewer than three last digits stands for nobody.
    """
    text = written.lstrip("+")
    shown = re.fullmatch(r"(\d*)[*•.xX]+(\d{3,})", text)
    if shown is None:
        return text[-9:] == phone[-9:] if text.isdigit() and len(text) >= 9 else False
    head = re.sub(r"^0", "254", shown[1])
    return phone.startswith(head) and phone.endswith(shown[2])


def tail_of(written: str) -> str:
    """The last three digits of a number as written, or nothing."""
    tail = written[-3:]
    return tail if len(tail) == 3 and tail.isascii() and tail.isdigit() else ""


def same_account(asked: str, written: str) -> bool:
    """Account numbers as people type them: case and blanks do not count."""
    return "".join(asked.split()).upper() == "".join(written.split()).upper()
