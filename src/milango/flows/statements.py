"""Import a statement: compare it with what we have, let it point or prove, and report.

A statement is a file, and files can be edited. One that adds up and contradicts nothing proves a
payment, but only where Transaction Status cannot be asked; otherwise it says about which receipts
to ask. It never makes a failure or a reversal. One that does not add up moves nothing at all, and
waits for a person.
"""

from __future__ import annotations

import hashlib
import logging
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar
from uuid import UUID

import msgspec
from django.db import transaction
from django.db.models import Q

from milango.core import payments as policy
from milango.core import statements
from milango.core.payments import Evidence, Outcome, Source, Status
from milango.core.statements import Line, NotAStatement, Statement
from milango.models import MpesaCredential, Payment, StatementImport
from milango.models.ids import first_uuid7

from . import audit, batches, book, hours, questions, reconcile
from .receive import EVIDENCE
from .settle import Settled
from .sheets import rows_of
from .store_statements import Ours, Stage, stage

logger = logging.getLogger(__name__)

K = TypeVar("K")

EARLY: Final = timedelta(minutes=2)
"""By so much M-Pesa's clock may be behind ours."""

LATE: Final = timedelta(minutes=5)
"""So long after a prompt's life its payment may still be completed."""

ASKED_WITHIN: Final = timedelta(hours=1)
"""So long before it is completed a payment may have been asked for."""

MOST_ASKED: Final = 200
"""Receipts that one import asks Transaction Status about."""

AT_ONCE: Final = 500
"""Pieces of evidence that are settled in one transaction."""

MERCHANT: Final = "merchant"
"""Who owns a flag until somebody takes it."""

NOT_ALARMING: Final = frozenset({"no_short_code", "no_opening"})
"""Why a file proves nothing, without being a sign that somebody edited it."""


class Kind(StrEnum):
    """What the comparison finds about one receipt."""

    MATCHED = "matched"
    """The same receipt with the same amount, here and there."""
    SETTLED = "settled"
    """It was open here; this statement has proven it now."""
    OPEN_HERE = "open_here"
    """Paid there; pending, failed or voided here."""
    OTHER_AMOUNT = "other_amount"
    OTHER_MONEY = "other_money"
    """An operator's word named the receipt here; its payer, account number or time there are not
    the payment's."""
    MISSING_HERE = "missing_here"
    """Paid there, and none of our payments: paid at the counter, or unknown to us."""
    MISSING_THERE = "missing_there"
    """A success here, in the statement's period, that the statement lacks."""
    REVERSED_HERE = "reversed_here"
    """It is a reversal here by an operator's word alone, and not there."""
    REVERSED_THERE = "reversed_there"
    """It went back there, and is no reversal here."""
    CHANGED = "changed"
    """An earlier statement told another amount or time of the same receipt."""


AGREED: Final = frozenset({Kind.MATCHED, Kind.SETTLED})

OTHERS: Final = frozenset({Kind.OTHER_AMOUNT, Kind.OTHER_MONEY})
"""The receipt is the payment's here, and its money there is not."""

EDITED: Final = frozenset({Kind.OTHER_AMOUNT, Kind.MISSING_THERE, Kind.CHANGED})
"""What may be there because somebody edited the file."""

TELLS: Final = {
    Kind.OTHER_MONEY: (Outcome.UNKNOWN, ""),
    Kind.MISSING_THERE: (Outcome.UNKNOWN, "missing_in_statement"),
    Kind.REVERSED_HERE: (Outcome.UNKNOWN, "not_reversed_in_statement"),
    Kind.REVERSED_THERE: (Outcome.REVERSED, ""),
}
"""What a sound statement says beside payments, and its doubt where the policy knows of none."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One receipt on which the statement and we do not agree. Amounts KES, time UTC."""

    kind: Kind
    receipt: str
    row: int = 0
    """In the file; 0: it is not there."""
    amount: Decimal | None = None
    """As the statement says."""
    paid_at: datetime | None = None
    payment_id: UUID | None = None
    status: str = ""
    our_amount: Decimal | None = None
    is_open: bool = False
    """What a proof would change."""
    doubt: str = ""
    """What about it contradicts the payment, where the kind does not say it."""
    is_weak: bool = False
    """M-Pesa has not told when the payment was paid: no sign that somebody edited the file."""

    @property
    def payment(self) -> str:
        """`pay_…`, or an empty text."""
        return f"pay_{self.payment_id.hex}" if self.payment_id else ""


