"""What becomes of a batch that cannot be done: one item hurts only itself, no bytes are lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError, DataError, InternalError, OperationalError
from django.utils import timezone

from milango.core.errors import Declined
from milango.core.payments import Evidence
from milango.flows import batches, originals, receive
from milango.flows.batches import Verb
from milango.flows.settle import settle_many
from milango.models import InboundCallback, Payment

from .conftest import accepted
from .test_receive import LISTED, body, with_token

pytestmark = pytest.mark.django_db(transaction=True)


def coded(kind: type[DatabaseError], sqlstate: str) -> DatabaseError:
    """An error as Django raises it for an answer of PostgreSQL."""
    error, cause = kind("no"), Exception()
    cause.sqlstate = sqlstate  # type: ignore[attr-defined]
    error.__cause__ = cause
    return error


def verb(do: Callable[[Any], list[Any]]) -> Verb:
    return Verb("work", do, lambda item: item, lambda item, error: f"poisoned {item}")


def failing(*errors: Exception | None) -> tuple[Verb, list[list[Any]]]:
    """A verb that meets these errors, one after the other, and then no more; and its tries."""
    left, tried = list(errors), []

    def do(items: Any) -> list[Any]:
        tried.append(list(items))
        if left and (error := left.pop(0)):
            raise error
        return [f"done {item}" for item in items]

    return verb(do), tried


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("without a code: SQLite is locked, or nobody listens"),
        coded(OperationalError, "57P01"),
        coded(OperationalError, "53100"),
        coded(OperationalError, "57014"),
        coded(InternalError, "25006"),
    ],
    ids=["no code", "shutdown", "disk full", "cancelled", "a standby that only reads"],
)
def test_a_database_that_cannot_serve_is_tried_once_and_told_to_all(error: Exception) -> None:
    work, tried = failing(error)
    outcomes = batches.run(work, [1, 2])
    assert [outcome.code for outcome in outcomes] == ["database_unavailable"] * 2
    assert tried == [[1, 2]]


def test_an_error_of_the_statement_itself_is_not_taken_for_an_absence() -> None:
    """PostgreSQL calls a row that is too long for an index an operational error."""
    work, _ = failing(*[coded(OperationalError, "54000")] * 2)
    assert batches.run(work, [1, 2]) == ["poisoned 1", "done 2"]


def test_a_conflict_that_comes_again_is_an_absence() -> None:
    work, tried = failing(coded(OperationalError, "40P01"), coded(OperationalError, "40001"))
    outcomes = batches.run(work, [1, 2])
    assert [outcome.code for outcome in outcomes] == ["database_unavailable"] * 2
    assert tried == [[1, 2]] * 2


def test_a_conflict_hides_no_poison() -> None:
    first = [coded(OperationalError, "40001")]

    def do(items: Any) -> list[Any]:
        if first:
            raise first.pop()
        if 2 in items:
            raise DataError("too long")
        return [f"done {item}" for item in items]

    assert batches.run(verb(do), [1, 2, 3]) == ["done 1", "poisoned 2", "done 3"]


def test_a_mistake_of_ours_hurts_one_item_too() -> None:
    def do(items: Any) -> list[Any]:
        if 2 in items:
            raise OverflowError("int too large")
        return [f"done {item}" for item in items]

    assert batches.run(verb(do), [1, 2, 3]) == ["done 1", "poisoned 2", "done 3"]


def test_outcomes_that_do_not_match_the_items_are_rolled_back(credential: Any) -> None:
    def do(items: Any) -> list[Any]:
        Payment.objects.update(description="changed")
        return []

    with_token(credential)
    assert batches.run(verb(do), [1]) == ["poisoned 1"]
    assert not Payment.objects.filter(description="changed").exists()


# --- with callbacks -------------------------------------------------------------------------


def said(payment: Payment, token: str, receipt: str) -> Evidence:
    read = receive.read_stk(token, body(payment, receipt), {}, LISTED, timezone.now())
    assert read
    return read


@pytest.fixture
def poison(monkeypatch: pytest.MonkeyPatch) -> Callable[[Evidence], None]:
    """Make one piece of evidence break whatever batch it is in, at its very end."""
    bad: list[Evidence] = []

    def settle(evidence: Any) -> Any:
        settled = settle_many(evidence)
        if any(item in bad for item in evidence):
            raise DataError("too long")
        return settled

    monkeypatch.setattr(receive, "settle_many", settle)
    return bad.append


def test_a_poisoned_callback_costs_others_nothing(credential: Any, poison: Any) -> None:
    made = [with_token(credential, phone=f"25470000000{n}") for n in range(5)]
    settle_many([accepted(payment) for payment, _ in made])
    evidence = [said(*each, f"UCE000000{n}") for n, each in enumerate(made)]
    poison(evidence[2])
    outcomes = batches.run(receive.EVIDENCE, evidence)
    verdicts = ["settled", "settled", "poisoned", "settled", "settled"]
    assert [outcome.verdict for outcome in outcomes] == verdicts
    statuses = {p.pk: p.status for p in Payment.objects.all()}
    wanted = ["Success", "Success", "Pending", "Success", "Success"]
    assert [statuses[payment.pk] for payment, _ in made] == wanted
    kept = InboundCallback.objects.get(verdict="poisoned")
    original = evidence[2].original
    assert original
    assert (kept.payment_id, bytes(kept.body or b"")) == (made[2][0].pk, original.body)


def test_a_poisoned_callback_takes_no_other_evidence_of_its_payment_along(
    credential: Any, poison: Any
) -> None:
    """Daraja's answer to the push has no bytes that could be kept for a person."""
    payment, token = with_token(credential)
    bad, good = said(payment, token, "UCE0000001"), said(payment, token, "UCE0000002")
    poison(bad)
    outcomes = batches.run(receive.EVIDENCE, [accepted(payment), bad, good])
    assert [outcome.verdict for outcome in outcomes] == ["noted", "poisoned", "settled"]
    payment.refresh_from_db()
    assert (payment.status, payment.receipt_number) == ("Success", "UCE0000002")
    assert InboundCallback.objects.count() == 2


def test_only_what_cannot_even_be_kept_is_an_error(
    credential: Any, poison: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment, token = with_token(credential)
    evidence = said(payment, token, "UCE0000001")
    poison(evidence)

    def broken(*given: Any) -> None:
        raise DatabaseError("no row goes in")

    monkeypatch.setattr(originals, "poisoned_row", broken)
    (outcome,) = batches.run(receive.EVIDENCE, [evidence])
    assert isinstance(outcome, DatabaseError)
    assert not isinstance(outcome, Declined)


def test_one_address_that_is_not_safaricoms_stores_twenty_bodies(credential: Any) -> None:
    """What Safaricom says after that is taken none the less."""
    payment, token = with_token(credential)
    settle_many([accepted(payment)])
    for number in range(25):
        receive.receive_stk(token, b"junk %d" % number, {}, "203.0.113.7")
    assert InboundCallback.objects.count() == 20
    settled = receive.receive_stk(token, body(payment), {}, LISTED)
    assert settled
    assert settled.verdict == "settled"
    assert InboundCallback.objects.count() == 21
