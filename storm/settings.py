"""Django's settings in the storm: production's, with a simulator for Daraja and a clock to jump."""

from __future__ import annotations

import os
from typing import Any

from milango.server.common import *  # noqa: F403 - what the server's settings share
from milango.server.common import INSTALLED_APPS as _SHARED
from milango.server.environment import database
from milango.server.logs import configuration
from milango.server.queues import engine_for

from .clock import follow

SECRET_KEY = "of no use to anybody outside a storm"  # noqa: S105 - it protects made-up rows
ALLOWED_HOSTS = ["127.0.0.1"]
DARAJA = os.environ.get("STORM_DARAJA", "http://127.0.0.1:8200")

MILANGO: dict[str, Any] = {
    "PUBLIC_URL": os.environ.get("STORM_URL", "http://127.0.0.1:8100"),
    "KEYS": ["01:43Ar7B8klWfBJ9uu9d0RMl4bKsihLctUnqrum2shGCA="],
    "SIMULATOR": True,
    "DARAJA_URLS": {"simulator": DARAJA, "production": DARAJA},
    # The simulator stands where Safaricom's addresses would.
    "CALLBACK_SOURCES": ["127.0.0.1"],
    "PROMPT_LIFE": int(os.environ.get("STORM_PROMPT_LIFE", "20")),
    "WEBHOOKS_TO_ANYWHERE": True,
    "SPOOL": os.environ.get("STORM_SPOOL", ""),
}

DATABASES = {"default": database(os.environ.get("STORM_DATABASE", "sqlite:////tmp/storm.sqlite3"))}

_engine = engine_for(DATABASES["default"])
INSTALLED_APPS = [*_engine.apps, *_SHARED]
TASKS = _engine.tasks
LOGGING = configuration(json=False)

if clock := os.environ.get("STORM_CLOCK"):
    follow(clock)
