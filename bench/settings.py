"""Django's settings for the servers under load: production's, with a Daraja of the benchmark's."""

from __future__ import annotations

import os
from typing import Any

from milango.server.common import *  # noqa: F403 - what the server's settings share
from milango.server.common import sqlite

SECRET_KEY = "of no use to anybody outside a benchmark"  # noqa: S105 - it protects made-up rows
ALLOWED_HOSTS = ["*"]

MILANGO: dict[str, Any] = {
    "PUBLIC_URL": "https://bench.example",
    "KEYS": ["01:43Ar7B8klWfBJ9uu9d0RMl4bKsihLctUnqrum2shGCA="],
    "SIMULATOR": True,
    "WEBHOOKS_TO_ANYWHERE": True,
    "DARAJA_URLS": {"simulator": os.environ.get("BENCH_DARAJA", "http://127.0.0.1:8790")},
}


def _database() -> dict[str, Any]:
    if file := os.environ.get("BENCH_SQLITE"):
        return sqlite(file)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": os.environ.get("BENCH_DATABASE", "postgres"),
        "USER": "postgres",
        "HOST": os.environ.get("BENCH_POSTGRES", ""),
        # Without it, every request of the baselines would pay for a new connection.
        "CONN_MAX_AGE": None,
    }


DATABASES = {"default": _database()}
