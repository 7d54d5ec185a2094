"""No secret in a repr, log, traceback, page, answer or dump."""

from __future__ import annotations

import base64
import io
import logging
import pickle
import sys
import traceback
import urllib.error
import urllib.request
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.test import RequestFactory
from django.views.debug import technical_500_response

from milango.conf import conf
from milango.core.inputs import PushRequest
from milango.flows import callers, charge
from milango.flows.clients import client_for
from milango.models import AuditEntry, Merchant, OAuthToken, Payment, WebhookEndpoint
from tests.people import OTHER_PAYER, PAYER, make_key

from .hunter import disguises, leaks

pytestmark = pytest.mark.django_db(transaction=True)

PLANTED = {
    "consumer key": "canary+consumer/key-5f1d",
    "consumer secret": "canary+consumer/secret-81aa",
    "passkey": "canary+passkey/0be2c4",
    "webhook secret": "canary+webhook/secret-77d0",
}


@pytest.mark.parametrize("kind", sorted(disguises("a secret to be hunted")))
def test_the_hunter_finds_a_secret_in_every_disguise(kind: str) -> None:
    secret = PLANTED["passkey"]
    shift = int(kind[-1]) if kind.startswith("base64") else 0
    written = {
        "plain": secret,
        "hex": secret.encode().hex().upper(),
        "quoted": quote(secret, safe=""),
    }.get(kind) or base64.b64encode(b"1743790"[:shift] + secret.encode() + b"2026031410").decode()
    assert leaks(f"before {written} after", {"it": secret}) != []
    assert leaks("before and after", {"it": secret}) == []


def test_the_hunter_finds_the_passkey_in_an_stk_password() -> None:
    passkey = PLANTED["passkey"]
    for short_code in ("174379", "12345", "1234567"):
        password = base64.b64encode(f"{short_code}{passkey}20260314101530".encode()).decode()
        assert leaks(password, {"it": passkey})


@pytest.fixture
def planted(paybill, daraja) -> dict[str, str]:
    """Canaries in every secret of the merchant, and a key and a token of its own."""
    paybill.consumer_key = PLANTED["consumer key"]
    paybill.consumer_secret = PLANTED["consumer secret"]
    paybill.passkey = PLANTED["passkey"]
    paybill.save()
    daraja.call("POST", "reset")
    daraja.settings(duplicate_window_s=0)
    daraja.register(paybill)
    WebhookEndpoint.objects.create(
        merchant=paybill.merchant,
        url="https://shop.example/hook",
        secret=PLANTED["webhook secret"],
    )
    _, key = make_key(paybill.merchant)
    return PLANTED | {"API key": key}


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Any:
    """All that anybody logs, down to the last detail."""
    caplog.set_level(logging.DEBUG)
    return caplog


def push(call, key: str, credential, phone: str) -> tuple[int, dict[str, Any]]:
    body = {"phone_number": phone, "amount": 50, "shortcode": credential.short_code}
    return call("POST", "/api/v1/stk-push", body, key=key)


def test_answers_logs_dumps_and_reprs_hold_no_secret(
    call, daraja, paybill, planted, milango, logged
) -> None:
    key = planted["API key"]
    daraja.story(PAYER, "paid")
    said: list[Any] = [push(call, key, paybill, PAYER)]
    daraja.idle()
    (row,) = daraja.ledger()
    daraja.story(OTHER_PAYER, "no_product")
    said.append(push(call, key, paybill, OTHER_PAYER))
    secrets = planted | {
        "callback token": row["callback_url"].rpartition("/")[2],
        "OAuth token": OAuthToken.objects.get().token,
    }
    for path in (row["callback_url"], f"{milango}/callbacks/stk/{'0' * 98}"):
        for method in ("GET", "POST"):
            said.append(fetch(path, method))
    payment = Payment.objects.get(status="Success")
    for path in (
        "payments",
        f"payments/{payment.public_id}",
        f"payments/{payment.public_id}/events",
        f"payments/status/{payment.checkout_id}",
        "openapi.json",
    ):
        said.append(call("GET", f"/api/v1/{path}", key=key))
    dump = io.StringIO()
    call_command("dumpdata", "milango", stdout=dump)
    client = client_for(paybill)
    everything = {
        "answers": repr(said),
        "logs": logged.text + repr([vars(record) for record in logged.records]),
        "dump": dump.getvalue(),
        "reprs": repr([paybill, client, conf(), payment, OAuthToken.objects.get()]),
        "state": repr(vars(paybill)) + repr(WebhookEndpoint.objects.values().get()),
        "pickle": repr(pickle.dumps([paybill, OAuthToken.objects.get()])),
        "audit": repr(list(AuditEntry.objects.values())),
    }
    found = {where: leaks(text, secrets) for where, text in everything.items()}
    assert {where: what for where, what in found.items() if what} == {}
    for number in ("checkout request id", PAYER):
        if number != PAYER:
            number = payment.checkout_request_id or ""
        assert number not in logged.text, "the payer's number stays out of logs"


def fetch(url: str, method: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, b"{}" if method == "POST" else None, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("story", ["no_product", "forbidden", "busy"])
def test_a_failing_push_tells_no_secret_in_traceback_log_or_debug_page(
    daraja, paybill, planted, logged, monkeypatch, story
) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("something of ours broke")

    monkeypatch.setattr(charge, "abandon", broken)
    monkeypatch.setattr(charge, "conclude", broken)
    daraja.story(PAYER, story)
    shown = break_while_charging(paybill.merchant, paybill.short_code) | {"log": logged.text}
    token = {"OAuth token": OAuthToken.objects.get().token}
    found = {where: leaks(text, planted | token) for where, text in shown.items()}
    assert {where: what for where, what in found.items() if what} == {}


def break_while_charging(merchant: Merchant, short_code: str) -> dict[str, str]:
    """What Django's debug page and a traceback show. No canary stands in this frame."""
    asked = PushRequest(phone_number=PAYER, amount=Decimal(50), shortcode=short_code)
    try:
        charge.charge(callers.owner_of(merchant), asked)
    except Exception:
        logging.getLogger("milango").exception("as a host project would log it")
        page = technical_500_response(RequestFactory().get("/"), *sys.exc_info())
        return {"page": page.content.decode(), "traceback": traceback.format_exc()}
    raise AssertionError("it was to break")
