"""Keeps callback tokens, CheckoutRequestIDs and queries of our addresses out of logs.

Django and the web servers log the paths of requests. Those loggers get a filter that puts the
route's name in place of what is secret or personal in a path of ours, before any handler sees it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

from milango.core.redaction import redact

LOGGERS: Final = (
    "django.request",
    "django.server",
    "django.security.csrf",
    "django.security.DisallowedHost",
    "django.security.RequestDataTooBig",
    "django.security.SuspiciousOperation",
    "django.security.TooManyFieldsSent",
    "uvicorn.access",
    "gunicorn.access",
    "hypercorn.access",
    "granian.access",
    "daphne.access",
)
"""Who logs the paths of requests, or hands whole requests to formatters."""


class RedactPaths(logging.Filter):
    """Rewrites records in place; drops none."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact the message and its arguments."""
        if isinstance(record.msg, str):
            record.msg = redact(record.msg)
        record.args = _redact_args(record.args)
        if _is_sensitive(getattr(record, "request", None)):
            # Formatters, mail and error reports would write its path and query.
            record.__dict__.pop("request")
        return True


def _is_sensitive(request: Any) -> bool:
    path = request.get_full_path() if hasattr(request, "get_full_path") else ""
    return redact(path) != path


def _redact_args(args: Any) -> Any:
    if isinstance(args, MutableMapping):
        args.update({key: _redact_one(value) for key, value in args.items()})
        return args
    if isinstance(args, Mapping) or not isinstance(args, tuple):
        return args
    return tuple(_redact_one(value) for value in args)


def _redact_one(value: object) -> object:
    return redact(value) if isinstance(value, str) else value


_FILTER: Final = RedactPaths()


def install() -> None:
    """Put the filter on every logger that writes paths; again does nothing."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)
