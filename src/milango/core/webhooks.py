"""What merchants are told, when it is told again, and what their answers mean. Times are seconds.

Pure: `now` and chance are arguments. `flows.deliver` does the telling, `outbound` the sending.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import msgspec

from .errors import InvalidRequest

RETRY_AFTER: Final = (
    5,
    30,
    120,
    600,
    1_800,
    7_200,
    18_000,
    36_000,
    50_400,
    72_000,
    72_000,
)
"""Since the attempt before: together about three days, after which a delivery is given up."""

JITTER: Final = 0.2
"""Each wait is up to this much longer, so that what failed together does not return together."""

FAILING_FOR: Final = timedelta(days=5)
"""An endpoint that has taken nothing for this long is disabled, and its merchant is told."""

OLD_SECRET_FOR: Final = timedelta(hours=24)
"""How long the secret before still signs too, unless somebody says otherwise."""

MOST_OF_AN_ANSWER: Final = 4_096
"""Bytes of an endpoint's answer that the log keeps."""

EVENTS: Final = {
    "payment.prompted": "Daraja took the request: the prompt is on its way to the phone.",
    "payment.unanswered": "Daraja gave no answer that can be read: the prompt may be out.",
    "payment.confirming": "Somebody says that it was paid, and Daraja is asked. Do not ask the "
    "payer to pay again.",
    "payment.succeeded": "Paid, and proven. It may follow payment.failed (`late`).",
    "payment.receipt_found": "The receipt of a payment that was proven without one.",
    "payment.failed": "Not paid: cancelled, no money, no answer on the phone.",
    "payment.reopened": "A failure was taken back: nobody knows yet.",
    "payment.flagged": "Something about it contradicts and waits for a person.",
    "payment.reversed": "The money went back to the payer.",
    "payment.voided": "A success that was found to be forged.",
    "credential.changed": "Somebody changed what Daraja gave the merchant for a short code.",
    "endpoint.disabled": "Another endpoint of the merchant is told nothing any more.",
    "ping": "A test. Nothing happened.",
}
"""Everything that an endpoint may subscribe to."""

STATES: Final = ("due", "delivered", "given_up")
"""How far a delivery got."""

VERSIONS: Final = (1,)
"""Shapes of the payload that are still written; an endpoint keeps the one that it was made with."""


class Meaning(StrEnum):
    """What an attempt came to."""

    DELIVERED = "delivered"
    GONE = "gone"
    RETRY = "retry"


def meaning(status: int | None) -> Meaning:
    """What an answer's status means; None is no answer. A redirect, not followed, is no success."""
    if status is None:
        return Meaning.RETRY
    if 200 <= status < 300:
        return Meaning.DELIVERED
    return Meaning.GONE if status == 410 else Meaning.RETRY


def next_attempt(attempts: int, now: datetime, chance: float) -> datetime | None:
    """When to try again after so many attempts; None: give up. `chance` is from 0 up to 1."""
    if attempts > len(RETRY_AFTER):
        return None
    return now + timedelta(seconds=RETRY_AFTER[max(attempts, 1) - 1] * (1 + JITTER * chance))


def event_types(wanted: list[str]) -> list[str]:
    """A list of event types, without repeats. Raises InvalidRequest for one that does not exist."""
    for name in wanted:
        if name not in EVENTS:
            message = f"There is no event {name[:40]!r}. There are: {', '.join(EVENTS)}."
            raise InvalidRequest(message, field="event_types", code="invalid_event_type")
    return list(dict.fromkeys(wanted))


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivery has to say, before it takes the shape that the endpoint knows."""

    id: str
    """The event's id, the same at every attempt and every endpoint."""
    type: str
    at: str
    """UTC, when it happened."""
    livemode: bool
    sequence: int
    """How many events the payment has had by now: the payload is the payment as it is now."""
    data: dict[str, Any]


def payload(told: Told, version: int) -> bytes:
    """The bytes that are signed and sent, in the version's shape."""
    return msgspec.json.encode(SHAPES.get(version, _first)(told))


def _first(told: Told) -> dict[str, Any]:
    return {
        "id": told.id,
        "object": "event",
        "version": 1,
        "type": told.type,
        "timestamp": told.at,
        "livemode": told.livemode,
        "sequence": told.sequence,
        "data": told.data,
    }


SHAPES: Final = {1: _first}

SAMPLE_STATUS: Final = {
    "payment.succeeded": "Success",
    "payment.receipt_found": "Success",
    "payment.failed": "Failed",
    "payment.reversed": "Reversed",
    "payment.voided": "Voided",
}


def sample(event_type: str) -> dict[str, Any]:
    """What a test event says: a payment that never was, with a phone that belongs to nobody."""
    if not event_type.startswith("payment."):
        return {"test": True}
    status = SAMPLE_STATUS.get(event_type, "Pending")
    paid = status == "Success"
    payment = {
        "id": f"pay_{0:032x}",
        "object": "payment",
        "livemode": False,
        "status": status,
        "reason": "cancelled" if status == "Failed" else None,
        "amount": "50.00",
        "amount_paid": "50.00" if paid else None,
        "receipt_number": "TEST000000" if paid else None,
        "phone_number": "254700•••000",
        "account_reference": "TEST",
        "order_id": None,
        "metadata": {},
    }
    return {"test": True, "payment": payment}


_CONTROL: Final = re.compile(r"[^\S\n\t ]|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def readable(answer: bytes) -> str:
    """The beginning of an answer as text that a log can keep: no control, no hidden characters."""
    text = answer[:MOST_OF_AN_ANSWER].decode("utf-8", "replace")
    text = _CONTROL.sub(" ", text)
    return "".join(mark for mark in text if unicodedata.category(mark) not in {"Cf", "Cs", "Co"})


class Window(msgspec.Struct):
    """How many attempts one endpoint may have under way in one worker.

    It grows with every success and falls to one at the first failure: an endpoint that lets us
    wait ten seconds keeps one place busy, and all the others stay free for those who answer.
    """

    most: int = 16
    busy: int = 0

    @property
    def room(self) -> int:
        """How many more may begin."""
        return max(0, self.most - self.busy)

    def ended(self, *, well: bool) -> None:
        """One attempt is over."""
        self.busy -= 1
        self.most = min(WIDEST, self.most * 2) if well else 1


WIDEST: Final = 64
