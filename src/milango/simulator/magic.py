"""Magic numbers and amounts: which phone, or which KES amount, plays which story by itself."""

from __future__ import annotations

from milango.simulator.stories import STORIES

PHONES: dict[str, str] = {
    "254708374149": "paid",
    "254708374150": "cancelled",
    "254708374151": "wrong_pin",
    "254708374152": "no_funds",
    "254708374153": "unreachable",
    "254708374154": "expired",
    "254708374155": "no_response",
    "254708374156": "pin_locked",
    "254708374160": "callback_lost",
    "254708374161": "callback_late",
    "254708374162": "callback_twice",
    "254708374163": "out_of_order",
    "254708374164": "before_answer",
    "254708374165": "other_amount",
    "254708374166": "other_id",
    "254708374167": "false_failure",
    "254708374168": "garbled_callback",
    "254708374170": "answer_lost",
    "254708374171": "answer_closed",
    "254708374172": "answer_truncated",
    "254708374173": "answer_slow",
    "254708374174": "vanished",
    "254708374180": "token_stolen",
    "254708374181": "busy",
    "254708374182": "spike_arrest",
    "254708374183": "forbidden",
    "254708374184": "soap_fault",
    "254708374185": "locked",
    "254708374190": "query_blank",
    "254708374191": "query_pending",
    "254708374192": "false_query",
}

AMOUNTS: dict[int, str] = {
    1001: "subscriber_busy",
    1019: "expired",
    1025: "push_error",
    1032: "cancelled",
    1037: "unreachable",
    2001: "wrong_pin",
    2028: "not_permitted",
    4999: "query_pending",
    8006: "pin_locked",
    9999: "sending_error",
}
"""Amounts speak for phones that are not magic; each is the result code that it brings."""


def rows() -> list[tuple[str, str, str, str]]:
    """The whole table: (`phone` or `amount`, the value, the story, what happens)."""
    phones = [("phone", phone, name) for phone, name in PHONES.items()]
    amounts = [("amount", str(amount), name) for amount, name in AMOUNTS.items()]
    return [(kind, value, name, STORIES[name].summary) for kind, value, name in phones + amounts]
