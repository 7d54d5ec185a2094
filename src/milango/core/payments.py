"""The whole policy of money: what a piece of evidence is worth, and what all of it amounts to.

A payment's state is the *set of facts* known about it. `weigh` turns one piece of `Evidence` into
a `Standing`; `Standing.join` adds facts to facts; `status_of` derives the status from the result.
Joining is commutative, associative and idempotent, so any order and any number of deliveries of
the same evidence end alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import IntEnum, StrEnum
from functools import reduce
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Status(StrEnum):
    """What a merchant is told about a payment."""

    PENDING = "Pending"
    SUCCESS = "Success"
    FAILED = "Failed"
    REVERSED = "Reversed"
    VOIDED = "Voided"


class Source(StrEnum):
    """Who said it."""

    PUSH = "push"
    CALLBACK = "callback"
    QUERY = "query"
    TRANSACTION_STATUS = "transaction_status"
    C2B = "c2b"
    PULL = "pull"
    STATEMENT = "statement"
    OPERATOR = "operator"
    MILANGO = "milango"
    """Ourselves: we know that a prompt was never sent."""


class Outcome(StrEnum):
    """What was said, in our words."""

    ACCEPTED = "accepted"
    """Daraja took the push and named it; the prompt is on its way."""
    PAID = "paid"
    FAILED = "failed"
    """This attempt can no longer succeed."""
    UNKNOWN = "unknown"
    """Nothing final: still processing, an unlisted result code, no answer."""
    UNREADABLE = "unreadable"
    REVERSED = "reversed"
    VOIDED = "voided"


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """A callback exactly as it arrived."""

    body: bytes
    headers: dict[str, str]
    peer: str
    """The address it came from, as far as trusted proxies vouch for it."""
    received_at: datetime
    sha256: str
    token_hash: str
    """SHA-256 of the callback token it came with; the token itself is never kept."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody said about one payment. Times are UTC, amounts KES."""

    payment_id: UUID
    source: Source
    outcome: Outcome
    observed_at: datetime
    checkout_request_id: str | None = None
    merchant_request_id: str | None = None
    amount: Decimal | None = None
    receipt: str | None = None
    phone: str | None = None
    """The payer's number as written: 12 digits when whole, otherwise masked or hashed."""
    paid_at: datetime | None = None
    code: str = ""
    """Daraja's result code as text, e.g. `0`, `1032`, `SFC_IC0003`."""
    text: str = ""
    listed: bool = False
    """A callback: its peer is on the list of callback sources."""
    approved: bool = False
    """An operator's word: a second person has signed it."""
    sound: bool = False
    """A statement's line: the file's short code and running balance check, and Transaction Status
    cannot be asked instead."""
    problem: str = ""
    """What is odd about it, in a word that names a doubt (`duplicate_keys`, `not_json`, ...)."""
    original: Original | None = None


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What we know about a payment before anybody has said anything: the request itself."""

    amount: Decimal
    phone: str
    asked_at: datetime
    prompt_until: datetime
    """When the prompt's life on the phone is over."""
    checkout_request_id: str | None = None
    """The id that is bound to the payment, once one is."""
    live: bool = True
    """Production: a claim needs proof. In sandbox and simulator the claim suffices."""
    confirm_above: Decimal = Decimal(20_000)
    """A listed peer's callback proves up to this amount, in KES."""


class Level(IntEnum):
    """What has been established beyond claims. Higher absorbs lower."""

    PENDING = 0
    FAILED = 1
    SUCCESS = 2
    REVERSED = 3


