"""Both doors give the same answer, byte for byte: status, body, and the headers that we set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client

from milango.models import MpesaCredential
from tests.doors import FrontClient

from .conftest import ORIGIN, PUSH, Api
from .test_callback import Prompted, paid
from .test_status import ticket_for

pytestmark = pytest.mark.django_db

OURS = (
    "content-type cache-control retry-after www-authenticate vary allow "
    "access-control-allow-origin access-control-expose-headers x-request-id"
).split()


def answers(monkeypatch: pytest.MonkeyPatch, method: str, path: str, **options: Any) -> list[Any]:
    """What Django's door and the hot door say to the same request."""
    found = []
    for door in (Client, FrontClient):
        with monkeypatch.context() as patch:
            if door is FrontClient:
                patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
            client = door(raise_request_exception=False)
            answer = client.generic(method, path, **options)
        headers = {name: answer.headers.get(name) for name in OURS}
        found.append((answer.status_code, answer.content, headers))
    return found


def wishes(wish: dict[str, Any]) -> dict[str, bytes]:
    """Requests for a prompt that are refused, each for another reason."""
    changed: dict[str, dict[str, Any]] = {
        "landline": {"phone_number": "0201234567"},
        "letters": {"phone_number": "abc"},
        "nothing": {"amount": 0},
        "cents": {"amount": 1.5},
        "too much": {"amount": 250_001},
        "true": {"amount": True},
        "unknown short code": {"shortcode": "999999"},
        "long reference": {"account_reference": "x" * 13},
        "emoji": {"account_reference": "🙂"},
        "unknown field": {"colour": "green"},
        "deep": {"metadata": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": 1}}}}}}}}},
    }
    found = {name: json.dumps(wish | change).encode() for name, change in changed.items()}
    return found | {
        "no json": b"{",
        "a list": b"[]",
        "empty": b"",
        "twice": b'{"amount": 1, "amount": 2}',
        "too large": b'{"metadata": "' + b"x" * 17_000 + b'"}',
    }


def test_every_refusal_of_a_push(
    monkeypatch: pytest.MonkeyPatch, api: Api, page: Api, wish: dict[str, Any]
) -> None:
    for name, body in wishes(wish).items():
        for caller in (api, page):
            options = {"content_type": "application/json", "headers": caller.headers}
            one, other = answers(monkeypatch, "POST", PUSH, data=body, **options)
            assert one == other, name
            assert one[0] >= 400, name


def test_every_refusal_of_a_caller(
    monkeypatch: pytest.MonkeyPatch, page: Api, wish: dict[str, Any]
) -> None:
    body = json.dumps(wish).encode()
    callers: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer sk_nobody"},
        {"Authorization": "Basic abc"},
        page.headers | {"Origin": "https://evil.example"},
        {"Origin": ORIGIN},
    ]
    for headers in callers:
        for kind in ("application/json", "text/plain"):
            one, other = answers(
                monkeypatch, "POST", PUSH, data=body, content_type=kind, headers=headers
            )
            assert one == other, (headers, kind)
            assert one[0] >= 400


def test_every_answer_of_a_status(
    monkeypatch: pytest.MonkeyPatch, api: Api, page: Api, credential: MpesaCredential
) -> None:
    payment = Prompted(credential).payment
    names = [payment.checkout_id, str(payment.checkout_request_id), "co_" + "0" * 32, "a b", "é"]
    queries = ["", f"?ticket={ticket_for(payment)}", "?ticket=forged"]
    for headers in ({}, api.headers, page.headers):
        for name in names:
            for query in queries:
                path = f"/api/v1/payments/status/{name}{query}"
                one, other = answers(monkeypatch, "GET", path, headers=headers)
                assert one == other, (headers, name, query)


def test_every_answer_to_a_callback(
    monkeypatch: pytest.MonkeyPatch, credential: MpesaCredential
) -> None:
    prompted = Prompted(credential)
    bodies = [paid(prompted.payment), b"not json", b"", b"x" * 65_537, b'{"Body": {}}']
    tokens = [prompted.token, prompted.token[:-1] + "0", "x", "0a" * 49]
    for token in tokens:
        for body in bodies:
            path = f"/callbacks/stk/{token}"
            one, other = answers(
                monkeypatch, "POST", path, data=body, content_type="application/json"
            )
            assert one == other, (token[:4], body[:10])
