"""Every story that a payment can go through, as data.

A story says how the push is answered (`answers.py`), then plays its steps in order: waits, the
one `End` in which the truth is written, and the callbacks, which may lie about it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wait:
    """Time passes, in seconds before `time_scale`; without numbers the setting `answer_delay`."""

    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Person:
    """A person at the handset answers; nobody within `prompt_life_s` ends it as no response."""


@dataclass(frozen=True, slots=True)
class End:
    """The truth: the money moves, or it never will. `result` is a row of `results.py`."""

    result: str


@dataclass(frozen=True, slots=True)
class Callback:
    """Daraja posts: the truth, a lie of `callbacks.py`, or another row of `results.py`."""

    says: str = "truth"
    copies: int = 1


Step = Wait | Person | End | Callback


@dataclass(frozen=True, slots=True)
class Story:
    """One story. `then` is the story of that phone's next push, if the story forces one."""

    name: str
    summary: str
    steps: tuple[Step, ...] = ()
    answer: str = "accepted"
    answer_last: bool = False
    shown: bool = True
    pending: tuple[str, ...] = ("4999", "processing")
    first_queries: tuple[str, ...] = ()
    then: str = ""


def _ends(result: str, summary: str, *, shown: bool = True) -> Story:
    return Story(result, summary, (Wait(), End(result), Callback()), shown=shown)


_PAID = (Wait(), End("paid"), Callback())
_PAID_IN_SILENCE = (Wait(), End("paid"))