class Claim(msgspec.Struct, frozen=True, order=True):
    """Somebody who knows the callback's address says that it was paid."""

    receipt: str
    listed: bool
    whole: bool
    """Amount, phone number and date were all given, and all agree with the request."""


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What the evidence so far amounts to: a product of chains and sets, joined field by field."""

    level: Level = Level.PENDING
    voided: bool = False
    answered: bool = False
    """Daraja's own push answer named the CheckoutRequestID that is bound to the payment."""
    failure: tuple[int, str, str] = (0, "", "")
    """(authority, result code, result text) of the best founded failure."""
    receipts: frozenset[tuple[int, str]] = frozenset()
    """(authority, receipt): more than one receipt is a contradiction for a person."""
    paid_at: tuple[int, str] = (0, "")
    payer: tuple[int, str] = (0, "")
    claims: frozenset[Claim] = frozenset()
    doubts: frozenset[str] = frozenset()
    first_no: datetime | None = None
    """The first and the last failing query after the prompt's life was over."""
    last_no: datetime | None = None

    def join(self, other: Standing) -> Standing:
        """Add what another standing knows. Commutative, associative, idempotent."""
        return Standing(
            level=max(self.level, other.level),
            voided=self.voided or other.voided,
            answered=self.answered or other.answered,
            failure=max(self.failure, other.failure),
            receipts=self.receipts | other.receipts,
            paid_at=max(self.paid_at, other.paid_at),
            payer=max(self.payer, other.payer),
            claims=self.claims | other.claims,
            doubts=self.doubts | other.doubts,
            first_no=_known(min, self.first_no, other.first_no),
            last_no=_known(max, self.last_no, other.last_no),
        )

    @property
    def receipt(self) -> str:
        """The receipt with the best authority, or an empty string."""
        return max(self.receipts, default=(0, ""))[1]

    @property
    def all_doubts(self) -> frozenset[str]:
        """The doubts that were raised, and those that follow from the facts together."""
        several = len({code for _, code in self.receipts}) > 1
        return self.doubts | {"several_receipts"} if several else self.doubts


def _known(
    pick: Callable[..., datetime], a: datetime | None, b: datetime | None
) -> datetime | None:
    return pick(a, b) if a and b else a or b


NOTHING: Final = Standing()

SKEW: Final = timedelta(minutes=2)
"""How far a callback's date may precede our own clock's idea of the request."""

REFUSALS_APART: Final = timedelta(seconds=60)
"""Two failing queries this far apart, both after the prompt's life, make a failure."""


class Worth(msgspec.Struct, frozen=True):
    """What the table below says of one kind of evidence."""

    effect: str
    authority: int = 0


PROOF, CLAIM, FAILURE, HINT, REFUSAL, ANSWER, REVERSAL, VOIDANCE, DOUBT, SILENCE = (
    "proof claim failure hint refusal answer reversal voidance doubt silence".split()
)
"""proof: it was paid · claim: somebody says so · failure: this attempt is over · hint: a failure
nobody vouches for · refusal: a failing query, of which two are needed · answer: Daraja named the
prompt · silence: says nothing about the money."""

POLICY: Final[dict[tuple[Source, bool, Outcome], Worth]] = {
    # (source, vouched for, outcome)                        effect     authority
    (Source.PUSH, False, Outcome.ACCEPTED): Worth(ANSWER),
    (Source.PUSH, False, Outcome.FAILED): Worth(FAILURE, 3),
    (Source.PUSH, False, Outcome.UNKNOWN): Worth(SILENCE),
    (Source.MILANGO, False, Outcome.FAILED): Worth(FAILURE, 3),
    (Source.CALLBACK, True, Outcome.PAID): Worth(CLAIM, 3),
    (Source.CALLBACK, False, Outcome.PAID): Worth(CLAIM, 1),
    (Source.CALLBACK, True, Outcome.FAILED): Worth(FAILURE, 3),
    (Source.CALLBACK, False, Outcome.FAILED): Worth(HINT, 1),
    (Source.CALLBACK, True, Outcome.UNKNOWN): Worth(DOUBT),
    (Source.CALLBACK, False, Outcome.UNKNOWN): Worth(DOUBT),
    (Source.CALLBACK, True, Outcome.UNREADABLE): Worth(DOUBT),
    (Source.CALLBACK, False, Outcome.UNREADABLE): Worth(DOUBT),
    (Source.QUERY, False, Outcome.PAID): Worth(PROOF, 2),
    (Source.QUERY, False, Outcome.FAILED): Worth(REFUSAL, 2),
    (Source.QUERY, False, Outcome.UNKNOWN): Worth(SILENCE),
    (Source.TRANSACTION_STATUS, False, Outcome.PAID): Worth(PROOF, 4),
    (Source.TRANSACTION_STATUS, False, Outcome.FAILED): Worth(FAILURE, 4),
    (Source.TRANSACTION_STATUS, False, Outcome.REVERSED): Worth(REVERSAL, 4),
    (Source.TRANSACTION_STATUS, False, Outcome.UNKNOWN): Worth(SILENCE),
    (Source.C2B, True, Outcome.PAID): Worth(PROOF, 4),
    (Source.C2B, False, Outcome.PAID): Worth(CLAIM, 1),
    (Source.C2B, True, Outcome.REVERSED): Worth(REVERSAL, 4),
    (Source.C2B, False, Outcome.REVERSED): Worth(DOUBT),
    (Source.PULL, False, Outcome.PAID): Worth(PROOF, 4),
    (Source.PULL, True, Outcome.REVERSED): Worth(REVERSAL, 4),
    (Source.PULL, False, Outcome.REVERSED): Worth(DOUBT),
    (Source.STATEMENT, True, Outcome.PAID): Worth(PROOF, 1),
    (Source.STATEMENT, False, Outcome.PAID): Worth(SILENCE),
    (Source.STATEMENT, True, Outcome.REVERSED): Worth(DOUBT),
    (Source.STATEMENT, False, Outcome.REVERSED): Worth(DOUBT),
    (Source.OPERATOR, True, Outcome.PAID): Worth(PROOF, 1),
    (Source.OPERATOR, True, Outcome.FAILED): Worth(FAILURE, 1),
    (Source.OPERATOR, True, Outcome.REVERSED): Worth(REVERSAL, 1),
    (Source.OPERATOR, True, Outcome.VOIDED): Worth(VOIDANCE, 1),
}
"""What is not in the table (an operator's word with one signature, say) is silence."""


