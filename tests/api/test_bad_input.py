"""Bad input: a clear answer that names the field, nothing stored, no prompt sent."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.test import Client

from milango.models import Merchant, MpesaCredential
from tests.people import make_credential, make_key
from tests.whole.conftest import Daraja

from .conftest import Api, nothing_happened, problem, revoke

pytestmark = pytest.mark.django_db

FIELDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "landline": ({"phone_number": "0202345678"}, "invalid_phone", "phone_number"),
    "short phone": ({"phone_number": "07083741"}, "invalid_phone", "phone_number"),
    "long phone": ({"phone_number": "2547083741490"}, "invalid_phone", "phone_number"),
    "foreign phone": ({"phone_number": "+255712345678"}, "invalid_phone", "phone_number"),
    "letters in phone": ({"phone_number": "07O8374149"}, "invalid_phone", "phone_number"),
    "Arabic digits in phone": ({"phone_number": "٠٧٠٨٣٧٤١٤٩"}, "invalid_phone", "phone_number"),
    "empty phone": ({"phone_number": ""}, "invalid_phone", "phone_number"),
    "phone that is a list": ({"phone_number": ["0708374149"]}, "invalid_phone", "phone_number"),
    "phone with NUL": ({"phone_number": "0708374149\0"}, "invalid_phone", "phone_number"),
    "no phone": ({"phone_number": None}, "missing_field", "phone_number"),
    "amount 0": ({"amount": 0}, "invalid_amount", "amount"),
    "negative amount": ({"amount": -50}, "invalid_amount", "amount"),
    "cents": ({"amount": 1.5}, "invalid_amount", "amount"),
    "cents as text": ({"amount": "1.50"}, "invalid_amount", "amount"),
    "250,001": ({"amount": 250_001}, "invalid_amount", "amount"),
    "text amount": ({"amount": "fifty"}, "invalid_amount", "amount"),
    "amount with separator": ({"amount": "1,000"}, "invalid_amount", "amount"),
    "huge amount": ({"amount": 10**300}, "invalid_amount", "amount"),
    "huge exponent": ({"amount": "1e999999999"}, "invalid_amount", "amount"),
    "true": ({"amount": True}, "invalid_amount", "amount"),
    "false": ({"amount": False}, "invalid_amount", "amount"),
    "amount that is a list": ({"amount": [50]}, "invalid_amount", "amount"),
    "no amount": ({"amount": None}, "missing_field", "amount"),
    "unknown short code": ({"shortcode": "999999"}, "unknown_shortcode", "shortcode"),
    "short code of letters": ({"shortcode": "abcdef"}, "invalid_request", "shortcode"),
    "long short code": ({"shortcode": "12345678"}, "invalid_request", "shortcode"),
    "no short code": ({"shortcode": None}, "missing_field", "shortcode"),
    "long reference": ({"account_reference": "x" * 13}, "invalid_request", "account_reference"),
    "newline in reference": ({"account_reference": "a\nb"}, "invalid_request", "account_reference"),
    "NUL in reference": ({"account_reference": "a\0b"}, "invalid_request", "account_reference"),
    "emoji in reference": ({"account_reference": "a🙂"}, "invalid_request", "account_reference"),
    "right-to-left": ({"account_reference": "a\u202eb"}, "invalid_request", "account_reference"),
    "lone surrogate": ({"account_reference": "\ud800"}, "invalid_request", "account_reference"),
    "long description": ({"description": "x" * 14}, "invalid_request", "description"),
    "emoji in description": ({"description": "🙂"}, "invalid_request", "description"),
    "control character in order": ({"order_id": "a\x1b[31m"}, "invalid_request", "order_id"),
    "long order": ({"order_id": "x" * 65}, "invalid_request", "order_id"),
    "service type with a space": ({"service_type": "wi fi"}, "invalid_request", "service_type"),
    "metadata that is a list": ({"metadata": [1]}, "invalid_request", "metadata"),
    "big metadata": ({"metadata": {"a": "x" * 5000}}, "invalid_request", "metadata"),
    "surrogate in metadata": ({"metadata": {"a": "\ud800"}}, "invalid_request", "metadata"),
    "NUL in metadata": ({"metadata": {"a": "\0"}}, "invalid_request", "metadata"),
    "environment": ({"environment": "staging"}, "invalid_environment", "environment"),
    "misspelt field": ({"acount_reference": "x"}, "unknown_field", "acount_reference"),
    "field of surrogates": ({"\ud800": 1}, "unknown_field", "?"),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_bad_field_is_named(case: str, api: Api, wish: dict[str, Any], daraja: Daraja):
    change, code, field = FIELDS[case]
    status = 404 if code == "unknown_shortcode" else 400
    problem(api.push(wish | change), status, code, field)
    nothing_happened(daraja)


def test_all_bad_fields_are_named_at_once(api: Api, wish: dict[str, Any], daraja: Daraja):
    answer = api.push(wish | {"amount": 0, "phone_number": "1", "x": 1})
    found = {each["field"]: each["code"] for each in answer.json()["errors"]}
    assert found == {
        "x": "unknown_field",
        "phone_number": "invalid_phone",
        "amount": "invalid_amount",
    }
    nothing_happened(daraja)


BODIES: dict[str, tuple[bytes, int, str, str]] = {
    "a blank": (b" ", 400, "invalid_json", ""),
    "half": (b'{"phone_number": "07', 400, "invalid_json", ""),
    "form": (b"phone_number=0708374149&amount=50", 400, "invalid_json", ""),
    "NaN": (b'{"amount": NaN}', 400, "invalid_json", ""),
    "Latin-1": ('{"description": "café"}'.encode("latin-1"), 400, "invalid_json", ""),
    "UTF-16": ('{"amount": 50}'.encode("utf-16"), 400, "invalid_json", ""),
    "a list": (b"[]", 400, "invalid_json", ""),
    "null": (b"null", 400, "invalid_json", ""),
    "many digits": (b'{"amount": 1' + b"0" * 9000 + b"}", 400, "invalid_json", ""),
    "a key twice": (b'{"amount": 1, "amount": 50}', 400, "duplicate_key", "amount"),
    "a key twice inside": (
        b'{"metadata": {"a": 1, "a": 2}, "amount": 1}',
        400,
        "duplicate_key",
        "a",
    ),
    "surrogate key twice": (b'{"\\ud800": 1, "\\ud800": 2}', 400, "duplicate_key", "?"),
    "deep": (b'{"metadata": ' + b'{"a":' * 9 + b"1" + b"}" * 10, 400, "too_deep", ""),
    "very deep": (b"[" * 8000 + b"]" * 8000, 400, "too_deep", ""),
    "17 kB": (b'{"metadata": "' + b"x" * 17_000 + b'"}', 413, "body_too_large", ""),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_no_request(case: str, api: Api, daraja: Daraja):
    body, status, code, field = BODIES[case]
    problem(api.push(body), status, code, field)
    nothing_happened(daraja)


TYPES = {
    "": 415,
    "text/plain": 415,
    "application/x-www-form-urlencoded": 415,
    "application/json; charset=latin-1": 415,
    "application/jsonp": 415,
    "application/json;charset=utf-8": 202,
    'Application/JSON; charset="UTF-8"': 202,
}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("kind", TYPES)
def test_only_json_in_utf_8_is_read(kind: str, api: Api, wish: dict[str, Any], daraja: Daraja):
    answer = api.push(wish, Content_Type=kind)
    assert answer.status_code == TYPES[kind]
    if answer.status_code == 415:
        problem(answer, 415, "wrong_content_type")
        nothing_happened(daraja)


@pytest.mark.parametrize("key", ["", "sk_unknown", "sk_ü", "sk_" + "x" * 5000])
def test_an_unknown_key_is_refused(key: str, wish: dict[str, Any], daraja: Daraja):
    answer = Api(key).push(wish)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    nothing_happened(daraja)


def test_missing_and_revoked_keys_of_any_scheme_are_alike(
    merchant: Merchant, wish: dict[str, Any], daraja: Daraja
):
    row, plain = make_key(merchant)
    revoke(row)
    assert Api(plain).push(wish).content == Api("sk_unknown").push(wish).content
    basic = Api()
    basic.headers["Authorization"] = f"Basic {plain}"
    problem(basic.push(wish), 401, "unauthenticated")
    nothing_happened(daraja)


def test_a_key_without_the_scope_sends_nothing(
    merchant: Merchant, wish: dict[str, Any], daraja: Daraja
):
    reader = Api(make_key(merchant, scopes=["read"])[1])
    problem(reader.push(wish), 403, "wrong_scope")
    nothing_happened(daraja)


def test_another_merchants_short_code_looks_unknown(
    api: Api, wish: dict[str, Any], other_credential: MpesaCredential, daraja: Daraja
):
    theirs = api.push(wish | {"shortcode": other_credential.short_code})
    nobodys = api.push(wish | {"shortcode": "999999"})
    problem(theirs, 404, "unknown_shortcode", "shortcode")
    assert theirs.content == nobodys.content
    nothing_happened(daraja)


def test_an_inactive_short_code_looks_unknown(
    api: Api, wish: dict[str, Any], merchant: Merchant, daraja: Daraja
):
    asleep = make_credential(merchant, active=False)
    answer = api.push(wish | {"shortcode": asleep.short_code})
    assert answer.content == api.push(wish | {"shortcode": "999999"}).content
    nothing_happened(daraja)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "schlüssel"])
def test_a_bad_idempotency_key_is_refused(key: str, api: Api, wish: dict[str, Any], daraja: Daraja):
    answer = api.push(wish, Idempotency_Key=key)
    problem(answer, 400, "invalid_idempotency_key", "Idempotency-Key")
    nothing_happened(daraja)


class Endless(io.RawIOBase):
    """A body that counts what is read of it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.taken = 0

    def read(self, count: int = -1) -> bytes:
        count = min(count, self.size) if count >= 0 else self.size
        self.taken += count
        return b"x" * count


