"""Tokens, tickets and CheckoutRequestIDs stay out of logs."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from milango.api.redaction import LOGGERS
from milango.core.redaction import redact
from milango.models import MpesaCredential
from tests.flows.conftest import make_payment
from tests.people import PAYER

from .conftest import Api
from .test_callback import CHECKOUT, Prompted
from .test_status import ticket_for

NUMBER = PAYER[3:]


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Everything that any logger says, as a handler on the root writes it."""
    said = io.StringIO()
    handler = logging.StreamHandler(said)
    handler.setLevel(logging.DEBUG)
    handler.setFormatter(
        logging.Formatter("%(name)s %(message)s %(request)s", defaults={"request": ""})
    )
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield said
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.django_db
def test_no_answer_of_ours_logs_an_id(
    api: Api, stranger: Api, credential: MpesaCredential, logs: io.StringIO, settings: Any
):
    prompted = Prompted(credential)
    ticket = ticket_for(prompted.payment)
    token = prompted.token
    prompted.post(b"x" * 70_000)
    for path in (token, token[:-1], token + "/more", token + "/"):
        stranger.client.get(f"/callbacks/stk/{path}")
        stranger.client.post(f"/callbacks/stk/{path}", b"{}", content_type="application/json")
    stranger.status(CHECKOUT)
    stranger.status(CHECKOUT + "/more")
    stranger.status("x", ticket=ticket + "0")
    stranger.get("payments", phone_number=PAYER)
    settings.ALLOWED_HOSTS = ["pay.example.test"]
    stranger.client.post(f"/callbacks/stk/{token}", headers={"Host": "evil.example"})
    said = logs.getvalue()
    assert "Not Found: /callbacks/stk/<token>" in said
    assert "Unauthorized: /api/v1/payments/status/<checkout_id>" in said
    assert "evil.example" in said
    for secret in (token[:-1], ticket, CHECKOUT, NUMBER):
        assert secret not in said


ACCESS = '127.0.0.1:50000 - "%s %s HTTP/%s" %d'


@pytest.mark.parametrize("name", LOGGERS)
def test_access_logs_of_usual_servers_are_covered(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    logger, said = logging.getLogger(name), io.StringIO()
    monkeypatch.setattr(logger, "handlers", [logging.StreamHandler(said)])
    monkeypatch.setattr(logger, "propagate", False)
    caplog.set_level(logging.INFO, logger=name)
    path = f"/callbacks/stk/{'0a' * 49}"
    logger.info(ACCESS, "POST", path, "1.1", 200)
    logger.info("%(m)s %(U)s", {"m": "GET", "U": f"/api/v1/payments/status/{CHECKOUT}"})
    logger.info(f"GET {path} HTTP/1.1")
    assert said.getvalue().splitlines() == [
        '127.0.0.1:50000 - "POST /callbacks/stk/<token> HTTP/1.1" 200',
        "GET /api/v1/payments/status/<checkout_id>",
        "GET /callbacks/stk/<token> HTTP/1.1",
    ]


@pytest.mark.parametrize(
    "text",
    ["/shop/orders?page=2", "Not Found: /favicon.ico", "/callbacks/other/abc", "/api/v2/x?y=z"],
)
def test_other_peoples_paths_stay_as_they_are(text: str):
    assert redact(text) == text


def test_an_open_query_is_closed():
    assert redact("GET /api/v1/payments?receipt_number=UCE5K7Q2XD") == "GET /api/v1/payments?…"


@pytest.mark.django_db
def test_a_payment_shows_no_number(credential: MpesaCredential):
    payment = make_payment(credential, checkout_request_id=CHECKOUT)
    assert NUMBER not in repr(payment)
