"""Two books, Milango's and M-Pesa's, laid side by side. Pure: rows in, a verdict out."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

import msgspec


class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the simulator's ledger: the truth. Amount in whole KES."""

    checkout_request_id: str
    account_reference: str
    """Names the request: each has its own."""
    state: str
    """`open`, `paid` or `failed`."""
    amount: int
    receipt: str | None
    story: str


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """One payment as Milango has it."""

    id: str
    account_reference: str
    checkout_request_id: str
    status: str
    receipt: str
    amount: Decimal | None
    """KES proven; None while nothing is."""
    sells_time: bool
    grants: int
    prompted: bool
    """Milango asked for it; otherwise it took the money for a payer's own."""


class Verdict(msgspec.Struct, kw_only=True):
    """How the books differ. Lists name what a person would look at, by reference."""

    successes_here: int = 0
    successes_there: int = 0
    missing: list[str] = []
    """The money moved and Milango does not say so."""
    invented: list[str] = []
    """Milango says so and the money did not move."""
    other_amount: list[str] = []
    without_receipt: list[str] = []
    """Successes that are proven, and whose receipt nobody has named."""
    prompted_twice: list[str] = []
    """One request, several prompts."""
    receipts_twice: list[str] = []
    """One receipt, several successes."""
    succeeded_twice: list[str] = []
    """One request, several successes."""
    unprompted: list[str] = []
    """Payments that Milango takes for a payer's own, where everybody was prompted."""
    grants_missing: list[str] = []
    grants_invented: list[str] = []
    stories_missing: dict[str, int] = {}
    """What is missing, by the simulator's story and what Milango says instead."""

    @property
    def doubled(self) -> int:
        return len({*self.prompted_twice, *self.receipts_twice, *self.succeeded_twice})

    @property
    def equal(self) -> bool:
        differ = self.missing or self.invented or self.other_amount or self.unprompted
        return not (differ or self.doubled)

    @property
    def grants_right(self) -> bool:
        return not (self.grants_missing or self.grants_invented)


SUCCESS: Final = "Success"


def compare(ledger: Iterable[Prompt], payments: Iterable[Paid]) -> Verdict:
    """Lay the books side by side.

    A success is the ledger's row that has its receipt; one whose receipt nobody named is the row
    that has its CheckoutRequestID.
    """
    prompts, ours = list(ledger), list(payments)
    paid = [prompt for prompt in prompts if prompt.state == "paid"]
    by_receipt = {prompt.receipt: prompt for prompt in paid if prompt.receipt}
    by_prompt = {prompt.checkout_request_id: prompt for prompt in paid}
    successes = [payment for payment in ours if payment.status == SUCCESS]
    verdict = Verdict(successes_here=len(successes), successes_there=len(paid))
    met: Counter[str] = Counter()
    for payment in successes:
        found = (
            by_receipt.get(payment.receipt)
            if payment.receipt
            else by_prompt.get(payment.checkout_request_id)
        )
        if found is None or found.account_reference != payment.account_reference:
            verdict.invented.append(payment.account_reference)
            continue
        met[found.checkout_request_id] += 1
        if not payment.receipt:
            verdict.without_receipt.append(payment.account_reference)
        if payment.amount != found.amount:
            verdict.other_amount.append(payment.account_reference)
    _missing(verdict, [each for each in paid if each.checkout_request_id not in met], ours)
    _doubled(verdict, prompts, successes, met, by_prompt)
    _grants(verdict, ours)
    verdict.unprompted = [each.account_reference for each in ours if not each.prompted]
    return verdict


def _missing(verdict: Verdict, prompts: list[Prompt], ours: list[Paid]) -> None:
    said: dict[str, set[str]] = defaultdict(set)
    for payment in ours:
        known = "" if payment.checkout_request_id else " without a CheckoutRequestID"
        said[payment.account_reference].add(payment.status + known)
    kinds: Counter[str] = Counter()
    for prompt in prompts:
        verdict.missing.append(prompt.account_reference)
        here = "+".join(sorted(said[prompt.account_reference])) or "unknown"
        kinds[f"{prompt.story}: {here}"] += 1
    verdict.stories_missing = dict(kinds.most_common())


def _doubled(
    verdict: Verdict,
    prompts: list[Prompt],
    successes: list[Paid],
    met: Mapping[str, int],
    by_prompt: Mapping[str, Prompt],
) -> None:
    verdict.prompted_twice = _several(prompt.account_reference for prompt in prompts)
    verdict.succeeded_twice = _several(payment.account_reference for payment in successes)
    verdict.receipts_twice = [
        by_prompt[prompt].account_reference for prompt, times in met.items() if times > 1
    ]


def _several(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _grants(verdict: Verdict, ours: list[Paid]) -> None:
    for payment in ours:
        bought = payment.status == SUCCESS and payment.sells_time
        if bought and not payment.grants:
            verdict.grants_missing.append(payment.account_reference)
        if payment.grants > bought:
            verdict.grants_invented.append(payment.account_reference)


def unheard(
    events: Iterable[tuple[str, str]],
    heard: Mapping[tuple[str, str], int],
    event_ids: Mapping[str, set[str]],
) -> tuple[int, int]:
    """(webhooks that never arrived, events that came under several ids).

    `events` are (endpoint, event id) as they were due, `heard` counts (endpoint, webhook-id),
    `event_ids` are the events that came with each webhook-id.
    """
    arrived: set[tuple[str, str]] = set()
    names: dict[tuple[str, str], set[str]] = defaultdict(set)
    for endpoint, webhook_id in heard:
        for event in event_ids.get(webhook_id, ()):
            arrived.add((endpoint, event))
            names[endpoint, event].add(webhook_id)
    missing = sum(due not in arrived for due in events)
    mixed = sum(len(ids) > 1 for ids in event_ids.values())
    return missing, sum(len(ids) > 1 for ids in names.values()) + mixed
