"""Pages in browsers: origins, CORS, the amount they may choose, and how often."""

from __future__ import annotations

from typing import Any

import pytest

from milango.models import AuditEntry, Counter, Merchant, MerchantOrigin, Payment
from tests.people import OTHER_PAYER, PAYER, make_credential, make_key, make_merchant
from tests.whole.conftest import Daraja

from .conftest import ORIGIN, PUSH, Api, nothing_happened, problem

pytestmark = pytest.mark.django_db(transaction=True)

EVIL = "https://evil.example"


def allows(answer: Any) -> str | None:
    assert answer.headers["Vary"] == "Origin"
    return answer.headers.get("Access-Control-Allow-Origin")


def test_a_page_can_push_and_poll(page: Api, wish: dict[str, Any], daraja: Daraja):
    answer = page.push(wish)
    assert answer.status_code == 202
    assert allows(answer) == ORIGIN
    assert answer.headers["Access-Control-Expose-Headers"] == "Retry-After"
    status = page.status(answer.json()["checkout_id"])
    assert status.json()["status"] == "Pending"
    assert allows(status) == ORIGIN


def test_a_page_can_poll_by_ticket(page: Api, wish: dict[str, Any], daraja: Daraja):
    link = page.push(wish).json()["status_url"].removeprefix("https://pay.example.test")
    answer = Api(origin=ORIGIN).client.get(link, headers={"Origin": ORIGIN})
    assert answer.status_code == 200
    assert allows(answer) == ORIGIN


@pytest.mark.parametrize(
    "origin", [EVIL, "null", ORIGIN + "/", ORIGIN.upper(), "http://duka.example"]
)
def test_another_origin_sends_no_prompt(
    origin: str, page: Api, wish: dict[str, Any], daraja: Daraja
):
    page.headers["Origin"] = origin
    answer = page.push(wish)
    problem(answer, 403, "origin_not_allowed")
    assert allows(answer) is None
    nothing_happened(daraja)


def test_another_merchants_origin_is_another_origin(
    page: Api, other_merchant: Merchant, wish: dict[str, Any], daraja: Daraja
):
    MerchantOrigin.objects.create(merchant=other_merchant, origin=EVIL)
    page.headers["Origin"] = EVIL
    problem(page.push(wish), 403, "origin_not_allowed")
    nothing_happened(daraja)


def test_a_secret_key_in_a_page_is_refused_and_reported(
    api: Api, wish: dict[str, Any], daraja: Daraja
):
    api.headers["Origin"] = ORIGIN
    problem(api.push(wish), 403, "secret_key_in_browser")
    assert AuditEntry.objects.filter(action="key.seen_in_browser").count() == 1
    nothing_happened(daraja)


def test_a_page_may_not_choose_the_amount_unless_its_key_says_so(
    merchant: Merchant, wish: dict[str, Any], daraja: Daraja
):
    shut = Api(make_key(merchant, "publishable")[1], ORIGIN)
    problem(shut.push(wish), 403, "amount_not_open", "amount")
    nothing_happened(daraja)


def test_errors_can_be_read_by_listed_pages(merchant: Merchant):
    page = Api("pk_unknown", ORIGIN)
    answers = [page.push(b"{}"), page.push(b"x" * 20_000), page.get("payments"), page.status("x")]
    answers.append(page.client.put(PUSH, headers=page.headers))
    assert [answer.status_code for answer in answers] == [401, 413, 401, 401, 405]
    assert {allows(answer) for answer in answers} == {ORIGIN}
    assert allows(Api("pk_unknown", EVIL).push(b"{}")) is None


def preflight(path: str, origin: str) -> Any:
    wanted = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    return Api().client.options(path, headers=wanted)


def test_a_preflight_from_a_listed_origin(merchant: Merchant):
    answer = preflight(PUSH, ORIGIN)
    assert (answer.status_code, answer.content) == (204, b"")
    assert allows(answer) == ORIGIN
    assert answer.headers["Access-Control-Allow-Methods"] == "POST"
    allowed = answer.headers["Access-Control-Allow-Headers"]
    assert allowed == "Authorization, Content-Type, Idempotency-Key"
    status = preflight("/api/v1/payments/status/co_1", ORIGIN)
    assert status.headers["Access-Control-Allow-Methods"] == "GET"


