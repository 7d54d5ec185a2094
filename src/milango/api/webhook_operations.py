"""The operations on webhook endpoints and deliveries, as OpenAPI 3.1 writes them."""

from __future__ import annotations

from typing import Any, Final

from milango.core.webhooks import STATES

from .operations import (
    BAD_BODY,
    BAD_KEY,
    IDEMPOTENCY_KEY,
    JSON,
    PAGE_LIMIT,
    PAYMENT_ID,
    SECRET,
    answers,
    in_path,
    in_query,
    ref,
)

ENDPOINT_ID: Final = "whe_01968f3a7c2e7d41b8a90c5e6f7a1b2c"
DELIVERY_ID: Final = "whd_01968f3a7c2e7d41b8a90c5e6f7a1b2c"

ENDPOINT_EXAMPLE: Final[dict[str, Any]] = {
    "id": ENDPOINT_ID,
    "object": "webhook_endpoint",
    "url": "https://shop.example/webhooks",
    "event_types": ["payment.succeeded", "payment.failed"],
    "full_phone": False,
    "active": True,
    "disabled_at": None,
    "disabled_reason": None,
    "failing_since": None,
    "version": 1,
    "public_key": None,
    "old_secret_until": None,
    "created_at": "2026-03-01T09:30:00.000Z",
}
WITH_SECRET: Final = ENDPOINT_EXAMPLE | {"secret": "whsec_…"}

DELIVERY_EXAMPLE: Final[dict[str, Any]] = {
    "id": DELIVERY_ID,
    "object": "webhook_delivery",
    "endpoint": ENDPOINT_ID,
    "event": "evt_01968f3a7c2e7d41b8a90c5e6f7a1b2d",
    "event_type": "payment.succeeded",
    "payment": PAYMENT_ID,
    "state": "delivered",
    "attempts": 1,
    "next_attempt_at": None,
    "created_at": "2026-03-01T09:30:21.000Z",
}
WITH_LOG: Final = DELIVERY_EXAMPLE | {
    "log": [
        {
            "at": "2026-03-01T09:30:21.080Z",
            "status": 204,
            "ms": 61,
            "error": None,
            "answer": "",
        }
    ]
}

_AT_ENDPOINT: Final = in_path("endpoint_id", "The endpoint's `id`", ENDPOINT_ID)
_AT_DELIVERY: Final = in_path("delivery_id", "The delivery's `id`", DELIVERY_ID)


def _operation(
    name: str,
    summary: str,
    description: str,
    responses: dict[str, Any],
    *parameters: dict[str, Any],
    body: str = "",
    example: dict[str, Any] | None = None,
    required: bool = True,
) -> dict[str, Any]:
    found = {
        "operationId": name,
        "tags": ["webhooks"],
        "summary": summary,
        "description": description,
        "security": [SECRET],
        "parameters": list(parameters),
        "responses": responses,
    }
    if body:
        content = {JSON: {"schema": ref(body), "example": example or {}}}
        found["requestBody"] = {"required": required, "content": content}
    return found


_ABSENT: Final = ("not_found", "secret_key_required")

LIST: Final = _operation(
    "listWebhookEndpoints",
    "List webhook endpoints",
    "Newest first. Follow `has_more` with `starting_after`.",
    answers(
        200,
        "One page.",
        "WebhookEndpointList",
        {"object": "list", "data": [ENDPOINT_EXAMPLE], "has_more": False},
        "invalid_filter",
        "secret_key_required",
    ),
    PAGE_LIMIT,
    in_query(
        "starting_after",
        "The id of the last endpoint of the page before.",
        type="string",
        pattern="^whe_[0-9a-f]{32}$",
    ),
)

ADD: Final = _operation(
    "addWebhookEndpoint",
    "Add a webhook endpoint",
    "The address must be https on port 443 and lead to the open internet. The `secret` is in this "
    "answer and in no later one.\n\nWith an `Idempotency-Key`, the same request may be repeated "
    "for 48 hours: it answers with the endpoint as it then stands, without the secret.",
    answers(
        201,
        "The endpoint, with its secret.",
        "WebhookEndpoint",
        WITH_SECRET,
        *BAD_BODY,
        *BAD_KEY,
        "invalid_url",
        "invalid_event_type",
        "too_many_endpoints",
        "secret_key_required",
    ),
    IDEMPOTENCY_KEY,
    body="NewWebhookEndpoint",
    example={"url": "https://shop.example/webhooks", "event_types": ["payment.succeeded"]},
)

ONE: Final = _operation(
    "getWebhookEndpoint",
    "Read a webhook endpoint",
    "Where it is, what it is told, and how it does. Another merchant's is as absent as one that "
    "never was.",
    answers(200, "The endpoint.", "WebhookEndpoint", ENDPOINT_EXAMPLE, *_ABSENT),
    _AT_ENDPOINT,
)

