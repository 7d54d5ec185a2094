"""Lists as callers see them. A page is found by key, so that it costs the same wherever it lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import Model, QuerySet

Document = dict[str, Any]
M = TypeVar("M", bound=Model)


def listed(documents: list[Document], *, has_more: bool = False) -> Document:
    """The list resource."""
    return {"object": "list", "data": documents, "has_more": has_more}


def page(rows: QuerySet[M], limit: int, document: Callable[[M], Document]) -> Document:
    """The first `limit` of these rows, and whether there are more."""
    found = list(rows[: limit + 1])
    return listed([document(row) for row in found[:limit]], has_more=len(found) > limit)