class Report(msgspec.Struct, kw_only=True):
    """What an import found."""

    credential: MpesaCredential
    record: StatementImport
    statement: Statement
    is_new: bool
    """False: these very bytes had been imported before."""
    counts: dict[Kind, int]
    found: list[Found]
    problem: str = ""
    """Why the statement proves nothing, or an empty text."""

    @property
    def all_matched(self) -> bool:
        """Nothing is left for anybody to look at."""
        differs = any(count for kind, count in self.counts.items() if kind not in AGREED)
        return not differs and self.problem in {"", *NOT_ALARMING}


class Point(NamedTuple):
    """A receipt that Transaction Status should be asked about."""

    credential: MpesaCredential
    receipt: str
    payment: Payment | None
    """None: money that none of our payments asked for."""


Tell = Callable[[str, int, int | None], None]
"""Hears (what is being done, how far, of how much if that is known)."""


def _silently(what: str, done: int, total: int | None) -> None:
    """Nobody listens."""


def can_ask(credential: MpesaCredential) -> bool:
    """Whether a better source than a file can be asked about a receipt: Transaction Status."""
    return questions.may_ask(credential)


def points(report: Report) -> Iterator[Point]:
    """The receipts to ask Transaction Status about, those of our own payments first.

    A statement that does not add up points to our own payments only.
    """
    mine = [(found, found.payment_id) for found in report.found if found.payment_id]
    known: dict[UUID, Payment] = {}
    for at in range(0, len(mine), AT_ONCE):
        ids = [payment_id for _, payment_id in mine[at : at + AT_ONCE]]
        rows = Payment.objects.filter(credential=report.credential, pk__in=ids)
        known |= {payment.pk: payment for payment in rows.exclude(status=Status.REVERSED)}
    for found, payment_id in mine:
        if payment_id in known and found.receipt:
            yield Point(report.credential, found.receipt, known[payment_id])
    if not report.problem:
        for found in report.found:
            if found.kind is Kind.MISSING_HERE:
                yield Point(report.credential, found.receipt, None)


def ask(report: Report, most: int = MOST_ASKED, *, tell: Tell = _silently) -> int:
    """Ask Transaction Status about what the statement points to. Returns how many were asked.

    What was left out is asked about when the file is imported again.
    """
    asked = 0
    for point in points(report):
        if asked >= most or not can_ask(report.credential):
            break
        tell("Asking Daraja", asked, None)
        question = questions.ask_by_receipt(
            point.credential, point.receipt, why="statement", payment=point.payment
        )
        asked += question is not None
    return asked


# --- importing ------------------------------------------------------------------------------


def import_statement(
    credential: MpesaCredential, content: bytes, *, uploader: str, tell: Tell = _silently
) -> Report:
    """Import a statement file of a short code. The same file again only compares again.

    Raises NotAStatement for what is none, or another short code's: nothing is stored then.
    """
    statement = statements.read_statement(
        rows_of(content), lambda row: tell("Reading rows", row, None)
    )
    _refuse_foreign(credential, statement)
    tell("Comparing", 0, None)
    with transaction.atomic(durable=True):
        record, is_new = _record(credential, content, statement, uploader)
        report = _compare(credential, record, statement, is_new=is_new)
        _flag(report)
        if is_new:
            _audit(report, uploader)
    _settle(report, tell)
    _ask_soon(report)
    record.counts = {kind.value: count for kind, count in report.counts.items()}
    record.save(update_fields=["counts"])
    return report


