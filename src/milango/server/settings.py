"""Django settings of the ready server, in production. `environment.py` lists what it reads."""

from __future__ import annotations

from .common import *  # noqa: F403 - the shared part of a settings file
from .common import INSTALLED_APPS as _SHARED
from .environment import Environment
from .logs import configuration
from .queues import engine_for

_env = Environment()

SECRET_KEY = _env.secret_key
DATABASES = {"default": _env.database}
_engine = engine_for(DATABASES["default"])
INSTALLED_APPS = [*_engine.apps, *_SHARED]
TASKS = _engine.tasks
MILANGO = _env.milango
LOGGING = configuration(json=_env.json_logs)

# Loopback too: health checks come from the machine itself.
ALLOWED_HOSTS = [_env.host, "127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = [_env.public_url]  # the proxy in front of us ends TLS
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_SECURE = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
# Redirecting to https and promising it (HSTS) are the proxy's work.
SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008"]
