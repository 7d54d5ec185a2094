"""The OpenAPI 3.1 document, made once from the routes, the operations and the schemas."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import msgspec
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings

from milango import __version__
from milango.conf import conf

from . import operations, schemas
from .routes import API

ABOUT: Final = (
    "M-Pesa for many merchants. Ask for a prompt with `POST /api/v1/stk-push`, then read the "
    "status until it is no longer `Pending`. Every refusal is `application/problem+json` with a "
    "stable `code`. Amounts are KES, times are UTC."
)


@lru_cache(maxsize=4)
def _document(public_url: str) -> bytes:
    # A host project may use drf-spectacular for an API of its own: its settings stay out of this.
    ours = {
        "OAS_VERSION": "3.1.0",
        "TITLE": "Milango",
        "DESCRIPTION": ABOUT,
        "VERSION": __version__,
        "SERVERS": [{"url": public_url}] if public_url else [],
        "TAGS": [
            {"name": "payments", "description": "Prompts, and what became of them."},
            {"name": "webhooks", "description": "Who is told, and what was told to them."},
        ],
        "SCHEMA_PATH_PREFIX": None,
        "SCHEMA_PATH_PREFIX_TRIM": False,
        "PREPROCESSING_HOOKS": [],
        "POSTPROCESSING_HOOKS": [],
        "SECURITY": [],
        "CONTACT": {},
        "LICENSE": {},
        "TOS": None,
        "EXTERNAL_DOCS": {},
        "WEBHOOKS": [],
        "EXTENSIONS_INFO": {},
        "EXTENSIONS_ROOT": {},
        "APPEND_COMPONENTS": {
            "schemas": schemas.components(),
            "securitySchemes": operations.SECURITY_SCHEMES,
        },
    }
    with patched_settings(ours):
        generator: Any = SchemaGenerator(patterns=API)  # type: ignore[no-untyped-call]
        document = generator.get_schema(request=None, public=True)
    document["info"]["version"] = __version__
    return msgspec.json.encode(document)


def document() -> bytes:
    """The document as JSON."""
    return _document(conf().public_url)