def _refuse_foreign(credential: MpesaCredential, statement: Statement) -> None:
    numbers = {credential.short_code, credential.business_short_code}
    same = {number.lstrip("0") for number in numbers}  # spreadsheets drop leading zeros
    if statement.short_code and statement.short_code.lstrip("0") not in same:
        raise NotAStatement(
            f"This is the statement of short code {statement.short_code[:12]}, not of "
            f"{credential.short_code}. Nothing was stored, no payment changed. Choose the short "
            "code that the file is of."
        )


def _record(
    credential: MpesaCredential, content: bytes, statement: Statement, uploader: str
) -> tuple[StatementImport, bool]:
    return StatementImport.objects.get_or_create(
        credential=credential,
        sha256=hashlib.sha256(content).hexdigest(),
        defaults={
            "merchant_id": credential.merchant_id,
            "uploader": uploader[: audit.LONGEST_ACTOR],
            "short_code": statement.short_code[:7],
            "organisation": statement.organisation,
            "since": statement.since,
            "until": statement.until,
            "lines": len(statement.lines),
            "payments": len(statement.payments()),
            "imported_at": hours.now(),
        },
    )


def _flag(report: Report) -> None:
    """A file that does not add up, or unsays an earlier one, waits for a person."""
    record = report.record
    if report.problem == record.problem:
        return
    record.problem = report.problem
    if report.problem not in {"", *NOT_ALARMING}:
        record.owner = MERCHANT
        problems = report.statement.problems
        record.problem_row = problems[0].row if problems else 0
        logger.error(
            "statement %s of short code %s proves nothing: %s, row %s",
            record.public_id,
            report.credential.short_code,
            record.problem,
            record.problem_row,
        )
    record.save(update_fields=["problem", "problem_row", "owner"])


def _audit(report: Report, uploader: str) -> None:
    record = report.record
    audit.record(
        uploader,
        "statement.imported",
        record.public_id,
        merchant=report.credential.merchant,
        short_code=report.credential.short_code,
        sha256=record.sha256,
        problem=record.problem,
    )


# --- comparing ------------------------------------------------------------------------------


def _compare(
    credential: MpesaCredential, record: StatementImport, statement: Statement, *, is_new: bool
) -> Report:
    paid, back = statement.payments(), statement.reversed()
    with stage(credential, list(paid.values()), back) as here:
        changed = here.changed()
        if statement.is_sound:
            here.keep(record)
        here.find_owners()
        differing = [_judged(ours, paid.get(ours.receipt), back) for ours in here.otherwise()]
        by_word = here.by_word()
        mistaken = _mistaken(by_word, paid, {found.receipt for found in differing})
        known = {found.receipt for found in mistaken}
        kept = [
            _found(Kind.REVERSED_HERE, ours.receipt, paid[ours.receipt], ours)
            for ours in here.reversed_by_word(statement.until)
            if ours.receipt not in known
        ]
        matched = here.agreeing() - len(mistaken) - len(kept)
        found = differing + mistaken + kept
        # Whose the money is that a word has put to a payment which it contradicts
        loose = {each.receipt for each in found if each.kind in OTHERS and each.receipt in by_word}
        unowned = [paid[code] for code in here.unowned()]
        lines = unowned + [paid[code] for code in sorted(loose)]
        joined, left = _joined(credential, lines, back)
        joined += [_found(Kind.MISSING_HERE, line.receipt, line) for line in left]
        found += [each for each in joined if each.payment_id or each.receipt not in loose]
        found += _missing(here, statement)
        found += _unseen(credential, statement, unowned, paid)
    found += [_found(Kind.CHANGED, code, paid[code]) for code in changed]
    counts = Counter(each.kind for each in found)
    counts[Kind.MATCHED] = matched + counts[Kind.MATCHED]
    return Report(
        credential=credential,
        record=record,
        statement=statement,
        is_new=is_new,
        counts={kind: counts[kind] for kind in Kind},
        found=[each for each in found if each.kind is not Kind.MATCHED],
        problem=_problem(statement, counts),
    )