def weigh(evidence: Evidence, asked: Asked, *, taken: bool = False) -> Standing:
    """What one piece of evidence adds. `taken`: its receipt already settled another payment."""
    doubt = _disagreement(evidence, asked, taken=taken)
    if doubt:
        return Standing(doubts=frozenset({doubt}))
    vouched = _is_vouched_for(evidence, asked)
    worth = POLICY.get((evidence.source, vouched, evidence.outcome), Worth(SILENCE))
    return _EFFECTS[worth.effect](evidence, asked, worth.authority)


def _is_vouched_for(evidence: Evidence, asked: Asked) -> bool:
    """Callbacks come from a listed peer; without real money every peer will do.

    A row of Pull or a confirmation that tells a reversal names the payment's own receipt: no
    document says that it does, and one that names another receipt only seems to fit.
    """
    if evidence.source is Source.OPERATOR:
        return evidence.approved
    if evidence.source is Source.STATEMENT:
        return evidence.sound
    heard = evidence.listed or not asked.live
    if evidence.outcome is Outcome.REVERSED:
        return evidence.source in {Source.PULL, Source.C2B} and heard and bool(evidence.receipt)
    return evidence.source in {Source.CALLBACK, Source.C2B} and heard


def _disagreement(evidence: Evidence, asked: Asked, *, taken: bool) -> str:
    """Why this evidence must not count although its token is right, or an empty string."""
    if evidence.problem:
        return evidence.problem
    bound, named = asked.checkout_request_id, evidence.checkout_request_id
    if named and bound and named != bound:
        return "other_checkout_id"
    if evidence.amount is not None and evidence.amount != asked.amount:
        is_reversal = evidence.outcome is Outcome.REVERSED
        return "reversed_in_part" if is_reversal else "other_amount"
    if evidence.paid_at and evidence.paid_at < asked.asked_at - SKEW:
        return "before_request"
    if taken:
        return "receipt_taken"
    if evidence.source is Source.CALLBACK and asked.live and not evidence.listed and not bound:
        return "unknown_checkout_id"
    return ""