@pytest.mark.parametrize("announced", ["10000000", "20000"])
def test_a_10_mb_body_is_not_read(announced: str, api: Api, daraja: Daraja):
    body = Endless(10_000_000)
    environ: dict[str, Any] = {
        "wsgi.input": body,
        "CONTENT_LENGTH": announced,
        "CONTENT_TYPE": "application/json",
    }
    answer = api.client.generic("POST", "/api/v1/stk-push", headers=api.headers, **environ)
    problem(answer, 413, "body_too_large")
    assert body.taken == 0
    nothing_happened(daraja)


def test_of_a_body_without_length_only_the_beginning_is_read():
    from milango.api.requests import read_body
    from milango.core.errors import Declined

    class Request:
        headers: dict[str, str] = {}
        body = Endless(10_000_000)
        read = body.read

    with pytest.raises(Declined, match="16384"):
        read_body(Request(), 16_384)  # type: ignore[arg-type]
    assert Request.body.taken == 16_385


def test_the_order_of_the_checks(api: Api, stranger: Api, daraja: Daraja):
    """Method, type, size, key, fields: each is answered before the next is looked at."""
    client = stranger.client
    big = b"x" * 20_000
    assert client.put("/api/v1/stk-push", big, content_type="text/plain").status_code == 405
    assert stranger.push(big, Content_Type="text/plain").status_code == 415
    assert stranger.push(big).status_code == 413
    assert stranger.push(b"{").status_code == 401
    assert api.push(b"{").status_code == 400
    nothing_happened(daraja)


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "TRACE", "BREW"])
def test_other_methods_are_refused(method: str, stranger: Api):
    answer = stranger.client.generic(method, "/api/v1/stk-push")
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "POST"


