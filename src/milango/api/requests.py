"""What a view needs of Django's request."""

from __future__ import annotations

from django.http import HttpRequest

from milango.conf import conf
from milango.core.intake import check_length, too_large
from milango.core.peers import peer_of


def read_body(request: HttpRequest, limit: int) -> bytes:
    """The body, of which never more than `limit` bytes are held in memory.

    Raises Declined `body_too_large`, by what the request announces or by what arrives.
    """
    check_length(request.headers.get("Content-Length"), limit)
    body: bytes = request.read(limit + 1)
    if len(body) > limit:
        raise too_large(limit)
    return body


def peer_in(request: HttpRequest) -> str:
    """The address that the request comes from (A13)."""
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")  # servers join repeated lines
    lines = [forwarded] if forwarded else []
    return peer_of(request.META.get("REMOTE_ADDR") or "", lines, conf().trusted_proxies)
