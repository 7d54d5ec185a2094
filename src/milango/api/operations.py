"""The operations of the API as OpenAPI 3.1 writes them."""

from __future__ import annotations

from typing import Any, Final

from milango.core.answers import NO_STORE
from milango.core.filters import LIMIT, MOST
from milango.core.problems import CONTENT_TYPE, DOCS, PROBLEMS

JSON: Final = "application/json"

SECRET: Final[dict[str, list[str]]] = {"secretKey": []}
PUBLISHABLE: Final[dict[str, list[str]]] = {"publishableKey": []}
TICKET: Final[dict[str, list[str]]] = {"ticket": []}

SECURITY_SCHEMES: Final[dict[str, Any]] = {
    "secretKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A secret key, `sk_…`: for servers, never for a page.",
    },
    "publishableKey": {
        "type": "http",
        "scheme": "bearer",
        "description": "A publishable key, `pk_…`: for pages of the origins that you list. "
        "It can ask for a prompt and read a status.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "A read ticket of one payment, good for 10 minutes: it stands in the "
        "`status_url` and `events_url` of an answer.",
    },
}

PHONE: Final = "254708374149"
CHECKOUT_ID: Final = "co_5f0c1d2e3b4a59687786a5b4c3d2e1f0"
PAYMENT_ID: Final = "pay_01968f3a7c2e7d41b8a90c5e6f7a1b2c"

STATUS_EXAMPLE: Final[dict[str, Any]] = {
    "status": "Pending",
    "checkout_id": CHECKOUT_ID,
    "confirming": False,
    "reason": None,
    "message": {
        "en": "Waiting for M-Pesa. Enter your PIN on your phone.",
        "sw": "Tunasubiri M-Pesa. Weka PIN kwenye simu yako.",
    },
    "may_retry": False,
    "amount": "50.00",
    "amount_paid": None,
    "receipt_number": None,
    "transaction_date": None,
    "service_type": "captive_portal",
    "access_duration_minutes": None,
    "start_time": None,
}

PAYMENT_EXAMPLE: Final[dict[str, Any]] = STATUS_EXAMPLE | {
    "id": PAYMENT_ID,
    "object": "payment",
    "livemode": False,
    "environment": "sandbox",
    "shortcode": "174379",
    "phone_number": PHONE,
    "account_reference": "TABLE-7",
    "requested_by": "server",
    "created_at": "2026-03-01T09:30:00.000Z",
    "prompt_expires_at": "2026-03-01T09:33:00.000Z",
    "status_url": f"https://pay.example.co.ke/api/v1/payments/status/{CHECKOUT_ID}?ticket=…",
    "events_url": f"https://pay.example.co.ke/api/v1/payments/{PAYMENT_ID}/events?ticket=…",
    "checkout_request_id": "ws_CO_01032026123000123708374149",
    "merchant_request_id": "6c1d-4f0a-9b27-5e8a1c3d90f27184",
    "customer": None,
    "description": "Payment",
    "order_id": None,
    "metadata": {"table": 7},
    "result_code": None,
    "result_text": None,
    "late": False,
    "duplicate_of": None,
    "settled_at": None,
}

EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "id": "evt_01968f3a7c2e7d41b8a90c5e6f7a1b2d",
    "object": "event",
    "seq": 1,
    "type": "payment.created",
    "at": "2026-03-01T09:30:00.000Z",
    "data": {},
}

PUSH_EXAMPLE: Final[dict[str, Any]] = {
    "phone_number": PHONE,
    "amount": 50,
    "shortcode": "174379",
    "service_type": "captive_portal",
    "account_reference": "TABLE-7",
    "metadata": {"table": 7},
}