CHANGE: Final = _operation(
    "changeWebhookEndpoint",
    "Change a webhook endpoint",
    "Changes what the body names. `active: false` tells it nothing any more, and what is due for "
    "it waits; `active: true` tells it again, beginning with what has waited.",
    answers(
        200,
        "The endpoint, changed.",
        "WebhookEndpoint",
        ENDPOINT_EXAMPLE,
        *BAD_BODY,
        *_ABSENT,
        "invalid_url",
        "invalid_event_type",
        "too_many_endpoints",
    ),
    _AT_ENDPOINT,
    body="WebhookEndpointChange",
    example={"active": False},
)

REMOVE: Final = _operation(
    "removeWebhookEndpoint",
    "Remove a webhook endpoint",
    "It is told nothing any more and listed no more; what is due for it is given up. The log of "
    "what it was told stays with the operator.",
    answers(
        200,
        "The endpoint, for the last time.",
        "WebhookEndpoint",
        ENDPOINT_EXAMPLE
        | {
            "active": False,
            "disabled_reason": "removed",
            "disabled_at": "2026-03-02T08:00:00.000Z",
        },
        *_ABSENT,
    ),
    _AT_ENDPOINT,
)

ROTATE: Final = _operation(
    "rotateWebhookSecret",
    "Replace a webhook secret",
    "The new `secret` is in this answer and in no later one. For `keep_hours` each webhook bears "
    "two signatures, and both secrets verify it; 0 ends the old one at once.\n\nWith an "
    "`Idempotency-Key`, the same request may be repeated: it replaces nothing again, and answers "
    "without the secret.",
    answers(
        200,
        "The endpoint, with its new secret.",
        "WebhookEndpoint",
        WITH_SECRET | {"old_secret_until": "2026-03-02T09:30:00.000Z"},
        *BAD_BODY,
        *BAD_KEY,
        *_ABSENT,
    ),
    _AT_ENDPOINT,
    IDEMPOTENCY_KEY,
    body="SecretRotation",
    example={"keep_hours": 24},
    required=False,
)

TEST: Final = _operation(
    "testWebhookEndpoint",
    "Send a test event",
    "It says `livemode: false` and `data.test: true`, and touches no payment. A `ping` unless the "
    "body says what; the endpoint gets it whether it subscribes to that or not.",
    answers(
        202,
        "The delivery, due now.",
        "WebhookDelivery",
        DELIVERY_EXAMPLE
        | {"event_type": "ping", "payment": None, "state": "due", "attempts": 0}
        | {"next_attempt_at": "2026-03-01T09:30:21.000Z"},
        *BAD_BODY,
        *_ABSENT,
        "invalid_event_type",
        "endpoint_disabled",
    ),
    _AT_ENDPOINT,
    body="TestEvent",
    example={"event_type": "ping"},
    required=False,
)

REPLAY_SPAN: Final = _operation(
    "replayWebhooks",
    "Deliver a span of time again",
    "Everything that happened from `since` up to `until` and that the endpoint subscribes to, also "
    "what it was never told because it was disabled or not there yet. Ids stay as they were, and "
    "payments are told as they are now.",
    answers(
        202,
        "How many are due again.",
        "Replay",
        {"object": "replay", "deliveries": 17},
        *BAD_BODY,
        *_ABSENT,
        "invalid_event_type",
    ),
    _AT_ENDPOINT,
    body="ReplayRequest",
    example={"since": "2026-03-01T08:00:00Z", "event_types": ["payment.succeeded"]},
)

DELIVERIES: Final = _operation(
    "listWebhookDeliveries",
    "List an endpoint's deliveries",
    "The newest event first. Follow `has_more` with `starting_after`.",
    answers(
        200,
        "One page.",
        "WebhookDeliveryList",
        {"object": "list", "data": [DELIVERY_EXAMPLE], "has_more": False},
        *_ABSENT,
        "invalid_filter",
    ),
    _AT_ENDPOINT,
    PAGE_LIMIT,
    in_query(
        "starting_after",
        "The id of the last delivery of the page before.",
        type="string",
        pattern="^whd_[0-9a-f]{32}$",
    ),
    in_query("state", "Only these.", type="string", enum=list(STATES)),
)

DELIVERY: Final = _operation(
    "getWebhookDelivery",
    "Read a delivery and its log",
    "Each attempt with the first 4 KB of the answer. Answers are kept 90 days.",
    answers(200, "The delivery.", "WebhookDelivery", WITH_LOG, *_ABSENT),
    _AT_DELIVERY,
)

REPLAY: Final = _operation(
    "replayWebhook",
    "Deliver again",
    "With the same id, and the payment as it is now, from the beginning of the schedule.",
    answers(
        202,
        "The delivery, due again.",
        "WebhookDelivery",
        WITH_LOG | {"state": "due", "attempts": 0, "next_attempt_at": "2026-03-01T10:00:00.000Z"},
        *_ABSENT,
    ),
    _AT_DELIVERY,
)
