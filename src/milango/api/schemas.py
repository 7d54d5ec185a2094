"""The documents of the API as types, for the OpenAPI document alone: the flows write them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from milango.core.webhook_inputs import LONGEST_KEPT, LONGEST_URL
from milango.core.webhooks import EVENTS

Moment = Annotated[str, Meta(description="UTC", extra_json_schema={"format": "date-time"})]
Money = Annotated[str, Meta(description="KES", pattern=r"^[0-9]+\.[0-9]{2}$")]
Metadata = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=40)],
        Annotated[str, Meta(max_length=500)] | int | float | bool | None,
    ],
    Meta(max_length=20),
]


class PushRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A request for one prompt on one phone."""

    phone_number: Annotated[
        str,
        Meta(
            description="The payer's Safaricom number: 07…, 01…, 254… or +254…; spaces are fine.",
            pattern=r"^(\+?254|0)[17][0-9]{8}$",
        ),
    ]
    amount: Annotated[
        Annotated[int, Meta(ge=1, le=250_000)] | Annotated[str, Meta(pattern=r"^[0-9]+(\.00?)?$")],
        Meta(description='Whole KES, as a number or as text ("50", "50.00").'),
    ]
    shortcode: Annotated[
        str, Meta(description="Your paybill or till, as text.", pattern="^[0-9]{5,7}$")
    ]
    service_type: (
        Annotated[
            str,
            Meta(
                description="`captive_portal` buys Wi-Fi time; any other word is yours.",
                pattern="^[a-z][a-z0-9_]{0,31}$",
            ),
        ]
        | None
    ) = None
    account_reference: (
        Annotated[
            str,
            Meta(
                description="What the payer reads as account number.",
                pattern="^[A-Za-z0-9./_-][A-Za-z0-9 ./_-]{0,11}$",
            ),
        ]
        | None
    ) = None
    description: (
        Annotated[
            str,
            Meta(
                description="A few words for the statement.",
                pattern="^[A-Za-z0-9./_-][A-Za-z0-9 ./_-]{0,12}$",
            ),
        ]
        | None
    ) = None
    order_id: (
        Annotated[
            str,
            Meta(
                description="Your order: a paid one is never prompted for again.",
                pattern="^[!-~]{1,64}$",
            ),
        ]
        | None
    ) = None
    environment: (
        Annotated[
            Literal["production", "sandbox", "simulator"],
            Meta(description="Only where one short code has several."),
        ]
        | None
    ) = None
    metadata: (
        Annotated[Metadata, Meta(description="Yours: kept, and given back with a secret key.")]
        | None
    ) = None


class Words(msgspec.Struct):
    """What to tell the payer."""

    en: str
    sw: str


Name = Literal["Pending", "Success", "Failed", "Reversed", "Voided"]


class PaymentStatus(msgspec.Struct, kw_only=True):
    """What a waiting page needs. An unknown id is Pending, and everything else is empty."""

    status: Name
    checkout_id: str | None
    confirming: Annotated[
        bool, Meta(description="M-Pesa says paid, and we are making sure: do not pay again.")
    ]
    reason: Annotated[str | None, Meta(description="Why it failed, in one word.")]
    message: Words | None
    may_retry: Annotated[bool, Meta(description="Asking again cannot make the payer pay twice.")]
    amount: Money | None
    amount_paid: Annotated[Money | None, Meta(description="KES, proven")]
    receipt_number: str | None
    transaction_date: Moment | None
    service_type: str | None
    access_duration_minutes: int | None
    start_time: Moment | None


