"""Every refusal of the API, by its stable code: HTTP status and title. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .errors import Declined, InvalidRequest, MilangoError
from .inputs import InvalidFields

DOCS: Final = "/api/v1/docs#"
"""Where each code is explained, below this installation's own address."""

CONTENT_TYPE: Final = "application/problem+json"

PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    # The request itself
    "invalid_request": (400, "The request cannot be understood"),
    "invalid_json": (400, "The body is not JSON"),
    "duplicate_key": (400, "A field is given twice"),
    "too_deep": (400, "The JSON is nested too deeply"),
    "missing_field": (400, "A field is missing"),
    "unknown_field": (400, "There is no such field"),
    "invalid_phone": (400, "Not a Kenyan mobile number"),
    "invalid_amount": (400, "Not an amount that can be asked for"),
    "invalid_idempotency_key": (400, "Not a usable Idempotency-Key"),
    "invalid_environment": (400, "Not an environment"),
    "invalid_url": (400, "Not an address that events are sent to"),
    "invalid_event_type": (400, "There is no such event"),
    "invalid_filter": (400, "Not a usable filter"),
    "ambiguous_shortcode": (400, "The short code has several environments"),
    "body_too_large": (413, "The body is too large"),
    "body_too_slow": (408, "The body did not arrive in time"),
    "wrong_content_type": (415, "The body must be application/json"),
    "method_not_allowed": (405, "Not with this method"),
    # Who asks
    "unauthenticated": (401, "No valid API key"),
    "wrong_scope": (403, "The key may not do this"),
    "secret_key_required": (403, "A secret key is required"),
    "secret_key_in_browser": (403, "A secret key was used in a browser"),
    "origin_not_allowed": (403, "The page's origin is not listed"),
    "amount_not_open": (403, "The page may not choose the amount"),
    # What is asked for
    "not_found": (404, "There is no such thing"),
    "unknown_shortcode": (404, "No credential for this short code"),
    "prompt_open": (409, "A prompt is already open on this phone"),
    "idempotency_conflict": (409, "The Idempotency-Key was used for another request"),
    "order_already_paid": (409, "The order is already paid"),
    "endpoint_disabled": (409, "The webhook endpoint is disabled"),
    "too_many_endpoints": (409, "There are too many webhook endpoints"),
    "daraja_refused": (422, "Daraja refused the request"),
    "too_many": (429, "Too many requests"),
    # Not now
    "too_many_streams": (503, "Too many streams are open"),
    "daraja_busy": (503, "Daraja cannot take the request now"),
    "not_adopted": (503, "The database belongs to another installation"),
    "database_unavailable": (503, "The database cannot be reached"),
    "internal_error": (500, "Something broke"),
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A refusal as RFC 9457 writes it, and how to send it."""

    status: int
    body: bytes
    retry_after: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """`Retry-After` and, for 401, how to authenticate."""
        headers = {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}
        return headers | ({"WWW-Authenticate": "Bearer"} if self.status == 401 else {})


def problem_of(error: MilangoError) -> Problem:
    """The problem document for an error of ours; one that is not the caller's business shows
    as `internal_error`, without its text."""
    if error.code not in PROBLEMS and not isinstance(error, InvalidRequest):
        return problem_of(Declined("internal_error", "Something broke on our side."))
    code = error.code if error.code in PROBLEMS else "invalid_request"
    status, title = PROBLEMS[code]
    document: dict[str, Any] = {
        "type": f"{DOCS}{code}",
        "title": title,
        "status": status,
        "code": code,
        "detail": _text(str(error)),
    }
    document |= _more(error)
    retry_after = getattr(error, "retry_after", None)
    if retry_after is not None:
        document["retry_after"] = retry_after
    return Problem(status=status, body=msgspec.json.encode(document), retry_after=retry_after)


def _more(error: MilangoError) -> dict[str, Any]:
    field = getattr(error, "field", "")
    more: dict[str, Any] = {"field": _text(field)} if field else {}
    if isinstance(error, InvalidFields):
        more["errors"] = [_one(each) for each in error.errors]
    if isinstance(error, Declined):
        more |= error.extra
    return more


def _one(error: InvalidRequest) -> dict[str, str]:
    return {"field": _text(error.field), "code": error.code, "detail": _text(str(error))}


def _text(text: str) -> str:
    """A field's name is echoed as it came, and may hold lone surrogates, which UTF-8 cannot."""
    return text.encode("utf-8", "replace").decode()
