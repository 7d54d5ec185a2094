"""How this simulator behaves: one typed record, changed as a whole and checked as a whole."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from milango.simulator.faults import Faults, Seconds, Share

Milliseconds = Annotated[float, msgspec.Meta(ge=0, le=600_000)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Every knob, its default, and (in `MEANINGS`) what it does."""

    revoke_previous_token: bool = True
    token_life_s: Seconds = 3599
    expires_in_as_number: bool = False
    bad_credentials_status: Literal[400, 401] = 400
    one_prompt_per_phone: bool = True
    duplicate_window_s: Seconds = 120
    over_limit: Literal["refuse", "callback"] = "refuse"
    prompt_life_s: Seconds = 60
    answer_delay: tuple[Seconds, Seconds] = (1.0, 1.0)
    push_delay_ms: Milliseconds = 0
    query_delay_ms: Milliseconds = 0
    time_scale: Annotated[float, msgspec.Meta(ge=0, le=100)] = 1.0
    callback_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 10
    callback_source: str | None = None
    callback_headers: dict[str, str] = {}
    metadata: Literal["plain", "integer", "balance", "mixed"] = "plain"
    blank_query_share: Share = 0
    max_tps: Annotated[int, msgspec.Meta(ge=0)] = 0
    plain_http: Literal["loopback", "any"] = "loopback"
    result_delay: tuple[Seconds, Seconds] = (1, 5)
    result_shape: Literal["plain", "texts", "single", "mixed"] = "plain"
    result_faults: Faults = Faults()
    queue_timeout_share: Share = 0
    status_answer_lost: Share = 0
    status_by_merchant_request_id: bool = True
    seed: int | None = None


MEANINGS: dict[str, str] = {
    "revoke_previous_token": "A new token kills the older one of the same consumer key.",
    "token_life_s": "How long a token lives; not scaled by `time_scale`.",
    "expires_in_as_number": 'Write `expires_in` as 3599 and not as `"3599"`.',
    "bad_credentials_status": "HTTP status of the empty answer to a wrong key or secret.",
    "one_prompt_per_phone": "Refuse a push while another prompt is open on that phone.",
    "duplicate_window_s": "Result 17 when this payer has paid the same amount to the same "
    "short code within so many seconds; 0 turns it off.",
    "over_limit": "Above KES 250,000: `refuse` at once, or accept and `callback` with result 3.",
    "prompt_life_s": "How long a prompt stays on a handset before result 1037.",
    "answer_delay": "Shortest and longest time, in seconds, that the payer of a story takes.",
    "push_delay_ms": "How long Daraja thinks before it answers a push; not scaled.",
    "query_delay_ms": "The same for a query.",
    "time_scale": "Every wait is multiplied by this: 0.1 makes a minute last six seconds.",
    "callback_timeout_s": "How long to wait for the answer to a callback. There is no second try.",
    "callback_source": "Local address that callbacks come from, such as `127.0.0.2`.",
    "callback_headers": "More headers for callbacks, as a proxy in front would add them.",
    "metadata": "Shape of CallbackMetadata: `plain` (150.0), `integer` (150), `balance` (an item "
    "without Value), or `mixed`.",
    "blank_query_share": "Share of queries on ended payments that get the blank message.",
    "max_tps": "Pushes a second for one consumer key before Spike Arrest; 0 is no limit.",
    "plain_http": "Which hosts may have an http:// CallBackURL: `loopback` or `any`.",
    "result_delay": "Shortest and longest time, in seconds, until ResultURL is called.",
    "result_shape": "Shape of results: `plain`, `texts` (every number a text, ReferenceItem a "
    "list), `single` (a failure has one ResultParameter that is no list), or `mixed`.",
    "result_faults": "What becomes of results by chance: shares `drop`, `twice` and `late`, and "
    "how late.",
    "queue_timeout_share": "Share of Transaction Status requests whose QueueTimeOutURL is called "
    "and whose ResultURL is not.",
    "status_answer_lost": "Share of Transaction Status requests that are answered 504 although "
    "the result comes.",
    "status_by_merchant_request_id": "OriginalConversationID may be the MerchantRequestID of a "
    "push; nobody has proven that it may.",
    "seed": "Makes ids, receipts and delays repeatable, from the start or the next reset.",
}


def changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Give `settings` with `changes`. Raises msgspec.ValidationError and changes nothing."""
    return msgspec.convert({**msgspec.to_builtins(settings), **changes}, Settings)
