"""The book of M-Pesa: every transaction that has a receipt, and what each account holds.

Transaction Status, Pull, confirmations and the statement are read from here and from nowhere else,
so that they cannot disagree with each other, whatever the messages about them do.
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from milango.simulator.deliveries import Delivery

Kind = Literal["push", "counter", "reversal"]

REASONS: dict[tuple[Kind, bool], str] = {
    ("push", False): "Pay Bill Online",
    ("push", True): "Merchant Payment Online",
    ("counter", False): "Pay Utility",
    ("counter", True): "Merchant Payment",
    ("reversal", False): "Pay Utility Reversal",
    ("reversal", True): "Merchant Payment Reversal",
}
"""ReasonType of Transaction Status and of the statement, by kind and by whether it is a till."""

_FIRST = ("WANJIRU", "OTIENO", "JANE", "JOHN")
_LAST = ("KAMAU", "ODHIAMBO", "DOE")


def payer_names(phone: str) -> tuple[str, str]:
    """First and last name of whoever owns this number; always the same."""
    number = int(phone[-4:])
    return _FIRST[number % len(_FIRST)], _LAST[number % len(_LAST)]


def party(phone: str) -> str:
    """A payer as M-Pesa writes one."""
    return f"{phone} - {' '.join(payer_names(phone))}"


@dataclass(frozen=True, slots=True)
class Account:
    """Where money goes: `party_b` is what payers see, `business_short_code` what signs."""

    consumer_key: str
    business_short_code: str
    party_b: str
    till: bool
    name: str

    @property
    def numbers(self) -> frozenset[str]:
        return frozenset((self.business_short_code, self.party_b))


@dataclass(slots=True, repr=False)
class Transaction:
    """One receipt. Amount in whole KES, charge in cents, times in EAT."""

    receipt: str
    kind: Kind
    account: Account
    phone: str
    amount: int
    account_reference: str
    started_at: datetime
    completed_at: datetime
    originator_conversation_id: str
    conversation_id: str
    state: Literal["completed", "declined"] = "completed"
    charge: int = 0
    balance: int = 0
    """What the account held after it and before its charge, in cents."""
    reverses: str = ""
    reversed_by: str = ""
    third_party_id: str = ""
    validation: Delivery | None = None
    confirmations: list[Delivery] = field(default_factory=list)

    @property
    def reason(self) -> str:
        return REASONS[self.kind, self.account.till]

    @property
    def change(self) -> int:
        """What it does to the account, in cents, without its charge."""
        if self.state == "declined":
            return 0
        return -self.amount * 100 if self.kind == "reversal" else self.amount * 100

    def view(self) -> dict[str, Any]:
        """This row of the book as the control API shows it."""
        return {
            "receipt": self.receipt,
            "kind": self.kind,
            "state": self.state,
            "consumer_key": self.account.consumer_key,
            "business_short_code": self.account.business_short_code,
            "party_b": self.account.party_b,
            "phone": self.phone,
            "amount": self.amount,
            "account_reference": self.account_reference,
            "charge": f"{self.charge / 100:.2f}",
            "started_at": self.started_at.isoformat(),
            "completed_at": self.completed_at.isoformat(),
            "originator_conversation_id": self.originator_conversation_id,
            "reverses": self.reverses or None,
            "reversed_by": self.reversed_by or None,
            "validation": self.validation.view() if self.validation else None,
            "confirmations": [delivery.view() for delivery in self.confirmations],
        }


class Book:
    """All transactions, in the order in which they were written. `record` is the only writer."""

    def __init__(self) -> None:
        self._by_receipt: dict[str, Transaction] = {}
        self._by_conversation: dict[str, Transaction] = {}
        self._by_number: dict[str, list[Transaction]] = {}
        self._balances: Counter[str] = Counter()

    def record(self, transaction: Transaction) -> None:
        account = transaction.account
        transaction.balance = self._balances[account.party_b] + transaction.change
        self._balances[account.party_b] = transaction.balance - transaction.charge
        self._by_receipt[transaction.receipt] = transaction
        self._by_conversation[transaction.originator_conversation_id] = transaction
        self._by_conversation[transaction.conversation_id] = transaction
        for number in account.numbers:
            insort(self._by_number.setdefault(number, []), transaction, key=_when)
        if transaction.reverses:
            self._by_receipt[transaction.reverses].reversed_by = transaction.receipt

    def __iter__(self) -> Iterator[Transaction]:
        return iter(self._by_receipt.values())

    def __len__(self) -> int:
        return len(self._by_receipt)

    def find(self, receipt: str) -> Transaction | None:
        return self._by_receipt.get(receipt)

    def find_conversation(self, conversation_id: str) -> Transaction | None:
        """By OriginatorConversationID or ConversationID."""
        return self._by_conversation.get(conversation_id)

    def of(self, number: str) -> Sequence[Transaction]:
        """Everything of a short code, store number or till, oldest first."""
        return self._by_number.get(number, ())


def _when(transaction: Transaction) -> datetime:
    return transaction.completed_at
