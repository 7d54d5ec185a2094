"""What the operator's own programs ask: /readyz and /metrics.

Details are for this machine, or for who sends MILANGO["METRICS_TOKEN"] as a bearer token.
"""

from __future__ import annotations

from hmac import compare_digest
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import msgspec
from django.http import HttpRequest

from milango.conf import conf
from milango.core.answers import NO_STORE, Answer
from milango.core.errors import Declined
from milango.flows import readiness
from milango.flows.gauges import Gauges
from milango.seen import metrics as numbers

from .door import plain_door

FORWARDED: Final = (
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Real-IP",
)
"""Set by proxies: what they pass on comes from somewhere else, whatever the socket says."""


@plain_door("GET", "HEAD")
def readyz(request: HttpRequest) -> Answer:
    """GET /readyz: 200 when everything works, 503 otherwise; what is wrong, for the operator."""
    found = readiness.look()
    ready = set(found.values()) == {readiness.OK}
    document: dict[str, object] = {"status": "ready" if ready else "not_ready"}
    if may_look(request):
        document["checks"] = found
    body = msgspec.json.encode(document)
    return Answer(status=200 if ready else 503, body=body, headers=NO_STORE)


@plain_door("GET", "HEAD")
def metrics(request: HttpRequest) -> Answer:
    """GET /metrics: numbers in the form that Prometheus reads."""
    if not may_look(request):
        message = (
            "Metrics are for this machine, and for who sends MILANGO['METRICS_TOKEN'] as: "
            "Authorization: Bearer …"
        )
        raise Declined("unauthenticated", message)
    body = numbers.render(Gauges())
    return Answer(status=200, body=body, content_type=numbers.CONTENT_TYPE, headers=NO_STORE)


def may_look(request: HttpRequest) -> bool:
    """Whether the request is the operator's."""
    token = conf().metrics_token
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if token and scheme.lower() == "bearer" and given:
        return compare_digest(given.strip().encode(), token.encode())
    return _is_from_this_machine(request)


def _is_from_this_machine(request: HttpRequest) -> bool:
    """From loopback, to a name of loopback (so no page in a browser here), past no proxy."""
    if any(name in request.headers for name in FORWARDED):
        return False
    host = urlsplit(f"//{request.get_host()}").hostname or ""
    return _is_loopback(request.META.get("REMOTE_ADDR") or "") and (
        host == "localhost" or _is_loopback(host)
    )


def _is_loopback(text: str) -> bool:
    try:
        return ip_address(text).is_loopback
    except ValueError:
        return False