_ALL = (
    Story("handset", "A person answers on the handset page.", (Person(), Callback())),
    # The payer's side: one result each, told truly.
    _ends("paid", "The payer types the right PIN."),
    _ends("cancelled", "The payer presses cancel (1032)."),
    _ends("wrong_pin", "The payer types a wrong PIN (2001)."),
    _ends("no_funds", "The balance is too small (1)."),
    _ends("unreachable", "The phone is off or out of coverage (1037).", shown=False),
    _ends("no_response", "The payer ignores the prompt (1037)."),
    _ends("expired", "The transaction expires (1019)."),
    _ends("pin_locked", "The payer's PIN is locked (8006)."),
    _ends("daily_limit", "The payer's limit of the day is reached (4)."),
    _ends("max_balance", "The receiving account is full (8)."),
    _ends("below_minimum", "The amount is below the minimum (2).", shown=False),
    _ends("above_maximum", "The amount is above the maximum (3).", shown=False),
    _ends("rule_limited", "The same amount again within two minutes (17).", shown=False),
    _ends("system_busy", "Accepted, then rejected as busy (26).", shown=False),
    _ends("subscriber_busy", "Accepted, but the SIM had an open session (1001).", shown=False),
    _ends("push_error", "The prompt could not be sent (1025).", shown=False),
    _ends("sending_error", "The prompt could not be sent (9999).", shown=False),
    _ends("smsc_timeout", "The answer of the phone came too late (1036)."),
    _ends("validation_refused", "The merchant's validation address refused (2007)."),
    _ends("not_permitted", "TransactionType or PartyB do not fit (2028).", shown=False),
    _ends("wrong_party", "The receiver is not valid (SFC_IC0003).", shown=False),
    # Callbacks that misbehave.
    Story("callback_lost", "Paid, and no callback ever comes.", _PAID_IN_SILENCE),
    Story("cancelled_in_silence", "Cancelled, and no callback.", (Wait(), End("cancelled"))),
    Story(
        "callback_late",
        "Paid; the callback comes 90 s later.",
        (Wait(), End("paid"), Wait(90, 90), Callback()),
    ),
    Story(
        "callback_overtaken",
        "Paid; the callback comes 0-5 s later, so that others overtake it.",
        (Wait(), End("paid"), Wait(0, 5), Callback()),
    ),
    Story(
        "callback_twice",
        "Paid; the same callback twice, half a second apart.",
        (Wait(), End("paid"), Callback(), Wait(0.5, 0.5), Callback()),
    ),
    Story(
        "callback_twice_at_once",
        "Paid; the same callback twice at the same moment.",
        (Wait(), End("paid"), Callback(copies=2)),
    ),
    Story(
        "out_of_order",
        "Paid and said so; then a stale callback says 1037.",
        (Wait(), End("paid"), Callback(), Wait(0.5, 0.5), Callback("unreachable")),
    ),
    Story(
        "false_failure",
        "A false 1037 callback, and 4 s later the money moves after all.",
        (Wait(), Callback("unreachable"), Wait(4, 4), End("paid"), Callback()),
    ),
    Story(
        "before_answer",
        "Paid at once; the callback comes before the push is answered.",
        (End("paid"), Callback()),
        answer_last=True,
    ),
    Story(
        "other_amount",
        "Paid; the callback names KES 1 more than was paid.",
        (Wait(), End("paid"), Callback("other_amount")),
    ),
    Story(
        "other_id",
        "Paid; the callback names ids that nobody was given.",
        (Wait(), End("paid"), Callback("other_id")),
    ),
    Story(
        "masked_phone",
        "Paid; PhoneNumber is a masked text.",
        (Wait(), End("paid"), Callback("masked_phone")),
    ),
    Story(
        "no_details",
        "Paid; the callback has no CallbackMetadata.",
        (Wait(), End("paid"), Callback("no_details")),
    ),
    Story(
        "text_code",
        'Paid; ResultCode is the text "0".',
        (Wait(), End("paid"), Callback("text_code")),
    ),
    Story(
        "garbled_callback",
        "Paid; the callback's JSON is cut off.",
        (Wait(), End("paid"), Callback("garbled")),
    ),
    # Pushes whose answer misbehaves although the prompt was sent.
    Story("answer_lost", "Prompt sent, answer 504; then paid.", _PAID, "gateway_timeout"),
    Story(
        "answer_lost_cancelled",
        "Prompt sent, answer 504; then cancelled.",
        (Wait(), End("cancelled"), Callback()),
        "gateway_timeout",
    ),
    Story(
        "answer_and_callback_lost",
        "Prompt sent, answer 504; paid, and no callback ever comes.",
        _PAID_IN_SILENCE,
        "gateway_timeout",
    ),
    Story("answer_closed", "Prompt sent, connection closed; then paid.", _PAID, "closed"),
    Story("answer_truncated", "Prompt sent, half of the JSON; then paid.", _PAID, "truncated"),
    Story("answer_internal", "Prompt sent, 500.003.1001; then paid.", _PAID, "internal_sent"),
    Story("answer_slow", "Prompt sent, answered after 8 s; paid before.", _PAID, "slow"),
    Story("answer_too_slow", "Prompt sent, answered after 45 s; paid before.", _PAID, "too_slow"),
    Story(
        "vanished",
        "Prompt sent, answer 504, paid, no callback: only M-Pesa's statement knows.",
        _PAID_IN_SILENCE,
        "gateway_timeout",
    ),
    # Pushes that are refused: no prompt, no payment.
    Story(
        "token_stolen",
        "The token dies just before use; the next push pays.",
        (),
        "token_stolen",
        then="paid",
    ),
    Story("busy", "Refused: system is busy (500.003.02).", (), "busy"),
    Story("spike_arrest", "Refused: spike arrest (500.003.02).", (), "spike_arrest"),
    Story("spike_arrest_429", "Refused: the raw fault of the edge, HTTP 429.", (), "raw_429"),
    Story("quota", "Refused: quota (500.003.03).", (), "quota"),
    Story("internal", "Refused: 500.003.1001, and no prompt was sent.", (), "internal"),
    Story("forbidden", "Refused: an HTML page, HTTP 403.", (), "forbidden"),
    Story("soap_fault", "Refused: a SOAP fault dressed as JSON, HTTP 500.", (), "soap_fault"),
    Story("locked", "Refused: unable to lock subscriber.", (), "locked"),
    Story("no_product", "Refused: the app lacks the product (401.003.01).", (), "no_product"),
    # Queries that misbehave.
    Story(
        "query_blank",
        "Paid, no callback; the first three queries get a blank message.",
        _PAID_IN_SILENCE,
        pending=("blank",),
        first_queries=("blank", "blank", "blank"),
    ),
    Story(
        "query_pending",
        "Paid after 20 s, no callback; queries say 4999 until then.",
        (Wait(20, 20), End("paid")),
        pending=("4999",),
    ),
    Story(
        "query_unknown",
        "Paid, no callback; the first two queries say that it does not exist.",
        _PAID_IN_SILENCE,
        first_queries=("not_exist", "not_exist"),
    ),
    Story(
        "false_query",
        "Paid, no callback; the first two queries falsely say 1037.",
        _PAID_IN_SILENCE,
        first_queries=("unreachable", "unreachable"),
    ),
)

STORIES: dict[str, Story] = {story.name: story for story in _ALL}
HANDSET = STORIES["handset"]
