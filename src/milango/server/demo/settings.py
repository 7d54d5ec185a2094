"""Django settings of the demo: everything comes from its folder, which MILANGO_DEMO_DATA names."""

from __future__ import annotations

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from milango.server.common import *  # noqa: F403 - the shared part of a settings file
from milango.server.common import INSTALLED_APPS as _SHARED
from milango.server.common import sqlite
from milango.server.logs import configuration
from milango.server.queues import engine_for

from .home import Home

_home = Home(Path(os.environ.get("MILANGO_DEMO_DATA", ".milango/demo")))
_known = _home.installation()
if not _known:
    raise ImproperlyConfigured(f"There is no demo in {_home.folder}. Start one with: milango demo")
_simulator = f"http://127.0.0.1:{_known['simulator_port']}"

SECRET_KEY = _known["secret_key"]
DATABASES = {"default": sqlite(str(_home.database))}
_engine = engine_for(DATABASES["default"])
INSTALLED_APPS = [*_engine.apps, "milango.server.demo", *_SHARED]
TASKS = _engine.tasks
ROOT_URLCONF = "milango.server.demo.urls"
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]  # no other name may lead a browser here
# Pages on other ports of this machine share its cookies: names of our own keep them apart.
SESSION_COOKIE_NAME = "milango_demo_session"
CSRF_COOKIE_NAME = "milango_demo_csrf"

LOGGING = configuration(json=False)

MILANGO = {
    "PUBLIC_URL": f"http://127.0.0.1:{_known['port']}",
    "KEYS": _known["keys"],
    "SIMULATOR": True,
    # Every environment leads to the simulator: nothing that is entered here reaches Safaricom.
    "DARAJA_URLS": dict.fromkeys(("simulator", "sandbox", "production"), _simulator),
    "CALLBACK_SOURCES": ["127.0.0.0/8"],
    # Whoever tries Milango has the shop on the same machine.
    "WEBHOOKS_TO_ANYWHERE": True,
}

MILANGO_DEMO = {
    "FOLDER": str(_home.folder),
    "PORT": _known["port"],
    "SIMULATOR_PORT": _known["simulator_port"],
}