def _problem(statement: Statement, counts: Counter[Kind]) -> str:
    """A file that contradicts what is proven proves nothing either."""
    alarming = [each for each in statement.problems if each.kind not in NOT_ALARMING]
    if alarming:
        statement.problems = alarming
        return alarming[0].kind
    if counts[Kind.CHANGED]:
        return "changed_line"
    return statement.problems[0].kind if statement.problems else ""


def _found(kind: Kind, receipt: str, line: Line | None, ours: Ours | None = None) -> Found:
    return Found(
        kind=kind,
        receipt=receipt,
        row=line.number if line else 0,
        amount=line.paid_in if line else None,
        paid_at=line.completed_at if line else None,
        payment_id=ours.payment_id if ours else None,
        status=ours.status if ours else "",
        our_amount=ours.amount if ours else None,
        is_open=kind is Kind.OPEN_HERE,
    )


def _judged(ours: Ours, line: Line | None, back: dict[str, Decimal]) -> Found:
    """Of a line and a payment that is not plainly the same."""
    if ours.receipt in back and ours.status != Status.REVERSED:
        kind = Kind.REVERSED_THERE
    elif line and line.paid_in != ours.amount:
        kind = Kind.OTHER_AMOUNT
    else:
        kind = Kind.OPEN_HERE
    return _found(kind, ours.receipt, line, ours)


def _mistaken(by_word: dict[str, UUID], paid: dict[str, Line], known: set[str]) -> list[Found]:
    """Receipts that an operator's word has put to a payment which the line contradicts."""
    payments = Payment.objects.select_related("credential").in_bulk(list(by_word.values()))
    found = []
    for code in sorted(by_word.keys() - known):
        payment, line = payments[by_word[code]], paid[code]
        if doubt := book.contradiction(payment, _as_booked(line)):
            ours = Ours(code, payment.pk, payment.status, payment.amount)
            each = _found(Kind.OTHER_MONEY, code, line, ours)
            found.append(msgspec.structs.replace(each, doubt=doubt))
    return found


def _as_booked(line: Line) -> book.Line:
    return book.Line(
        receipt=line.receipt,
        amount=line.paid_in,
        paid_at=line.completed_at,
        phone=line.phone,
        reference=line.account,
    )


def _missing(here: Stage, statement: Statement) -> list[Found]:
    since, until = statement.since, statement.until
    if since is None or until is None:
        return []
    rows = here.missing(since, until, (since - ASKED_WITHIN, until + EARLY))
    return [_found(Kind.MISSING_THERE, ours.receipt, None, ours) for ours in rows]


def _unseen(
    credential: MpesaCredential,
    statement: Statement,
    unowned: list[Line],
    paid: dict[str, Line],
) -> list[Found]:
    """Successes by a word, or by a query that names no time, of which the file has no trace.

    Only where it covers all of the time in which the money can have moved.
    """
    since, until = statement.since, statement.until
    if since is None or until is None:
        return []
    by_amount = _by(unowned, attrgetter("paid_in"))
    found = []
    for payment in _candidates(credential, since, until, UNDATED):
        ends = max(payment.prompt_until + LATE, payment.settled_at or until)
        if payment.created_at < since + EARLY or ends > until:
            continue
        code = payment.receipt_number
        if code in paid or (not code and _in_time(by_amount.get(payment.amount, []), payment)):
            continue
        ours = Ours(code, payment.id, payment.status, payment.amount)
        each = _found(Kind.MISSING_THERE, code, None, ours)
        found.append(msgspec.structs.replace(each, is_weak=True))
    return found


# --- lines whose receipt nobody owns --------------------------------------------------------

OPEN: Final = Q(status=Status.PENDING) | Q(status=Status.SUCCESS, receipt_number="")
FAILED: Final = Q(status=Status.FAILED)
UNDATED: Final = Q(status=Status.SUCCESS, transaction_date=None)


