"""What a view needs of Django's request."""

from __future__ import annotations

from django.http import HttpRequest

from milango.conf import conf
from milango.core import inputs
from milango.core.intake import check_content_type, check_length, origin_of, too_large
from milango.core.peers import peer_of
from milango.flows import callers


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body, of which never more than `limit` bytes are held in memory.

    Raises Declined `body_too_large`, by what the request announces or by what arrives.
    """
    check_length(request.headers.get("Content-Length"), limit)
    body: bytes = request.read(limit + 1)
    if len(body) > limit:
        raise too_large(limit)
    return body


def json_in(request: HttpRequest) -> bytes:
    """The body of a request that says it is JSON. Raises Declined."""
    check_content_type(request.headers.get("Content-Type"))
    return read_body(request, inputs.BODY_LIMIT)


def json_or_nothing_in(request: HttpRequest) -> bytes:
    """The same, where a request without a body asks for what is usual."""
    body = read_body(request, inputs.BODY_LIMIT)
    if body:
        check_content_type(request.headers.get("Content-Type"))
    return body or b"{}"


def origin_in(request: HttpRequest) -> str | None:
    """The web origin that a browser names."""
    return origin_of(request.headers.get("Origin"))


def caller_in(request: HttpRequest) -> callers.Caller:
    """Who asks, by API key. Raises Declined as `callers.authenticate`."""
    return callers.authenticate(request.headers.get("Authorization"), origin_in(request))


def key_in(request: HttpRequest) -> str:
    """The `Idempotency-Key`; empty: none. Raises InvalidRequest."""
    return inputs.idempotency_key(request.headers.get("Idempotency-Key"))


def query_in(request: HttpRequest) -> list[tuple[str, str]]:
    """The query parameters as they were given, also those that were given twice."""
    return [(name, value) for name, values in request.GET.lists() for value in values]


def peer_in(request: HttpRequest) -> str:
    """The address that the request comes from."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")  # servers join repeated lines
    lines = [forwarded] if forwarded else []
    return peer_of(request.META.get("REMOTE_ADDR") or "", lines, conf().trusted_proxies)
