"""The comparison finds what it is there to find."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from storm.books import Paid, Prompt, compare, unheard


def prompt(number: int = 1, **fields: Any) -> Prompt:
    given: dict[str, Any] = {
        "checkout_request_id": f"ws_CO_{number}",
        "account_reference": f"S{number}",
        "state": "paid",
        "amount": 50,
        "receipt": f"UKO{number}",
        "story": "paid",
    }
    return Prompt(**given | fields)


def paid(number: int = 1, **fields: Any) -> Paid:
    given: dict[str, Any] = {
        "id": f"pay_{number}",
        "account_reference": f"S{number}",
        "checkout_request_id": f"ws_CO_{number}",
        "status": "Success",
        "receipt": f"UKO{number}",
        "amount": Decimal(50),
        "sells_time": False,
        "grants": 0,
        "prompted": True,
    }
    return Paid(**given | fields)


def test_equal_books_have_nothing_to_say() -> None:
    verdict = compare([prompt(1), prompt(2, state="failed", receipt=None)], [paid(1)])
    assert verdict.equal
    assert verdict.grants_right
    assert (verdict.successes_here, verdict.successes_there) == (1, 1)


@pytest.mark.parametrize(
    ("prompts", "payments", "found"),
    [
        ([prompt()], [paid(status="Pending", receipt="")], "missing"),
        ([prompt()], [], "missing"),
        ([prompt(state="failed", receipt=None)], [paid()], "invented"),
        ([prompt()], [paid(receipt="FORGED")], "invented"),
        ([prompt(1), prompt(2)], [paid(1, receipt="UKO2"), paid(2, receipt="UKO1")], "invented"),
        ([prompt()], [paid(amount=Decimal(51))], "other_amount"),
        ([prompt()], [paid(receipt="")], "without_receipt"),
        ([prompt(1), prompt(2, account_reference="S1")], [paid(1)], "prompted_twice"),
        ([prompt()], [paid(), paid(id="pay_2")], "receipts_twice"),
        ([prompt()], [paid(), paid(id="pay_2")], "succeeded_twice"),
        ([prompt()], [paid(), paid(status="Pending", prompted=False)], "unprompted"),
        ([prompt()], [paid(sells_time=True)], "grants_missing"),
        ([prompt()], [paid(sells_time=True, grants=2)], "grants_invented"),
        ([prompt()], [paid(status="Failed", sells_time=True, grants=1)], "grants_invented"),
    ],
)
def test_what_differs_is_named(prompts: Any, payments: Any, found: str) -> None:
    verdict = compare(prompts, payments)
    assert getattr(verdict, found)
    assert found == "without_receipt" or not (verdict.equal and verdict.grants_right)


def test_a_success_missing_here_says_what_stands_here_instead() -> None:
    lost = paid(status="Pending", checkout_request_id="")
    verdict = compare([prompt(story="vanished")], [lost])
    expected = {"vanished: Pending without a CheckoutRequestID": 1}
    assert verdict.stories_missing == expected


def test_a_webhook_that_never_came_and_an_event_with_two_ids_are_counted() -> None:
    due = [("0", "evt_a"), ("0", "evt_b"), ("1", "evt_a")]
    heard = {("0", "msg_1"): 3, ("1", "msg_2"): 1}
    ids = {"msg_1": {"evt_a"}, "msg_2": {"evt_a"}}
    assert unheard(due, heard, ids) == (1, 0), "each endpoint has ids of its own"
    assert unheard(due, heard | {("0", "msg_3"): 1}, ids | {"msg_3": {"evt_a"}}) == (1, 1)
    assert unheard([], {}, {"msg_1": {"evt_a", "evt_b"}}) == (0, 1)


def test_the_ledger_of_the_simulator_is_read_as_it_is_written() -> None:
    from milango.simulator.ids import Ids
    from milango.simulator.ledger import Ledger, Push
    from milango.simulator.stories import STORIES

    push = Push("k", "600100", "600100", "type", "254708374149", 50, "S1", "http://x", "Duka")
    ledger = Ledger(Ids(1))
    attempt = ledger.open(push, STORIES["paid"], 60)
    ledger.end(attempt, "paid")
    row = msgspec.convert(attempt.view(), Prompt)
    assert (row.state, row.account_reference, row.receipt) == ("paid", "S1", attempt.receipt)
