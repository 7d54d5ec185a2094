"""Logs name routes, never addresses: a callback's address is a secret (A6), and a status
address may hold a payer's number (A7)."""

from __future__ import annotations

import logging
from typing import Any


class RoutesNotPaths(logging.Filter):
    """In records about a request, the path becomes its route: `/callbacks/stk/<token>`."""

    def filter(self, record: logging.LogRecord) -> bool:
        request: Any = getattr(record, "request", None)
        path = getattr(request, "path", None)
        if path:
            route = route_of(request)
            full = request.get_full_path()
            record.msg = _without(record.msg, path, full, route)
            if isinstance(record.args, tuple):
                record.args = tuple(_without(arg, path, full, route) for arg in record.args)
        return True


def route_of(request: Any) -> str:
    """The pattern that the request's path matched; "(no route)" when there was none."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "(no route)"


def _without(said: Any, path: str, full: str, route: str) -> Any:
    if not isinstance(said, str) or path == "/":
        return said
    return said.replace(full, route).replace(path, route)
