"""From any exception to a problem, and from an answer to Django's response."""

from __future__ import annotations

from typing import Final

from django.core.exceptions import DisallowedHost, RequestDataTooBig, SuspiciousOperation
from django.db import Error as AnyDatabaseError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from rest_framework.exceptions import MethodNotAllowed

from milango.core.answers import Answer, cors_headers, problem_answer
from milango.core.errors import Declined, MilangoError
from milango.flows.callers import is_known_origin
from milango.flows.problems import our_error

from .requests import origin_in

FOREIGN: Final[tuple[tuple[type[Exception], str, str], ...]] = (
    (MethodNotAllowed, "method_not_allowed", "This address does not take this method."),
    (Http404, "not_found", "There is nothing at this address."),
    (RequestDataTooBig, "body_too_large", "The body is too large."),
    (
        DisallowedHost,
        "invalid_request",
        "The Host header is no name of this installation. Use the address that it was set up with.",
    ),
    (SuspiciousOperation, "invalid_request", "The request cannot be understood."),
    (UnreadablePostError, "invalid_request", "The body did not arrive whole."),
)
"""What Django and REST framework raise, in our words."""


def answer_of(error: Exception) -> Answer:
    """The problem that tells the caller about an exception."""
    return problem_answer(_our_error(error))


def _our_error(error: Exception) -> MilangoError:
    for kind, code, message in FOREIGN:
        if isinstance(error, kind):
            return Declined(code, message)
    return our_error(error)


def response_of(answer: Answer) -> HttpResponse:
    """Django's response for an answer."""
    return HttpResponse(
        answer.body,
        status=answer.status,
        content_type=answer.content_type,
        headers=answer.headers,
    )


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