class Payment(PaymentStatus, kw_only=True):
    """A payment. What only a secret key may see is left out for a publishable one."""

    id: Annotated[str, Meta(pattern="^pay_[0-9a-f]{32}$")]
    object: Literal["payment"]
    livemode: Annotated[bool, Meta(description="Real money.")]
    environment: Literal["production", "sandbox", "simulator"]
    shortcode: str
    phone_number: Annotated[str, Meta(description="Masked for a publishable key.")]
    account_reference: str
    requested_by: Annotated[
        str,
        Meta(description="`server`; `browser` for a publishable key; `payer` when paid unasked."),
    ]
    created_at: Moment
    prompt_expires_at: Moment
    status_url: Annotated[str, Meta(description="With a read ticket that is good for 10 minutes.")]
    events_url: Annotated[str, Meta(description="The same for the timeline.")]
    checkout_request_id: Annotated[
        str | UnsetType | None,
        Meta(description="Daraja's own id: personal data. Null while Daraja's answer is unknown."),
    ] = UNSET
    merchant_request_id: str | UnsetType | None = UNSET
    customer: str | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    order_id: str | UnsetType | None = UNSET
    metadata: Metadata | UnsetType = UNSET
    result_code: str | UnsetType | None = UNSET
    result_text: str | UnsetType | None = UNSET
    late: Annotated[bool | UnsetType, Meta(description="It succeeded after it had failed.")] = UNSET
    duplicate_of: Annotated[
        str | UnsetType | None, Meta(description="The payment that settled this order before.")
    ] = UNSET
    settled_at: Moment | UnsetType | None = UNSET


class Event(msgspec.Struct, kw_only=True):
    """One thing that happened to a payment."""

    id: str
    object: Literal["event"]
    seq: Annotated[int, Meta(description="Counts from 1 within the payment.", ge=1)]
    type: str
    at: Moment
    data: dict[str, Any]


class PaymentList(msgspec.Struct, kw_only=True):
    """A page of payments, newest first."""

    object: Literal["list"]
    data: list[Payment]
    has_more: bool


class EventList(msgspec.Struct, kw_only=True):
    """A payment's timeline, oldest first."""

    object: Literal["list"]
    data: list[Event]
    has_more: bool


EndpointId = Annotated[str, Meta(pattern="^whe_[0-9a-f]{32}$")]
EventTypes = Annotated[
    list[Annotated[str, Meta(extra_json_schema={"enum": list(EVENTS)})]],
    Meta(description="Empty: all of them."),
]
FullPhone = Annotated[bool, Meta(description="Send the payer's whole number, not a masked one.")]
Url = Annotated[str, Meta(description="https, on port 443.", max_length=LONGEST_URL)]