GOOD: list[dict[str, Any]] = [
    {"phone_number": "0708374149"},
    {"phone_number": "+254708374149"},
    {"phone_number": "+254 708 374 149"},
    {"phone_number": "0110 000 123"},
    {"phone_number": "254110000123"},
    {"amount": "50"},
    {"amount": 50.0},
    {"amount": "50.00"},
    {"amount": 1},
    {"amount": 250_000},
    {"shortcode": "{as a number}"},
    {"metadata": {"weight": 1.5, "seat": None, "name": "Wanjikũ 🙂"}},
    {"account_reference": None, "metadata": None},
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("change", GOOD, ids=[json.dumps(change) for change in GOOD])
def test_usual_spellings_are_taken(
    change: dict[str, Any], api: Api, wish: dict[str, Any], daraja: Daraja
):
    if "shortcode" in change:
        change = {"shortcode": int(wish["shortcode"])}
    answer = api.push(wish | change)
    assert answer.status_code == 202, answer.content
    assert answer.json()["metadata"] == (change.get("metadata") or {})
    assert len(daraja.ledger()) == 1


@pytest.mark.parametrize("host", ["", "a b", "elsewhere.example"])
@pytest.mark.parametrize("path", ["/api/v1/payments", "/api/v1/nowhere", "/callbacks/nowhere"])
def test_a_host_that_is_not_ours_is_refused_in_words(settings, path: str, host: str) -> None:
    settings.ALLOWED_HOSTS = ["pay.example.test"]
    answer = Client(raise_request_exception=False).get(path, HTTP_HOST=host)
    assert (answer.status_code, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert "Host header" in answer.json()["detail"]


def test_a_host_that_is_not_ours_is_refused_on_pages_as_ever(settings) -> None:
    settings.ALLOWED_HOSTS = ["pay.example.test"]
    answer = Client(raise_request_exception=False).get("/admin/", HTTP_HOST="elsewhere.example")
    assert (answer.status_code, answer.headers["Content-Type"][:9]) == (400, "text/html")
