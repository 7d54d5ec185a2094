"""The OpenAPI document is valid and complete, and the pages about the API tell the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openapi_spec_validator import validate

from milango.api import schemas
from milango.api.routes import API
from milango.core.answers import document_answer
from milango.core.filters import READERS as FILTERS
from milango.core.inputs import READERS, REQUIRED
from milango.core.problems import PROBLEMS
from milango.flows.present import UNKNOWN_STATUS, payment_document
from milango.models import MpesaCredential
from tests.flows.conftest import make_payment

from .conftest import Api

ROOT = Path(__file__).parents[2]


@pytest.fixture
def document(stranger: Api) -> dict[str, Any]:
    answer = stranger.get("openapi.json")
    assert answer.headers["Content-Type"] == "application/json"
    return answer.json()


def test_it_is_valid_openapi_3_1(document: dict[str, Any]):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_it_describes_every_route(document: dict[str, Any]):
    routes = {"/" + re.sub(r"<\w+:(\w+)>", r"{\1}", str(route.pattern)) for route in API}
    assert set(document["paths"]) == routes


def test_its_server_is_the_public_address(document: dict[str, Any], stranger: Api, settings: Any):
    assert document["servers"] == [{"url": "https://pay.example.test"}]
    settings.MILANGO = settings.MILANGO | {"PUBLIC_URL": "https://other.example.test"}
    again = stranger.get("openapi.json").json()
    assert again["servers"] == [{"url": "https://other.example.test"}]


def test_the_body_has_the_fields_that_are_read(document: dict[str, Any]):
    schema = document["components"]["schemas"]["PushRequest"]
    assert set(schema["properties"]) == set(READERS)
    assert set(schema["required"]) == set(REQUIRED)
    assert schema["additionalProperties"] is False


def test_the_list_has_the_filters_that_are_read(document: dict[str, Any]):
    parameters = document["paths"]["/api/v1/payments"]["get"]["parameters"]
    assert {each["name"] for each in parameters} == set(FILTERS)


def test_every_problem_of_the_api_is_documented(document: dict[str, Any]):
    found: set[str] = set()
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    examples = response["content"]["application/problem+json"]["examples"]
                    found |= set(examples)
                    assert {PROBLEMS[code][0] for code in examples} == {int(status)}
    assert found == set(PROBLEMS)


@pytest.mark.django_db
def test_what_we_answer_is_what_is_described(credential: MpesaCredential):
    payment = make_payment(credential)
    for secret in (True, False):
        body = document_answer(payment_document(payment, secret=secret)).body
        read = msgspec.json.decode(body, type=schemas.Payment)
        assert set(msgspec.json.decode(body)) == set(msgspec.to_builtins(read))
    msgspec.convert(UNKNOWN_STATUS, schemas.PaymentStatus)


def test_the_examples_fit_their_schemas(document: dict[str, Any]):
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                for media in response.get("content", {}).values():
                    kind = getattr(schemas, media["schema"]["$ref"].rpartition("/")[2])
                    values = [each["value"] for each in media.get("examples", {}).values()]
                    for value in values or [media["example"]]:
                        msgspec.convert(value, kind)


def test_the_settings_of_a_host_change_nothing(stranger: Api, settings: Any):
    from milango.api import openapi

    before = openapi.document()
    openapi._document.cache_clear()
    settings.SPECTACULAR_SETTINGS = {"TITLE": "Their own API", "SCHEMA_PATH_PREFIX": "/x"}
    settings.REST_FRAMEWORK = {"DEFAULT_RENDERER_CLASSES": []}
    assert openapi.document() == before


def test_the_page_loads_nothing_from_anywhere(stranger: Api):
    answer = stranger.get("docs")
    page = answer.content.decode()
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert not re.search(r"<(script|link|img|iframe)\b|\bsrc=|@import|url\(", page)
    assert set(re.findall(r'href="([^#"]+)"', page)) == {"openapi.json"}


def test_the_page_shows_every_operation_and_document(stranger: Api, document: dict[str, Any]):
    page = stranger.get("docs").content.decode()
    for path, methods in document["paths"].items():
        assert f"<code>{path}</code>" in page
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in page
    for name in document["components"]["schemas"]:
        assert f'id="{name}"' in page
    ids = re.findall(r' id="([^"]+)"', page)
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)


def test_the_written_page_names_every_route_field_and_filter(document: dict[str, Any]):
    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"`{method.upper()} {path}`" in page
    for name in (*READERS, *FILTERS):
        assert f"`{name}`" in page


def test_healthz(stranger: Api):
    assert stranger.client.get("/healthz").json() == {"status": "ok"}
    assert stranger.client.head("/healthz").status_code == 200
