"""Every answer that is an error is problem+json, and its page explains it."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from django.db import InterfaceError, OperationalError

from milango.core.errors import ImpossibleTransition, InvalidRequest, SecretUnreadable
from milango.core.explanations import EXPLANATIONS
from milango.core.problems import PROBLEMS, problem_of
from milango.models import InboundCallback, MpesaCredential, Payment
from tests.people import PAYER

from .conftest import Api, problem
from .test_callback import Prompted

DOCS = Path(__file__).parents[2] / "docs"


OF_A_CLASS = re.compile(r'^    code = "(\w+)"$', re.MULTILINE)
BASES = {"error", "declined"}
"""Codes of exceptions that are raised with a code of their own only."""
RAISED = re.compile(r'\b(?:Declined\(|InvalidRequest\((?:[^()]|\([^()]*\))*?code=)\s*"(\w+)"')


def codes_in_the_source() -> set[str]:
    """Every code that an exception of ours can bear, by its class or where it is raised."""
    found: set[str] = set()
    for file in (DOCS.parent / "src" / "milango").rglob("*.py"):
        text = file.read_text("utf-8")
        found |= {*RAISED.findall(text), *OF_A_CLASS.findall(text)}
    return found - BASES


def test_every_code_has_its_place_on_the_page():
    page = (DOCS / "errors.md").read_text("utf-8")
    described = re.findall(r"^### (\w+)$", page, re.MULTILINE)
    assert described == list(dict.fromkeys(described))
    assert set(described) == set(PROBLEMS) | codes_in_the_source()
    for text in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
        for part in ("**What happened:**", "**The money:**", "**Next:**"):
            assert part in text, text.partition("\n")[0]


def test_the_page_the_documentation_and_the_code_tell_the_same(client):
    page = " ".join((DOCS / "errors.md").read_text("utf-8").split()).lower()
    shown = client.get("/api/v1/docs").content.decode()
    for code, about in EXPLANATIONS.items():
        for told in (about.happened, about.money, about.next):
            assert told.lower() in page, code
        assert f'id="{code}"' in shown
    assert set(EXPLANATIONS) == set(PROBLEMS)


@pytest.mark.parametrize("path", ["nope", "payments/a/b/c", "stk-push/", "payments/status/", ""])
def test_an_unknown_address_is_a_problem(path: str, stranger: Api):
    problem(stranger.get(path), 404, "not_found")


def test_what_is_not_the_callers_business_shows_no_text():
    for error in (SecretUnreadable("key 07"), ImpossibleTransition("payment pay_1")):
        found = problem_of(error)
        assert found.status == 500
        assert b"07" not in found.body
        assert b"pay_1" not in found.body


def test_an_unlisted_code_of_a_bad_request_reads_as_one():
    assert problem_of(InvalidRequest("no", code="brand_new")).status == 400


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make every database statement fail with the given error."""

    def break_with(error: Exception) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", fail)

    return break_with


DOWN = [OperationalError("connection refused"), InterfaceError("connection already closed")]


@pytest.mark.django_db
@pytest.mark.parametrize("error", DOWN, ids=repr)
def test_without_a_database_everything_is_503(
    error: Exception, api: Api, page: Api, wish: dict[str, Any], broken: Any
):
    broken(error)
    answers = [api.push(wish), page.push(wish), api.get("payments"), api.status("x")]
    for answer in answers:
        problem(answer, 503, "database_unavailable")
        assert answer.headers["Retry-After"] == "5"


@pytest.mark.django_db
@pytest.mark.parametrize("error", DOWN, ids=repr)
def test_a_callback_that_cannot_be_stored_is_503(
    error: Exception, credential: MpesaCredential, broken: Any, monkeypatch: pytest.MonkeyPatch
):
    prompted = Prompted(credential)
    with monkeypatch.context():
        broken(error)
        answer = prompted.post(b"{}")
    problem(answer, 503, "database_unavailable")
    monkeypatch.undo()
    assert not InboundCallback.objects.exists()


@pytest.mark.django_db
def test_a_bug_of_ours_is_500_without_details(
    api: Api,
    wish: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"Key (phone)=({PAYER}) passkey-of-600100")

    monkeypatch.setattr("milango.api.views.charge", fail)
    with caplog.at_level(logging.DEBUG):
        answer = api.push(wish)
    problem(answer, 500, "internal_error")
    for secret in (PAYER, "passkey", "RuntimeError", "fail"):
        assert secret not in answer.content.decode()
    assert "unexpected RuntimeError in test_problems.fail:" in caplog.text
    assert PAYER not in caplog.text
    assert "passkey-of" not in caplog.text
    assert not Payment.objects.exists()