def _proof(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return _money_facts(evidence, authority, Standing(level=Level.SUCCESS))


def _claim(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    claim = Claim(evidence.receipt or "", evidence.listed, _is_whole(evidence, asked))
    return _money_facts(evidence, authority, Standing(claims=frozenset({claim})))


def _money_facts(evidence: Evidence, authority: int, standing: Standing) -> Standing:
    receipts = frozenset({(authority, evidence.receipt)}) if evidence.receipt else frozenset()
    return msgspec.structs.replace(
        standing,
        receipts=receipts,
        paid_at=(authority, evidence.paid_at.isoformat()) if evidence.paid_at else (0, ""),
        payer=(authority, evidence.phone) if is_whole_number(evidence.phone) else (0, ""),
    )


def _failure(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return Standing(level=Level.FAILED, failure=(authority, evidence.code, evidence.text))


def _hint(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return Standing(failure=(authority, evidence.code, evidence.text))


def _refusal(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    at = evidence.observed_at if evidence.observed_at >= asked.prompt_until else None
    failure = (authority, evidence.code, evidence.text)
    return Standing(failure=failure, first_no=at, last_no=at)


def _answer(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return Standing(answered=True)


def _reversal(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return Standing(level=Level.REVERSED)


def _voidance(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return Standing(voided=True)


def _doubt(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    if evidence.outcome is Outcome.REVERSED:
        return Standing(doubts=frozenset({f"reversed_in_{evidence.source}"}))
    return Standing(doubts=frozenset({f"{evidence.outcome}_result"}))


def _silence(evidence: Evidence, asked: Asked, authority: int) -> Standing:
    return NOTHING


_EFFECTS: Final[dict[str, Callable[[Evidence, Asked, int], Standing]]] = {
    PROOF: _proof,
    CLAIM: _claim,
    FAILURE: _failure,
    HINT: _hint,
    REFUSAL: _refusal,
    ANSWER: _answer,
    REVERSAL: _reversal,
    VOIDANCE: _voidance,
    DOUBT: _doubt,
    SILENCE: _silence,
}


def is_whole_number(phone: str | None) -> bool:
    """A complete MSISDN: not masked, not hashed."""
    return phone is not None and len(phone) == 12 and phone.isascii() and phone.isdigit()


def _is_whole(evidence: Evidence, asked: Asked) -> bool:
    given = evidence.phone is not None
    agrees = given and (evidence.phone == asked.phone or not is_whole_number(evidence.phone))
    return evidence.amount is not None and evidence.paid_at is not None and agrees


def is_paid(standing: Standing, asked: Asked) -> bool:
    """Proven: by a source that proves, or by a claim that nothing more is asked of."""
    return standing.level >= Level.SUCCESS or any(
        _suffices(claim, standing, asked) for claim in standing.claims
    )


def _suffices(claim: Claim, standing: Standing, asked: Asked) -> bool:
    if not asked.live:
        return True
    return (
        claim.listed and claim.whole and standing.answered and asked.amount <= asked.confirm_above
    )


class Judged(NamedTuple):
    """What follows from the facts about one payment."""

    status: Status
    is_paid: bool
    """Proven, whatever became of the money afterwards."""
    is_confirming: bool
    """Somebody says it was paid and nobody has proven it yet: "do not pay again"."""


def judge(standing: Standing, asked: Asked) -> Judged:
    """The status that follows from the facts, and what is asked beside it.

    Two failing queries never refute a claim: such a payment stays Pending for a person.
    """
    paid = is_paid(standing, asked)
    status = _status(standing, paid)
    open_claim = bool(standing.claims) and status in {Status.PENDING, Status.FAILED}
    return Judged(status, paid, open_claim)


def _status(standing: Standing, paid: bool) -> Status:
    if standing.level is Level.REVERSED:
        return Status.REVERSED
    if standing.voided:
        return Status.VOIDED
    if paid:
        return Status.SUCCESS
    if standing.level is Level.FAILED:
        return Status.FAILED
    if not standing.claims and _refused_twice(standing):
        return Status.FAILED
    return Status.PENDING


def _refused_twice(standing: Standing) -> bool:
    first, last = standing.first_no, standing.last_no
    return bool(first and last and last - first >= REFUSALS_APART)


def status_of(standing: Standing, asked: Asked) -> Status:
    """The status that follows from the facts."""
    return judge(standing, asked).status


def join_all(standings: Iterable[Standing]) -> Standing:
    """All facts together."""
    return reduce(Standing.join, standings, NOTHING)


def encode_standing(standing: Standing) -> str:
    """The standing as a row keeps it: the same facts always give the same text."""
    return msgspec.json.encode(standing, order="deterministic").decode()


def decode_standing(text: str) -> Standing:
    """A standing as it was kept; nothing kept is nothing known."""
    return msgspec.json.decode(text, type=Standing) if text else NOTHING
