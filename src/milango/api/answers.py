"""From any exception to a problem, and from an answer to Django's response."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path
from typing import Final

from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import Error as AnyDatabaseError
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework.exceptions import MethodNotAllowed

from milango.core.answers import Answer, cors_headers, problem_answer
from milango.core.errors import DarajaBusy, Declined, InvalidRequest, MilangoError
from milango.core.intake import origin_of
from milango.flows.callers import is_known_origin

logger = logging.getLogger(__name__)

SHOWN: Final = (InvalidRequest, Declined, DarajaBusy)
"""Our errors that are meant for the caller. Any other one is a matter of our own."""

FOREIGN: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (MethodNotAllowed, "method_not_allowed", "This address does not take this method."),
    (Http404, "not_found", "There is nothing at this address."),
    (RequestDataTooBig, "body_too_large", "The body is too large."),
    (SuspiciousOperation, "invalid_request", "The request cannot be understood."),
    (UnreadablePostError, "invalid_request", "The body did not arrive whole."),
)
"""What Django and REST framework raise, in our words."""

TRAIL: Final = 8
"""Calls that the log names for an unexpected error, the innermost first."""

DATABASE_DOWN: Final = (
    "The database cannot be reached now. If this was a request for a prompt, "
    "repeat it with the same Idempotency-Key: at most one prompt is sent."
)
BROKEN: Final = (
    "Something broke on our side. If this was a request for a prompt, repeat it with the "
    "same Idempotency-Key, or look for the payment first: a prompt may have been sent."
)


def answer_of(error: Exception) -> Answer:
    """The problem that tells the caller about an exception."""
    return problem_answer(_our_error(error))


def _our_error(error: Exception) -> MilangoError:
    if isinstance(error, SHOWN):
        return error
    for kind, code, message in FOREIGN:
        if isinstance(error, kind):
            return Declined(code, message)
    _log(error)
    if isinstance(error, OperationalError | InterfaceError):
        return Declined("database_unavailable", DATABASE_DOWN, retry_after=5)
    return Declined("internal_error", BROKEN)


def _log(error: Exception) -> None:
    # An exception's text may hold a phone number or a secret; where it was raised does not.
    frames = traceback.extract_tb(error.__traceback__)[-TRAIL:]
    trail = " < ".join(
        f"{Path(frame.filename).stem}.{frame.name}:{frame.lineno}" for frame in reversed(frames)
    )
    logger.error("unexpected %s in %s", type(error).__name__, trail)


def response_of(answer: Answer) -> HttpResponse:
    """Django's response for an answer."""
    return HttpResponse(
        answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=answer.headers,
    )


def origin_in(request: HttpRequest) -> str | None:
    """The web origin that a browser names."""
    return origin_of(request.headers.get("Origin"))


def is_listed(origin: str | None) -> bool:
    """Whether a page of this origin may read answers, errors included."""
    try:
        return origin is not None and is_known_origin(origin)
    except AnyDatabaseError:
        return False


def open_to_origin(response: HttpResponse, request: HttpRequest) -> HttpResponse:
    """Add the CORS headers."""
    origin = origin_in(request)
    for name, value in cors_headers(origin, known=is_listed(origin)).items():
        response[name] = value
    return response
