"""The OpenAPI document, and a page that shows it. The page loads nothing from anywhere."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any, Final

import msgspec
from django.http import HttpRequest
from django.template import Context, Engine, Library
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from milango.core.answers import Answer
from milango.core.explanations import EXPLANATIONS
from milango.core.problems import PROBLEMS

from . import openapi as openapi_document
from .door import plain_door

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@plain_door("GET", "HEAD")
def openapi(request: HttpRequest) -> Answer:
    """GET /api/v1/openapi.json"""
    headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "max-age=300"}
    return Answer(status=200, body=openapi_document.document(), headers=headers)


@plain_door("GET", "HEAD")
def docs(request: HttpRequest) -> Answer:
    """GET /api/v1/docs"""
    return Answer(
        status=200,
        body=_page(openapi_document.document()),
        content_type="text/html; charset=utf-8",
        headers={
            "Content-Security-Policy": POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        },
    )


register: Final = Library()


@register.filter
def words(text: str) -> SafeString:
    """Text with its `names` shown as code, in paragraphs."""
    marked = re.sub("`([^`]+)`", r"<code>\1</code>", conditional_escape(text))
    return mark_safe(marked.replace("\n\n", "<br><br>"))  # noqa: S308 - escaped above


@lru_cache(maxsize=4)
def _page(document: bytes) -> bytes:
    source = (resources.files("milango.api") / "docs.html").read_text("utf-8")
    template = Engine(builtins=[__name__]).from_string(source)
    return template.render(Context(_view(msgspec.json.decode(document)))).encode()


def _view(document: dict[str, Any]) -> dict[str, Any]:
    schemas = document["components"]["schemas"]
    operations = [
        _operation(path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    operations.sort(key=lambda operation: operation["method"] != "POST")  # what one came for
    return {
        "info": document["info"],
        "servers": document.get("servers", []),
        "operations": operations,
        "schemas": [_schema(name, schema) for name, schema in schemas.items()],
        "security": document["components"]["securitySchemes"],
        "problems": [_problem(code) for code in PROBLEMS],
    }


def _problem(code: str) -> dict[str, Any]:
    status, title = PROBLEMS[code]
    about = msgspec.structs.asdict(EXPLANATIONS[code])
    return {"code": code, "status": status, "title": title, **about}


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "path": path,
        "method": method.upper(),
        "id": operation["operationId"],
        "summary": operation["summary"],
        "description": operation["description"],
        "keys": [name for scheme in operation["security"] for name in scheme],
        "parameters": [
            each | {"kind": _kind(each["schema"])} for each in operation.get("parameters", [])
        ],
        "request": [_content(kind, media) for kind, media in body.items()],
        "responses": [
            {
                "status": status,
                "description": response["description"],
                "content": [
                    _content(kind, media) for kind, media in response.get("content", {}).items()
                ],
            }
            for status, response in operation["responses"].items()
        ],
    }


def _content(kind: str, media: dict[str, Any]) -> dict[str, Any]:
    example = media.get("example")
    return {
        "type": kind,
        "schema": media["schema"]["$ref"].rpartition("/")[2],
        "example": _pretty(example) if example is not None else "",
    }


def _pretty(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _schema(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    required = schema.get("required", [])
    fields = [
        {
            "name": field,
            "kind": _kind(about),
            "required": field in required,
            "description": _description(about),
        }
        for field, about in schema.get("properties", {}).items()
    ]
    return {"name": name, "description": schema.get("description", ""), "fields": fields}


def _description(schema: dict[str, Any]) -> str:
    found = [schema, *schema.get("anyOf", [])]
    return next((each["description"] for each in found if "description" in each), "")


def _kind(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(each) for each in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if "items" in schema:
        return f"list of {_kind(schema['items'])}"
    return str(schema.get("format") or schema.get("type", "anything"))