class Candidate(NamedTuple):
    """A payment whose receipt is not known, or only claimed."""

    id: UUID
    status: str
    amount: Decimal
    phone: str
    account_reference: str
    created_at: datetime
    prompt_until: datetime
    standing: str
    receipt_number: str
    settled_at: datetime | None

    def claims(self) -> set[str]:
        """The receipts that somebody has named for it."""
        if not self.standing:
            return set()
        known = policy.decode_standing(self.standing)
        return {code for _, code in known.receipts} | {c.receipt for c in known.claims} - {""}


def _joined(
    credential: MpesaCredential, lines: list[Line], back: dict[str, Decimal]
) -> tuple[list[Found], list[Line]]:
    """Lines that belong to one of our open payments, and those that are left.

    By the receipt that somebody claimed for it; otherwise by all that a line tells, and only
    where line and payment have no other choice. Open payments go before failed ones: a payer who
    cancelled and was prompted again has paid the second prompt.
    """
    found: list[Found] = []
    for which in (OPEN, FAILED):
        if not lines:
            break
        times = [line.completed_at for line in lines]
        candidates = list(_candidates(credential, min(times), max(times), which))
        pairs, considered = _by_claim(candidates, lines)
        free = [each for each in candidates if not each.claims()]
        left = [line for line in lines if line.receipt not in considered]
        guessed, also = _by_all_it_tells(credential, free, left)
        pairs += guessed
        considered |= also
        mine = {line.receipt for line, _ in pairs}
        for line, payment in pairs:
            ours = Ours(line.receipt, payment.id, payment.status, payment.amount)
            judged = _judged(ours, line, back)
            found.append(msgspec.structs.replace(judged, is_open=judged.kind is Kind.OPEN_HERE))
        unclear = [line for line in lines if line.receipt in considered - mine]
        found += [_found(Kind.MISSING_HERE, line.receipt, line) for line in unclear]
        lines = [line for line in lines if line.receipt not in considered]
    return found, lines


def _candidates(
    credential: MpesaCredential, since: datetime, until: datetime, which: Q
) -> Iterator[Candidate]:
    """Payments that money of this time can be."""
    rows = Payment.objects.filter(
        which,
        merchant_id=credential.merchant_id,
        pk__gte=first_uuid7(since - ASKED_WITHIN),
        pk__lt=first_uuid7(until + EARLY),
        credential=credential,
    ).exclude(sending_at=None)
    columns = [name if name != "id" else "pk" for name in Candidate._fields]
    return (Candidate(*row) for row in rows.values_list(*columns).iterator(5_000))


Pairs = list[tuple[Line, Candidate]]


def _by_claim(candidates: Iterable[Candidate], lines: Iterable[Line]) -> tuple[Pairs, set[str]]:
    """Pairs, and the receipts that have been decided about."""
    claimed: defaultdict[str, list[Candidate]] = defaultdict(list)
    for payment in candidates:
        for code in payment.claims():
            claimed[code].append(payment)
    decided = [line for line in lines if line.receipt in claimed]
    alone = [line for line in decided if len(claimed[line.receipt]) == 1]
    pairs = [(line, claimed[line.receipt][0]) for line in alone]
    return pairs, {line.receipt for line in decided}


def _by_all_it_tells(
    credential: MpesaCredential, candidates: Iterable[Candidate], lines: Iterable[Line]
) -> tuple[Pairs, set[str]]:
    """Amount, phone, account and time: those with exactly one choice on both sides."""
    shown = [line for line in lines if statements.tail_of(line.phone)]
    by_key = _by(shown, lambda line: (line.paid_in, statements.tail_of(line.phone)))
    pairs = [
        (line, payment)
        for payment in candidates
        for line in _in_time(by_key.get((payment.amount, payment.phone[-3:]), []), payment)
        if _fits(credential, line, payment)
    ]
    of_line = Counter(line.receipt for line, _ in pairs)
    of_payment = Counter(payment.id for _, payment in pairs)
    alone = [
        (line, payment)
        for line, payment in pairs
        if of_line[line.receipt] == of_payment[payment.id] == 1
    ]
    return alone, set(of_line)