def ref(name: str) -> dict[str, Any]:
    """A document of `schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def _header(description: str, kind: str = "string") -> dict[str, Any]:
    return {"description": description, "schema": {"type": kind}}


CACHE: Final = {"Cache-Control": _header(f"`{NO_STORE['Cache-Control']}`")}
HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": _header("`Bearer`")},
    405: {"Allow": _header("The methods of this address.")},
    409: {"Retry-After": _header("Seconds, where waiting helps.", "integer")},
    429: {"Retry-After": _header("Seconds to wait.", "integer")},
    503: {"Retry-After": _header("Seconds to wait.", "integer")},
}

EVERYWHERE: Final = (
    "invalid_request",
    "unauthenticated",
    "secret_key_in_browser",
    "origin_not_allowed",
    "wrong_scope",
    "method_not_allowed",
    "internal_error",
    "database_unavailable",
)


def answers(status: int, what: str, schema: str, example: Any, *codes: str) -> dict[str, Any]:
    """All answers of an operation: the good one, and every problem by its status."""
    good = {
        "description": what,
        "headers": CACHE,
        "content": {JSON: {"schema": ref(schema), "example": example}},
    }
    by_status: dict[int, list[str]] = {}
    for code in PROBLEMS:
        if code in (*codes, *EVERYWHERE):
            by_status.setdefault(PROBLEMS[code][0], []).append(code)
    bad = {str(number): _problem(number, found) for number, found in sorted(by_status.items())}
    return {str(status): good} | bad


def _problem(status: int, codes: list[str]) -> dict[str, Any]:
    titles = "; ".join(f"`{code}`: {PROBLEMS[code][1]}" for code in codes)
    examples = {code: {"value": _problem_example(code)} for code in codes}
    return {
        "description": titles,
        "headers": CACHE | HEADERS.get(status, {}),
        "content": {CONTENT_TYPE: {"schema": ref("Problem"), "examples": examples}},
    }


def _problem_example(code: str) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    detail = f"{title}."
    document = {"type": f"{DOCS}{code}", "title": title, "status": status, "code": code}
    return document | {"detail": detail}


def in_path(name: str, description: str, example: str) -> dict[str, Any]:
    """A variable part of the path."""
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": description,
        "schema": {"type": "string", "minLength": 1},
        "example": example,
    }


def in_query(name: str, description: str, **schema: Any) -> dict[str, Any]:
    """A query parameter that may be left out."""
    return {"name": name, "in": "query", "description": description, "schema": schema}


BAD_BODY: Final = (
    "invalid_json",
    "duplicate_key",
    "too_deep",
    "missing_field",
    "unknown_field",
    "body_too_large",
    "body_too_slow",
    "wrong_content_type",
)
BAD_KEY: Final = ("invalid_idempotency_key", "idempotency_conflict")

IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "A word of your own for this request, such as the order's number.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,255}$"},
    "example": "order-1001-try-1",
}

PUSH: Final[dict[str, Any]] = {
    "operationId": "push",
    "tags": ["payments"],
    "summary": "Ask a payer for money",
    "description": "Sends one STK prompt to the phone. 202 says that the payment is written down "
    "and that the prompt is on its way, or may be: the outcome comes with the status. A request "
    "that is refused sends no prompt.\n\nWith an `Idempotency-Key`, the same request may be "
    "repeated for 48 hours: it answers with the payment as it then stands, and sends nothing.",
    "security": [SECRET, PUBLISHABLE],
    "parameters": [IDEMPOTENCY_KEY],
    "requestBody": {
        "required": True,
        "content": {JSON: {"schema": ref("PushRequest"), "example": PUSH_EXAMPLE}},
    },
    "responses": answers(
        202,
        "The payment, as it stands.",
        "Payment",
        PAYMENT_EXAMPLE,
        *BAD_BODY,
        *BAD_KEY,
        "invalid_phone",
        "invalid_amount",
        "invalid_environment",
        "ambiguous_shortcode",
        "amount_not_open",
        "unknown_shortcode",
        "prompt_open",
        "order_already_paid",
        "daraja_refused",
        "too_many",
        "daraja_busy",
        "not_adopted",
    ),
}

STATUS: Final[dict[str, Any]] = {
    "operationId": "status",
    "tags": ["payments"],
    "summary": "Read a payment's status",
    "description": "Takes our `checkout_id` with any key or with the payment's ticket, and "
    "Daraja's CheckoutRequestID with a secret key. An id that is unknown, or another merchant's, "
    "answers `Pending`, so that ids cannot be probed.\n\nWith `wait`, a `Pending` is answered only "
    "when something has happened, or when the seconds are over: one request instead of many. A "
    "host project that includes the addresses in its own server answers at once.",
    "security": [SECRET, PUBLISHABLE, TICKET],
    "parameters": [
        in_path("checkout_id", "`checkout_id` or CheckoutRequestID", CHECKOUT_ID),
        in_query("wait", "Seconds to wait for news, 60 at most.", type="string", example="25"),
    ],
    "responses": answers(200, "The status.", "PaymentStatus", STATUS_EXAMPLE),
}

PAGE_LIMIT: Final = in_query("limit", "Entries on a page.", type="integer") | {
    "schema": {"type": "integer", "minimum": 1, "maximum": MOST, "default": LIMIT}
}

LIST: Final[dict[str, Any]] = {
    "operationId": "listPayments",
    "tags": ["payments"],
    "summary": "List payments",
    "description": "Newest first. Follow `has_more` with `starting_after`.",
    "security": [SECRET],
    "parameters": [
        PAGE_LIMIT,
        in_query(
            "starting_after",
            "The id of the last payment of the page before.",
            type="string",
            pattern="^pay_[0-9a-f]{32}$",
        ),
        in_query(
            "status",
            "Only these.",
            type="string",
            enum=["Pending", "Success", "Failed", "Reversed", "Voided"],
        ),
        in_query("phone_number", "The payer.", type="string", pattern="^254[17][0-9]{8}$"),
        in_query("shortcode", "Paybill or till.", type="string", pattern="^[0-9]{5,7}$"),
        in_query("receipt_number", "M-Pesa's code.", type="string", pattern="^[A-Za-z0-9]{1,32}$"),
        in_query("order_id", "Your order.", type="string", pattern="^[!-~]{1,64}$"),
        in_query(
            "account_reference",
            "The account number that the payer read.",
            type="string",
            pattern="^[A-Za-z0-9./_-][A-Za-z0-9 ./_-]{0,11}$",
        ),
        in_query(
            "service_type",
            "What was paid for.",
            type="string",
            pattern="^[a-z][a-z0-9_]{0,31}$",
        ),
        in_query(
            "created_after", "From this time on, included.", type="string", format="date-time"
        ),
        in_query("created_before", "Until this time, excluded.", type="string", format="date-time"),
    ],
    "responses": answers(
        200,
        "One page.",
        "PaymentList",
        {"object": "list", "data": [PAYMENT_EXAMPLE], "has_more": False},
        "invalid_filter",
        "secret_key_required",
    ),
}

ONE: Final[dict[str, Any]] = {
    "operationId": "getPayment",
    "tags": ["payments"],
    "summary": "Read a payment",
    "description": "Another merchant's payment is as absent as one that never was.",
    "security": [SECRET],
    "parameters": [in_path("payment_id", "The payment's `id`", PAYMENT_ID)],
    "responses": answers(
        200, "The payment.", "Payment", PAYMENT_EXAMPLE, "not_found", "secret_key_required"
    ),
}

_TIMELINE: Final = answers(
    200,
    "The timeline, or a stream of it.",
    "EventList",
    {"object": "list", "data": [EVENT_EXAMPLE], "has_more": False},
    "not_found",
    "secret_key_required",
    "too_many_streams",
)
_TIMELINE["200"]["content"]["text/event-stream"] = {
    "schema": ref("Event"),
    "example": EVENT_EXAMPLE,
}
_TIMELINE["204"] = {"description": "A stream that is resumed after its end: nothing will come."}

EVENTS: Final[dict[str, Any]] = {
    "operationId": "listEvents",
    "tags": ["payments"],
    "summary": "Read or follow a payment's timeline",
    "description": "Everything that happened to the payment, oldest first. With `Accept: "
    "text/event-stream` it goes on: each event as it happens, numbered by its `seq`, so that a "
    "stream resumes after `Last-Event-ID`; `event: end` says that nothing more is waited for. "
    "Streams need Milango's own server; elsewhere the answer is the list.",
    "security": [SECRET, TICKET],
    "parameters": [
        in_path("payment_id", "The payment's `id`", PAYMENT_ID),
        in_query("last_event_id", "As the header `Last-Event-ID`.", type="string", example="2"),
    ],
    "responses": _TIMELINE,
}
