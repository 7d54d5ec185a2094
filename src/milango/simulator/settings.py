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
    c2b_register_once: bool = False
    c2b_url_words: bool = True
    c2b_validation: bool = False
    validation_timeout_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = 8
    confirmation_delay: tuple[Seconds, Seconds] = (1, 3)
    confirmation_first: Share = 0
    confirmation_faults: Faults = Faults()
    c2b_msisdn: Literal["by_version", "hashed", "masked", "full"] = "by_version"
    c2b_names: Literal["first", "all", "missing", "mixed"] = "first"
    till_transaction_type: Literal["Customer Merchant Payment", "Buy Goods"] = (
        "Customer Merchant Payment"
    )
    till_number: Literal["till", "store"] = "till"
    pull_page: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    pull_msisdn: Literal["full", "masked"] = "full"
    pull_spaced_keys: bool = False
    pull_reversals: bool = True
    pull_fails: Share = 0
    charge_share: Share = 0
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
    "c2b_register_once": "Refuse to register C2B addresses a second time, as production does.",
    "c2b_url_words": "Refuse C2B addresses with `mpesa`, `safaricom`, `exe`, `cmd`, `sql` or "
    "`query` in them.",
    "c2b_validation": "Safaricom has switched external validation on: ValidationURL is asked "
    "before every payment.",
    "validation_timeout_s": "How long a validation may take before ResponseType decides; not "
    "scaled.",
    "confirmation_delay": "Shortest and longest time, in seconds, until a payment is confirmed.",
    "confirmation_first": "Share of pushed payments whose STK callback waits for their "
    "confirmation.",
    "confirmation_faults": "What becomes of confirmations by chance, as in `result_faults`.",
    "c2b_msisdn": "MSISDN in C2B: `hashed` in v1 and `masked` in v2 (`by_version`), or always "
    "`hashed`, `masked` or `full`.",
    "c2b_names": "Names in C2B: only the `first` filled in, `all`, all keys but the first "
    "`missing`, or `mixed`.",
    "till_transaction_type": "TransactionType of payments to tills.",
    "till_number": "BusinessShortCode of payments to tills: the `till`, or its `store` number.",
    "pull_page": "Rows of one answer of Pull.",
    "pull_msisdn": "`msisdn` in Pull: the `full` number, or a `masked` text.",
    "pull_spaced_keys": "Registering answers with `Response Status`, with a space, as some have "
    "seen it.",
    "pull_reversals": "Reversals have rows of their own in Pull.",
    "pull_fails": "Share of Pull queries that are answered `500.003.1001`.",
    "charge_share": "Share of each payment that M-Pesa keeps; a line of its own in the statement.",
    "seed": "Makes ids, receipts and delays repeatable, from the start or the next reset.",
}


def changed(settings: Settings, changes: dict[str, Any]) -> Settings:
    """Give `settings` with `changes`. Raises msgspec.ValidationError and changes nothing."""
    return msgspec.convert({**msgspec.to_builtins(settings), **changes}, Settings)