def _by(lines: Iterable[Line], key: Callable[[Line], K]) -> dict[K, list[Line]]:
    """Lines that have something in common, in the order of time."""
    found: defaultdict[K, list[Line]] = defaultdict(list)
    for line in sorted(lines, key=attrgetter("completed_at")):
        found[key(line)].append(line)
    return found


def _in_time(lines: list[Line], payment: Candidate) -> list[Line]:
    at = attrgetter("completed_at")
    first = bisect_left(lines, payment.created_at - EARLY, key=at)
    return lines[first : bisect_right(lines, payment.prompt_until + LATE, key=at)]


def _fits(credential: MpesaCredential, line: Line, payment: Candidate) -> bool:
    is_till = credential.kind == MpesaCredential.Kind.TILL
    return statements.may_be_phone(payment.phone, line.phone) and (
        is_till or statements.same_account(payment.account_reference, line.account)
    )


# --- what follows ---------------------------------------------------------------------------


def _settle(report: Report, tell: Tell) -> None:
    """Hand a sound statement's lines over as evidence. What is not sound moves nothing."""
    if report.problem:
        return
    lines = report.statement.payments()
    contradicts = any(found.kind in EDITED and not found.is_weak for found in report.found)
    proves = not contradicts and not can_ask(report.credential)
    told = [
        (found, evidence)
        for found in report.found
        if (evidence := _evidence(found, lines.get(found.receipt), proves=proves))
    ]
    settled: set[str] = set()
    for at in range(0, len(told), AT_ONCE):
        batch = told[at : at + AT_ONCE]
        tell("Settling", at, len(told))
        for (found, _), outcome in zip(
            batch, batches.run(EVIDENCE, [evidence for _, evidence in batch]), strict=True
        ):
            if isinstance(outcome, Exception):
                raise outcome
            assert isinstance(outcome, Settled)
            if found.is_open and outcome.status is Status.SUCCESS and _has(outcome, found):
                settled.add(found.receipt)
    report.found = [found for found in report.found if found.receipt not in settled]
    report.counts[Kind.OPEN_HERE] -= len(settled)
    report.counts[Kind.SETTLED] = len(settled)


def _has(outcome: Settled, found: Found) -> bool:
    return outcome.payment is not None and outcome.payment.receipt_number == found.receipt


def _evidence(found: Found, line: Line | None, *, proves: bool) -> Evidence | None:
    """What the statement says of one of our payments; None: nothing."""
    if found.payment_id is None:
        return None
    at = hours.now()
    if found.kind in TELLS:
        outcome, problem = TELLS[found.kind]
        return Evidence(
            payment_id=found.payment_id,
            source=Source.STATEMENT,
            outcome=outcome,
            observed_at=at,
            problem=found.doubt or problem,
        )
    if line is None or found.kind not in {Kind.OPEN_HERE, Kind.OTHER_AMOUNT}:
        return None
    return Evidence(
        payment_id=found.payment_id,
        source=Source.STATEMENT,
        outcome=Outcome.PAID,
        observed_at=at,
        amount=line.paid_in,
        receipt=line.receipt,
        phone=line.phone or None,
        paid_at=line.completed_at,
        sound=proves and statements.is_plausible(line),
    )


def _ask_soon(report: Report) -> None:
    """Daraja is asked at once about what the statement says was paid."""
    now = hours.now()
    ids = [found.payment_id for found in report.found if found.is_open and found.payment_id]
    for at in range(0, len(ids), AT_ONCE):
        reconcile.bring_forward(
            Payment.objects.filter(
                Q(next_check_at=None) | Q(next_check_at__gt=now),
                pk__in=ids[at : at + AT_ONCE],
                status=Status.PENDING.value,
            ),
            now,
        )
