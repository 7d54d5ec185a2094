"""The server's log: JSON lines in production, plain lines in the demo, nobody's secrets in either.

All of it goes through the standard library's logging, so that packages' records are treated as
ours are. Logs name routes, never addresses: a callback's address is a secret, and a status
address may hold a payer's number.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog
from structlog.typing import Processor

from milango.core.redaction import redact_fields
from milango.seen import requests


def configuration(*, json: bool) -> dict[str, Any]:
    """Django's `LOGGING`: one handler, on stderr, for everybody."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {
            "routes": {"()": "milango.server.logs.RoutesNotPaths"},
            "refusals": {"()": "milango.server.logs.RefusalsAreOneLine"},
        },
        "formatters": {"line": {"()": "milango.server.logs.formatter", "json": json}},
        "handlers": {
            # On the handler, so that no logger, of ours or of a package, is forgotten.
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "line",
                "filters": ["routes", "refusals"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "django": {"handlers": [], "level": "WARNING", "propagate": True},
            "milango": {"level": "INFO"},
        },
    }


def formatter(*, json: bool) -> logging.Formatter:
    """From any record to its line."""
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        add_request_id,
    ]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=before,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_record,  # after the traceback has become text
            _lines(json=json),
        ],
    )


def _lines(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(sort_keys=True, ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(),
        exception_formatter=structlog.dev.plain_traceback,
        pad_event_to=0,
    )


def add_request_id(
    logger: Any, method: str, record: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Say which request a line belongs to."""
    if found := requests.current():
        record["request_id"] = found
    return record


def redact_record(
    logger: Any, method: str, record: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Take out what is secret or personal, from every field."""
    return redact_fields(record)


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


class RefusalsAreOneLine(logging.Filter):
    """Whoever asks for what is not theirs, or by a wrong name, does not get to fill the log."""

    def filter(self, record: logging.LogRecord) -> bool:
        warned = record.name == "django.request" and record.levelno < logging.ERROR
        if warned or record.name.startswith("django.security."):
            record.exc_info = record.exc_text = None
        return True


def route_of(request: Any) -> str:
    """The pattern that the request's path matched; "(no route)" when there was none."""
    match = getattr(request, "resolver_match", None)
    return f"/{match.route}" if match else "(no route)"


def _without(said: Any, path: str, full: str, route: str) -> Any:
    if not isinstance(said, str) or path == "/":
        return said
    return said.replace(full, route).replace(path, route)