class NewWebhookEndpoint(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An address that wants to be told."""

    url: Url
    event_types: EventTypes | None = None
    full_phone: FullPhone | None = None
    ed25519: (
        Annotated[bool, Meta(description="Sign with a key pair too: `public_key` verifies it.")]
        | None
    ) = None


class WebhookEndpointChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be changed; what is not named stays."""

    url: Url | None = None
    event_types: EventTypes | None = None
    full_phone: FullPhone | None = None
    active: Annotated[bool, Meta(description="false: tell it nothing any more.")] | None = None


class SecretRotation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A new secret."""

    keep_hours: (
        Annotated[
            int,
            Meta(description="How long the secret before signs too.", ge=0, le=LONGEST_KEPT),
        ]
        | None
    ) = None


class TestEvent(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a test says."""

    event_type: (
        Annotated[
            str, Meta(description="A `ping` by default.", extra_json_schema={"enum": list(EVENTS)})
        ]
        | None
    ) = None


class ReplayRequest(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A span of time, 31 days at most."""

    since: Annotated[Moment, Meta(description="From then on, included.")]
    until: Annotated[Moment, Meta(description="Up to then, excluded; now by default.")] | None = (
        None
    )
    event_types: EventTypes | None = None


class WebhookEndpoint(msgspec.Struct, kw_only=True):
    """An address that is told what happens."""

    id: EndpointId
    object: Literal["webhook_endpoint"]
    url: str
    event_types: EventTypes
    full_phone: FullPhone
    active: bool
    disabled_at: Moment | None
    disabled_reason: Annotated[
        str | None, Meta(description="`by hand`, `failing`, `gone` (it answered 410), `removed`.")
    ]
    failing_since: Annotated[Moment | None, Meta(description="Nothing was taken since.")]
    version: Annotated[int, Meta(description="The shape of what it is told.")]
    public_key: Annotated[str | None, Meta(description="`whpk_…`, of an Ed25519 key.")]
    old_secret_until: Annotated[
        Moment | None, Meta(description="Until then the secret before signs too.")
    ]
    created_at: Moment
    secret: Annotated[str | UnsetType, Meta(description="In the answer that made it alone.")] = (
        UNSET
    )


class WebhookEndpointList(msgspec.Struct, kw_only=True):
    """A page of webhook endpoints, newest first."""

    object: Literal["list"]
    data: list[WebhookEndpoint]
    has_more: bool


class WebhookAttempt(msgspec.Struct, kw_only=True):
    """One try to deliver."""

    at: Moment
    status: Annotated[int | None, Meta(description="HTTP; null: no answer.")]
    ms: Annotated[int, Meta(description="Milliseconds until the answer.")]
    error: Annotated[str | None, Meta(description="Why there was no answer.")]
    answer: Annotated[str, Meta(description="The first 4 KB, as text. Escape it.")]


class WebhookDelivery(msgspec.Struct, kw_only=True):
    """One event that is told to one endpoint."""

    id: Annotated[str, Meta(pattern="^whd_[0-9a-f]{32}$")]
    object: Literal["webhook_delivery"]
    endpoint: EndpointId
    event: Annotated[str, Meta(description="The `webhook-id`, the same at every attempt.")]
    event_type: str
    payment: str | None
    state: Literal["due", "delivered", "given_up"]
    attempts: int
    next_attempt_at: Moment | None
    created_at: Moment
    log: list[WebhookAttempt] | UnsetType = UNSET


class WebhookDeliveryList(msgspec.Struct, kw_only=True):
    """A page of deliveries, the newest event first."""

    object: Literal["list"]
    data: list[WebhookDelivery]
    has_more: bool


class Replay(msgspec.Struct, kw_only=True):
    """What was made due again."""

    object: Literal["replay"]
    deliveries: Annotated[int, Meta(description="How many are due again.", ge=0)]


class FieldProblem(msgspec.Struct, kw_only=True):
    """One field at fault."""

    field: str
    code: str
    detail: str


class Problem(msgspec.Struct, kw_only=True):
    """A refusal (RFC 9457)."""

    type: Annotated[str, Meta(description="The page that explains the code.")]
    title: str
    status: int
    code: Annotated[str, Meta(description="A stable word for machines.")]
    detail: Annotated[str, Meta(description="A sentence for people.")]
    field: str | UnsetType = UNSET
    errors: Annotated[list[FieldProblem] | UnsetType, Meta(description="Every field at fault.")] = (
        UNSET
    )
    retry_after: Annotated[int | UnsetType, Meta(description="Seconds, where waiting helps.")] = (
        UNSET
    )
    payment: Annotated[
        str | UnsetType, Meta(description="The payment that is in the way, or that was refused.")
    ] = UNSET
    daraja_code: Annotated[str | UnsetType, Meta(description="Daraja's own error code.")] = UNSET


SHOWN = (
    *(PushRequest, PaymentStatus, Payment, PaymentList, Event, EventList),
    *(NewWebhookEndpoint, WebhookEndpointChange, SecretRotation, TestEvent, ReplayRequest),
    *(WebhookEndpoint, WebhookEndpointList, WebhookDelivery, WebhookDeliveryList, Replay),
    Problem,
)


def components() -> dict[str, Any]:
    """The JSON Schemas of all documents, by name."""
    _, found = msgspec.json.schema_components(SHOWN, ref_template="#/components/schemas/{name}")
    return found
