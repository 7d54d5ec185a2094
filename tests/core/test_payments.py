"""The policy of money: the laws of joining, and what each kind of evidence is worth."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.payments import (
    NOTHING,
    POLICY,
    Asked,
    Evidence,
    Outcome,
    Source,
    Standing,
    Status,
    decode_standing,
    encode_standing,
    join_all,
    judge,
    status_of,
    weigh,
)

from .evidences import (
    ASKED_AT,
    accepted,
    asked,
    evidence,
    failing_callback,
    paid_callback,
    query,
    said,
    standings,
)


def outcome(pieces: list[Evidence], request: Asked | None = None) -> Status:
    request = request or asked()
    return status_of(join_all(weigh(piece, request) for piece in pieces), request)


# --- the laws -------------------------------------------------------------------------------


@given(standings, standings)
def test_joining_is_commutative(a: Standing, b: Standing) -> None:
    assert a.join(b) == b.join(a)


@given(standings, standings, standings)
def test_joining_is_associative(a: Standing, b: Standing, c: Standing) -> None:
    assert a.join(b).join(c) == a.join(b.join(c))


@given(standings)
def test_joining_is_idempotent_and_nothing_adds_nothing(a: Standing) -> None:
    assert a.join(a) == a == a.join(NOTHING)


@given(standings)
def test_a_standing_survives_its_column(a: Standing) -> None:
    assert decode_standing(encode_standing(a)) == a


@given(standings, standings)
def test_equal_standings_have_equal_texts(a: Standing, b: Standing) -> None:
    assert encode_standing(a.join(b)) == encode_standing(b.join(a))


@given(st.lists(evidence, max_size=8), st.randoms(), st.booleans())
def test_any_order_and_any_repetition_end_alike(pieces, random, live) -> None:
    request = asked(live=live)
    again = pieces + [random.choice(pieces) for _ in pieces]
    random.shuffle(again)
    one = join_all(weigh(piece, request) for piece in pieces)
    other = join_all(weigh(piece, request) for piece in again)
    assert one == other
    assert status_of(one, request) == status_of(other, request)


@given(st.lists(evidence, max_size=8), evidence, st.booleans())
def test_success_is_unsaid_by_reversal_and_voiding_alone(pieces, one_more, live) -> None:
    before, after = (
        outcome(pieces, asked(live=live)),
        outcome([*pieces, one_more], asked(live=live)),
    )
    if before is Status.SUCCESS:
        assert after in {Status.SUCCESS, Status.REVERSED, Status.VOIDED}
    if before is Status.REVERSED:
        assert after is Status.REVERSED


@given(st.lists(evidence.filter(lambda e: e.outcome is not Outcome.PAID), max_size=8))
def test_nothing_but_a_success_makes_a_success(pieces) -> None:
    assert outcome(pieces) is not Status.SUCCESS


# --- claim and proof ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "request_", "status"),
    [
        ([accepted(), paid_callback()], asked(), Status.SUCCESS),
        ([paid_callback(), accepted()], asked(), Status.SUCCESS),
        ([paid_callback()], asked(), Status.PENDING),  # the id is not from a push answer
        ([accepted(), paid_callback(listed=False)], asked(), Status.PENDING),
        ([accepted(), paid_callback(amount=None)], asked(), Status.PENDING),
        ([accepted(), paid_callback(paid_at=None)], asked(), Status.PENDING),
        ([accepted(), paid_callback(phone="254110000123")], asked(), Status.PENDING),
        ([accepted(), paid_callback(phone="2547 ***** 149")], asked(), Status.SUCCESS),
        ([paid_callback(listed=False), query(Outcome.PAID)], asked(), Status.SUCCESS),
        ([accepted(), query(Outcome.PAID)], asked(), Status.SUCCESS),
        ([accepted(), paid_callback(listed=False)], asked(live=False), Status.SUCCESS),
        (
            [accepted(), paid_callback(amount=Decimal(20_001))],
            asked(amount=Decimal(20_001)),
            Status.PENDING,
        ),
        (
            [accepted(), paid_callback(amount=Decimal(20_000))],
            asked(amount=Decimal(20_000)),
            Status.SUCCESS,
        ),
    ],
)
def test_a_claim_becomes_a_success_only_with_proof(pieces, request_, status) -> None:
    assert outcome(pieces, request_) is status


@pytest.mark.parametrize("answer", [Outcome.FAILED, Outcome.UNKNOWN])
def test_no_query_answer_refutes_a_claim(answer: Outcome) -> None:
    pieces = [accepted(), paid_callback(listed=False), query(answer, 200), query(answer, 400)]
    assert outcome(pieces) is Status.PENDING
    assert judge(join_all(weigh(p, asked()) for p in pieces), asked()).is_confirming


@pytest.mark.parametrize(
    ("piece", "doubt"),
    [
        (paid_callback(checkout_request_id="ws_CO_other"), "other_checkout_id"),
        (paid_callback(amount=Decimal(1)), "other_amount"),
        (paid_callback(paid_at=ASKED_AT - timedelta(days=1)), "before_request"),
        (paid_callback(problem="duplicate_keys"), "duplicate_keys"),
        (failing_callback(checkout_request_id="ws_CO_other"), "other_checkout_id"),
        (said(Source.CALLBACK, Outcome.UNKNOWN), "unknown_result"),
        (said(Source.CALLBACK, Outcome.UNREADABLE), "unreadable_result"),
    ],
)
def test_evidence_that_disagrees_is_a_doubt_and_nothing_else(piece: Evidence, doubt: str) -> None:
    assert weigh(piece, asked()) == Standing(doubts=frozenset({doubt}))


def test_a_receipt_of_another_payment_credits_nothing() -> None:
    added = weigh(paid_callback(), asked(live=False), taken=True)
    assert added == Standing(doubts=frozenset({"receipt_taken"}))


def test_an_unlisted_peer_cannot_name_the_prompt_of_a_live_payment() -> None:
    unbound = asked(checkout_request_id=None)
    assert weigh(paid_callback(listed=False), unbound).doubts == {"unknown_checkout_id"}
    assert not weigh(paid_callback(listed=True), unbound).doubts


def test_two_receipts_for_one_payment_are_a_doubt_in_either_order() -> None:
    pieces = [accepted(), paid_callback(), paid_callback(receipt="UCE3P9W8ZA")]
    for order in (pieces, pieces[::-1]):
        standing = join_all(weigh(piece, asked()) for piece in order)
        assert standing.all_doubts == {"several_receipts"}
        assert standing.receipt == "UCE5K7Q2XD"
        assert status_of(standing, asked()) is Status.SUCCESS


# --- failure has strength -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([accepted(), failing_callback()], Status.FAILED),
        ([accepted(), failing_callback(listed=False)], Status.PENDING),
        ([accepted(), query(Outcome.FAILED, 200)], Status.PENDING),
        ([accepted(), query(Outcome.FAILED, 60), query(Outcome.FAILED, 170)], Status.PENDING),
        ([accepted(), query(Outcome.FAILED, 181), query(Outcome.FAILED, 240)], Status.PENDING),
        ([accepted(), query(Outcome.FAILED, 181), query(Outcome.FAILED, 241)], Status.FAILED),
        ([said(Source.PUSH, Outcome.FAILED, code="400.002.02")], Status.FAILED),
        ([said(Source.PUSH, Outcome.UNKNOWN)], Status.PENDING),
        ([said(Source.MILANGO, Outcome.FAILED, code="not_sent")], Status.FAILED),
        ([accepted(), failing_callback(), query(Outcome.PAID)], Status.SUCCESS),
        ([accepted(), failing_callback(), paid_callback()], Status.SUCCESS),
    ],
)
def test_a_failure_counts_for_what_its_source_is_worth(pieces, status: Status) -> None:
    assert outcome(pieces) is status


def test_without_real_money_any_peer_may_say_that_it_failed() -> None:
    pieces = [accepted(), failing_callback(listed=False)]
    assert outcome(pieces, asked(live=False)) is Status.FAILED


# --- reversed, voided, and a person's word --------------------------------------------------

REVERSAL = said(Source.TRANSACTION_STATUS, Outcome.REVERSED)
VOIDING = said(Source.OPERATOR, Outcome.VOIDED, approved=True)


@pytest.mark.parametrize(
    ("pieces", "status"),
    [
        ([REVERSAL], Status.REVERSED),
        ([accepted(), paid_callback(), REVERSAL], Status.REVERSED),
        ([REVERSAL, accepted(), paid_callback()], Status.REVERSED),
        ([accepted(), paid_callback(), VOIDING], Status.VOIDED),
        ([VOIDING, REVERSAL], Status.REVERSED),
        ([said(Source.OPERATOR, Outcome.PAID)], Status.PENDING),  # one signature is no evidence
        ([said(Source.OPERATOR, Outcome.PAID, approved=True)], Status.SUCCESS),
        ([accepted(), paid_callback(), said(Source.OPERATOR, Outcome.VOIDED)], Status.SUCCESS),
    ],
)
def test_reversal_and_voiding_absorb_everything_else(pieces, status: Status) -> None:
    assert outcome(pieces) is status


@pytest.mark.parametrize("source", [Source.PULL, Source.C2B])
def test_a_reversal_that_names_the_receipt_unsays_and_another_one_only_points(source) -> None:
    paid = [accepted(), paid_callback()]
    named = said(source, Outcome.REVERSED, receipt="UCE5K7Q2XD", listed=True)
    assert outcome([*paid, named]) is Status.REVERSED
    other = said(source, Outcome.REVERSED, listed=True)
    assert outcome([*paid, other]) is Status.SUCCESS
    assert weigh(other, asked()).doubts == {f"reversed_in_{source}"}
    part = said(source, Outcome.REVERSED, receipt="UCE5K7Q2XD", listed=True, amount=Decimal(10))
    assert weigh(part, asked()).doubts == {"reversed_in_part"}


def test_the_policy_never_lets_a_source_that_nobody_vouches_for_prove() -> None:
    proving = {
        (source, vouched)
        for (source, vouched, _), worth in POLICY.items()
        if worth.effect == "proof"
    }
    assert (Source.CALLBACK, False) not in proving
    assert (Source.OPERATOR, False) not in proving
    assert (Source.STATEMENT, False) not in proving


@pytest.mark.parametrize("outcome_", [o for o in Outcome if o is not Outcome.PAID])
@given(st.lists(evidence, max_size=8))
def test_a_statement_moves_nothing_but_that_it_was_paid(outcome_, pieces) -> None:
    for sound in (True, False):
        line = said(Source.STATEMENT, outcome_, sound=sound)
        back = {"reversed_in_statement"} if outcome_ is Outcome.REVERSED else set()
        assert weigh(line, asked()) == msgspec.structs.replace(NOTHING, doubts=frozenset(back))
        assert outcome([*pieces, line]) is outcome(pieces)


@pytest.mark.parametrize(("sound", "status"), [(True, Status.SUCCESS), (False, Status.PENDING)])
def test_a_statements_line_proves_only_where_the_whole_statement_does(sound, status) -> None:
    line = said(Source.STATEMENT, Outcome.PAID, sound=sound, amount=Decimal(150))
    assert outcome([accepted(), line]) is status
    other = said(Source.STATEMENT, Outcome.PAID, sound=sound, amount=Decimal(151))
    assert outcome([accepted(), other]) is Status.PENDING
