"""Answers as bytes: every door sends these, so that all doors say the same, byte for byte. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from .errors import MilangoError
from .problems import CONTENT_TYPE, problem_of

ALLOWED_HEADERS: Final = "Authorization, Content-Type, Idempotency-Key"
EXPOSED_HEADERS: Final = "Retry-After"
NO_STORE: Final = {"Cache-Control": "no-store"}
"""Nobody may keep an answer that is about somebody's money."""
PREFLIGHT_SECONDS: Final = 600


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What goes back to the caller."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = {}

    def plus(self, headers: dict[str, str]) -> Answer:
        """The same answer with more headers."""
        return msgspec.structs.replace(self, headers=self.headers | headers)


def document_answer(document: dict[str, Any], status: int = 200) -> Answer:
    """An answer that carries a document."""
    return Answer(status=status, body=msgspec.json.encode(document), headers=NO_STORE)


def problem_answer(error: MilangoError) -> Answer:
    """A refusal as problem+json."""
    problem = problem_of(error)
    return Answer(
        status=problem.status,
        body=problem.body,
        content_type=CONTENT_TYPE,
        headers=NO_STORE | problem.headers,
    )


def cors_headers(origin: str | None, *, known: bool) -> dict[str, str]:
    """What lets a listed page read an answer: the exact origin, never `*`, never credentials."""
    headers = {"Vary": "Origin"}
    if origin and known:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    return headers


def preflight_answer(methods: tuple[str, ...], origin: str | None, *, known: bool) -> Answer:
    """The answer to OPTIONS; only a listed origin learns what it may send."""
    answer = Answer(status=204, headers={"Allow": ", ".join((*methods, "OPTIONS"))})
    if not (origin and known):
        return answer
    return answer.plus(
        {
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": ALLOWED_HEADERS,
            "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
        }
    )