def test_a_preflight_from_elsewhere_learns_nothing(merchant: Merchant):
    answer = preflight(PUSH, EVIL)
    assert answer.status_code == 204
    assert allows(answer) is None
    assert "Access-Control-Allow-Methods" not in answer.headers


def test_nobody_may_send_cookies(merchant: Merchant):
    assert "Access-Control-Allow-Credentials" not in preflight(PUSH, ORIGIN).headers


# --- limits ----------------------------------------------------------------------------------


@pytest.fixture
def pages(daraja: Daraja) -> list[tuple[Api, dict[str, Any]]]:
    """Six merchants' pages, each with a request for a prompt on the same phone."""
    daraja.settings(one_prompt_per_phone=False)
    found = []
    for number in range(6):
        merchant = make_merchant(f"Duka {number}")
        code = make_credential(merchant).short_code
        key = make_key(merchant, "publishable", open_amount=True)[1]
        found.append((Api(key), {"phone_number": PAYER, "amount": 50, "shortcode": code}))
    return found


def test_one_phone_over_all_merchants_gets_exactly_the_limit(
    pages: list[tuple[Api, dict[str, Any]]], settings: Any, daraja: Daraja
):
    settings.MILANGO = settings.MILANGO | {"PHONE_LIMIT": (4, 3600)}
    answers = [page.push(wish) for page, wish in pages]
    assert [answer.status_code for answer in answers] == [202] * 4 + [429] * 2
    problem(answers[4], 429, "too_many")
    assert 0 < int(answers[4].headers["Retry-After"]) <= 3600
    assert len(daraja.ledger()) == Payment.objects.count() == 4
    page, wish = pages[5]
    assert page.push(wish | {"phone_number": OTHER_PAYER}).status_code == 202


def test_a_server_is_not_throttled_with_pages(
    pages: list[tuple[Api, dict[str, Any]]], api: Api, wish: dict[str, Any], settings: Any
):
    settings.MILANGO = settings.MILANGO | {"PHONE_LIMIT": (1, 3600)}
    assert [page.push(body).status_code for page, body in pages[:2]] == [202, 429]
    assert api.push(wish).status_code == 202


def test_one_address_gets_exactly_the_limit(
    pages: list[tuple[Api, dict[str, Any]]], settings: Any, daraja: Daraja
):
    settings.MILANGO = settings.MILANGO | {
        "ADDRESS_LIMIT": (3, 3600),
        "TRUSTED_PROXIES": ["127.0.0.0/8"],
    }
    here = [page.push(wish, X_Forwarded_For="102.0.0.7") for page, wish in pages[:4]]
    assert [answer.status_code for answer in here] == [202] * 3 + [429]
    page, wish = pages[4]
    assert page.push(wish, X_Forwarded_For="102.0.0.8").status_code == 202


def test_an_address_cannot_be_made_up(pages: list[tuple[Api, dict[str, Any]]], settings: Any):
    settings.MILANGO = settings.MILANGO | {"ADDRESS_LIMIT": (2, 3600)}
    answers = [
        page.push(wish, X_Forwarded_For=f"102.0.0.{number}")
        for number, (page, wish) in enumerate(pages[:3])
    ]
    assert [answer.status_code for answer in answers] == [202, 202, 429]


def test_a_refused_request_does_not_count(page: Api, wish: dict[str, Any], daraja: Daraja):
    page.push(wish)
    counts = list(Counter.objects.values_list("scope", "count"))
    for _ in range(3):
        assert page.push(wish).status_code == 409
        assert page.push(wish | {"amount": 0}).status_code == 400
    assert list(Counter.objects.values_list("scope", "count")) == counts


def test_counters_hold_no_phone_number(page: Api, wish: dict[str, Any], daraja: Daraja):
    page.push(wish)
    assert PAYER[3:] not in str(list(Counter.objects.values()))
