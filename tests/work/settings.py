"""The ready server's own settings, led to the simulator, with a clock that ticks faster."""

from __future__ import annotations

import os

from milango.server.settings import *  # noqa: F403 - the settings under test
from milango.server.settings import INSTALLED_APPS as _SERVERS
from milango.server.settings import MILANGO as _SAID

INSTALLED_APPS = [*_SERVERS, "tests.work"]
ALLOWED_HOSTS = ["*"]
MILANGO = _SAID | {
    "SIMULATOR": True,
    "PUBLIC_URL": os.environ["TEST_PUBLIC_URL"],
    "DARAJA_URLS": {"simulator": os.environ["TEST_DARAJA_URL"]},
    "CALLBACK_SOURCES": ["127.0.0.0/8", "10.0.0.0/8"],
}
