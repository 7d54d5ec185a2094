"""The truth: who was asked for what, and whether the money moved. Callbacks may lie."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from milango.simulator.book import Account, Book, Transaction
from milango.simulator.deliveries import Delivery
from milango.simulator.ids import Ids, now
from milango.simulator.results import RESULTS, Result
from milango.simulator.stories import Story

State = Literal["open", "paid", "failed"]


@dataclass(frozen=True, slots=True, repr=False)
class Push:
    """An STK push that passed every check. Amount in whole KES; `phone` is PhoneNumber."""

    consumer_key: str
    business_short_code: str
    party_b: str
    transaction_type: str
    phone: str
    amount: int
    account_reference: str
    callback_url: str
    business_name: str

    @property
    def account(self) -> Account:
        """Where the money goes if it moves."""
        return Account(
            consumer_key=self.consumer_key,
            business_short_code=self.business_short_code,
            party_b=self.party_b,
            till=self.transaction_type == "CustomerBuyGoodsOnline",
            name=self.business_name,
        )


@dataclass(slots=True, repr=False)
class Attempt:
    """One accepted push, from prompt to end."""

    checkout_request_id: str
    merchant_request_id: str
    push: Push
    story: Story
    created_at: datetime
    prompt_until: float
    """When the prompt leaves the handset, on the monotonic clock."""
    state: State = "open"
    result: Result | None = None
    receipt: str = ""
    ended_at: datetime | None = None
    queries: int = 0
    queries_after_end: int = 0
    callbacks: list[Delivery] = field(default_factory=list)
    answer: asyncio.Future[str] | None = None
    """Set while a person is being waited for; takes a row name of `results.py`."""

    @property
    def on_screen(self) -> bool:
        """Whether the phone shows its prompt: one that was answered is gone at once, although
        M-Pesa takes a while to act upon it."""
        answered = self.answer is not None and self.answer.done()
        return self.state == "open" and self.story.shown and not answered

    def view(self) -> dict[str, Any]:
        """This row of the ledger as the control API shows it."""
        push = self.push
        return {
            "checkout_request_id": self.checkout_request_id,
            "merchant_request_id": self.merchant_request_id,
            "consumer_key": push.consumer_key,
            "business_short_code": push.business_short_code,
            "party_b": push.party_b,
            "transaction_type": push.transaction_type,
            "phone": push.phone,
            "amount": push.amount,
            "account_reference": push.account_reference,
            "callback_url": push.callback_url,
            "story": self.story.name,
            "state": self.state,
            "result_code": self.result.code if self.result else None,
            "receipt": self.receipt or None,
            "created_at": self.created_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
            "callbacks": [delivery.view() for delivery in self.callbacks],
        }


class Ledger:
    """All attempts, oldest first. `open` and `end` are the only writers of state.

    Where money moves, and also where nobody pushed, it is written into `book`.
    """

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self.book = Book()
        self._attempts: dict[str, Attempt] = {}
        self._by_merchant_request: dict[str, Attempt] = {}
        self._by_phone: dict[str, list[Attempt]] = {}
        self._open: dict[str, Attempt] = {}
        self._open_by_phone: Counter[str] = Counter()
        self._paid_at: dict[tuple[str, str, int], float] = {}

    def open(self, push: Push, story: Story, prompt_life: float) -> Attempt:
        """Begin an attempt; `prompt_life` in real seconds."""
        created = now()
        attempt = Attempt(
            checkout_request_id=self._ids.checkout_request_id(created, push.phone),
            merchant_request_id=self._ids.request_id(),
            push=push,
            story=story,
            created_at=created,
            prompt_until=time.monotonic() + prompt_life,
        )
        self._attempts[attempt.checkout_request_id] = attempt
        self._by_merchant_request[attempt.merchant_request_id] = attempt
        self._by_phone.setdefault(push.phone, []).append(attempt)
        self._open[attempt.checkout_request_id] = attempt
        self._open_by_phone[push.phone] += 1
        return attempt

    def end(
        self, attempt: Attempt, result: str, receipt: str = "", charge: int = 0
    ) -> Transaction | None:
        """Write the truth, once. `result` is a row name of `results.py`.

        A `receipt` that was spoken of before the end stands in the book even if nothing was paid.
        `charge` is in cents.
        """
        if attempt.state != "open":
            raise AssertionError("an attempt ends once")
        attempt.result = RESULTS[result]
        attempt.ended_at = now()
        attempt.state = "paid" if attempt.result.paid else "failed"
        del self._open[attempt.checkout_request_id]
        self._open_by_phone[attempt.push.phone] -= 1
        if attempt.result.paid:
            attempt.receipt = receipt or self._ids.receipt(attempt.ended_at)
            self._paid_at[_sameness(attempt.push)] = time.monotonic()
        written = attempt.receipt or receipt
        if not written:
            return None
        transaction = self._transaction(attempt, written, attempt.ended_at)
        transaction.charge = charge if attempt.result.paid else 0
        self.book.record(transaction)
        return transaction

    def _transaction(self, attempt: Attempt, receipt: str, at: datetime) -> Transaction:
        push = attempt.push
        return Transaction(
            receipt=receipt,
            state="completed" if attempt.state == "paid" else "declined",
            kind="push",
            account=push.account,
            phone=push.phone,
            amount=push.amount,
            account_reference=push.account_reference,
            started_at=attempt.created_at,
            completed_at=at,
            originator_conversation_id=attempt.merchant_request_id,
            conversation_id=self._ids.conversation_id(at),
        )

    def reverse(self, transaction: Transaction) -> Transaction:
        """Give the payer everything back, once. The payment itself stays what it was: paid."""
        if transaction.reversed_by or transaction.kind == "reversal" or not transaction.change:
            raise AssertionError("only what was paid can be given back, and once")
        at = now()
        back = Transaction(
            receipt=self._ids.receipt(at),
            kind="reversal",
            account=transaction.account,
            phone=transaction.phone,
            amount=transaction.amount,
            account_reference=transaction.account_reference,
            started_at=at,
            completed_at=at,
            originator_conversation_id=self._ids.request_id(),
            conversation_id=self._ids.conversation_id(at),
            reverses=transaction.receipt,
        )
        self.book.record(back)
        return back

    def get(self, checkout_request_id: str) -> Attempt | None:
        return self._attempts.get(checkout_request_id)

    def of_merchant_request(self, merchant_request_id: str) -> Attempt | None:
        return self._by_merchant_request.get(merchant_request_id)

    def __iter__(self) -> Iterator[Attempt]:
        return iter(self._attempts.values())

    def of_phone(self, phone: str) -> list[Attempt]:
        return self._by_phone.get(phone, [])

    def open_attempts(self, phone: str = "") -> list[Attempt]:
        """Attempts that have not ended, oldest first; of one phone if given."""
        source = self.of_phone(phone) if phone else self._open.values()
        return [attempt for attempt in source if attempt.state == "open"]

    def has_open(self, phone: str) -> bool:
        return bool(self._open_by_phone.get(phone))

    def paid_within(self, push: Push, seconds: float) -> bool:
        """Has this payer paid the same amount to the same short code so recently?"""
        paid = self._paid_at.get(_sameness(push))
        return paid is not None and time.monotonic() - paid < seconds

    def counts(self) -> dict[str, int]:
        states = [attempt.state for attempt in self._attempts.values()]
        return {
            "pushes": len(states),
            "open": states.count("open"),
            "paid": states.count("paid"),
            "failed": states.count("failed"),
            "callbacks": sum(len(attempt.callbacks) for attempt in self._attempts.values()),
        }


def _sameness(push: Push) -> tuple[str, str, int]:
    return push.phone, push.business_short_code, push.amount
