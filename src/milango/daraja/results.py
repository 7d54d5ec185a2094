"""Transaction Status: bytes of a result in, `StatusResult` out. Nothing raises past its border.

A result has two layers. `ResultCode` says whether the *question* was answered; how the payment
stands is the text of the parameter `TransactionStatus`. So a question that
failed says nothing about the payment, whatever its code means elsewhere.
"""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

import msgspec

from milango.core.payments import Outcome
from milango.core.receipts import NO_RECEIPT

from .fields import Unreadable, amount_of, document, moment_of, pairs, receipt_of, word_of
from .texts import clean, code_of, identifier

OUTCOMES: Final = {
    "completed": Outcome.PAID,
    "failed": Outcome.FAILED,
    "cancelled": Outcome.FAILED,
    "declined": Outcome.FAILED,
    "expired": Outcome.FAILED,
    "rejected": Outcome.FAILED,
    "reversed": Outcome.REVERSED,
}
"""Every other status (`Initiated`, `Authorized`, one we never met) is UNKNOWN."""

INITIATOR_TROUBLE: Final = frozenset(
    {"18", "20", "21", "22", "2001", "8006", "100000010", "SFC_IC0003"}
)
"""The operator, its password or its role is wrong."""

TIMED_OUT: Final = re.compile(r"\btime[sd]?[ -]?out\b", re.I)
SHORT_CODE: Final = re.compile(r"([0-9]{5,7})(?: - .*)?", re.S)
MSISDN: Final = re.compile(r"(254[17][0-9]{8})(?: - .*)?", re.S)

DECISIVE: Final = frozenset(
    {"TransactionStatus", "ReceiptNo", "Amount", "FinalisedTime", "CreditPartyName"}
)
"""Parameters that may stand there once only: two of them would be two answers."""


class StatusResult(msgspec.Struct, frozen=True, kw_only=True):
    """What Transaction Status says about one payment. Amounts KES, times UTC."""

    outcome: Outcome
    """PAID, FAILED or REVERSED when it says so; UNREADABLE with a `problem`; else UNKNOWN."""
    conversation_id: str | None = None
    """Of the question, as in its `StatusAccepted`: the way to find what was asked."""
    originator_conversation_id: str | None = None
    """Of the question, or an echo of the payment's own."""
    code: str = ""
    """How the question went: `0`, or why it was not answered."""
    text: str = ""
    transaction_status: str = ""
    """As written, e.g. `Completed`."""
    reason_type: str = ""
    receipt: str | None = None
    """`ReceiptNo`, never the result's own `TransactionID`, which belongs to the question."""
    amount: Decimal | None = None
    paid_at: datetime | None = None
    """When it was completed; None unless it was, be it that it was reversed later."""
    credit_party: str = ""
    """Who received, cleaned for people to read: `600984 - Example Stores`."""
    credit_short_code: str | None = None
    """The number that `credit_party` begins with, to be compared with the merchant's."""
    debit_party: str = ""
    """Who paid, with name: personal data."""
    phone: str | None = None
    """The payer's number, when `debit_party` begins with a whole one."""
    payment_originator_conversation_id: str | None = None
    """The OriginatorConversationID of the payment that was found."""
    is_timeout: bool = False
    """The question was not worked on in time. It may be asked again."""
    initiator_trouble: bool = False
    """The initiator was not taken. Stop asking: more tries lock it (2001, then 8006)."""
    problem: str = ""
    """A word for why it cannot be read; empty when it can."""

    def __repr__(self) -> str:
        # Parties and ids are personal data.
        return f"<StatusResult {self.outcome} {self.code!r} {self.transaction_status!r}>"


def read_result(body: bytes) -> StatusResult:
    """What came to the result URL. Never raises: what cannot be read has a `problem`."""
    try:
        return _result(document(body, "Result"))
    except Unreadable as error:
        problem = error.problem
    except Exception:
        # A fault of ours must not lose the bytes: Safaricom sends them once.
        problem = "unreadable"
    return StatusResult(outcome=Outcome.UNREADABLE, problem=problem)


def read_timeout(body: bytes) -> StatusResult:
    """What came to the time-out URL: UNKNOWN, whatever it says, with its ids where it has them.

    Nobody has published its body, so a `problem` is no reason to doubt it.
    """
    found = read_result(body)
    return StatusResult(
        outcome=Outcome.UNKNOWN,
        conversation_id=found.conversation_id,
        originator_conversation_id=found.originator_conversation_id,
        code=found.code,
        text=found.text,
        problem=found.problem,
        is_timeout=True,
    )


def _result(result: dict[str, Any]) -> StatusResult:
    code = code_of(result.get("ResultCode"))
    if code is None:
        raise Unreadable("bad_result_code")
    text = clean(result.get("ResultDesc"), 255)
    # ResultType 1 announces another message; this one is not final.
    answered = code == "0" and word_of(result.get("ResultType")) in {"", "0"}
    return StatusResult(
        conversation_id=_id(result, "ConversationID"),
        originator_conversation_id=_id(result, "OriginatorConversationID"),
        code=code,
        text=text,
        is_timeout=code != "0" and bool(TIMED_OUT.search(text)),
        initiator_trouble=code in INITIATOR_TROUBLE,
        **_payment(_parameters(result)) if answered else {"outcome": Outcome.UNKNOWN},
    )


def _id(values: dict[str, Any], name: str) -> str | None:
    found = identifier(values.get(name))
    if found is None and values.get(name) not in (None, ""):
        raise Unreadable("bad_conversation_id")
    return found


def _payment(values: dict[str, Any]) -> dict[str, Any]:
    status = clean(values.get("TransactionStatus"), 64)
    outcome = OUTCOMES.get(status.lower(), Outcome.UNKNOWN)
    finalised_at = moment_of(values.get("FinalisedTime"))
    return {
        "outcome": outcome,
        "transaction_status": status,
        "reason_type": clean(values.get("ReasonType"), 128),
        "receipt": _receipt(values.get("ReceiptNo")),
        "amount": amount_of(values.get("Amount")),
        "paid_at": finalised_at if outcome in {Outcome.PAID, Outcome.REVERSED} else None,
        "credit_party": clean(values.get("CreditPartyName"), 255),
        "credit_short_code": _number(SHORT_CODE, values.get("CreditPartyName")),
        "debit_party": clean(values.get("DebitPartyName"), 255),
        "phone": _number(MSISDN, values.get("DebitPartyName")),
        "payment_originator_conversation_id": identifier(values.get("OriginatorConversationID")),
    }


def _parameters(result: dict[str, Any]) -> dict[str, Any]:
    """The parameters by name. What stands there twice and decides nothing is left out."""
    found = pairs(result.get("ResultParameters"), "ResultParameter", "Key", "bad_parameters")
    names = [name for name, _ in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice & DECISIVE:
        raise Unreadable("duplicate_items")
    return {name: value for name, value in found if name not in twice}


def _receipt(raw: object) -> str | None:
    receipt = receipt_of(raw)
    return None if receipt and NO_RECEIPT.fullmatch(receipt) else receipt


def _number(pattern: re.Pattern[str], raw: object) -> str | None:
    found = pattern.fullmatch(word_of(raw) or "")
    return found[1] if found else None
