"""The server's settings, read from the environment: every name, what it means, what is missing.

Each `NAME` may be given as `NAME_FILE` instead, the path of a file that holds the value: that is
how containers hand over secrets.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import FileAwareEnv

from .common import sqlite

REQUIRED: Final = {
    "MILANGO_PUBLIC_URL": "the https address under which the world reaches us, "
    "such as https://pay.example.co.ke",
    "MILANGO_KEYS": "the encryption keys, newest first, separated by commas or new lines; "
    "`milango new-key` makes one",
    "MILANGO_SECRET_KEY": "at least 32 random characters that sign the admin's sessions",
    "DATABASE_URL": "such as postgres://user:password@host/name, or sqlite:////path/to/file",
}

OPTIONAL: Final = {
    "MILANGO_TRUSTED_PROXIES": "networks of our own proxies, whose X-Forwarded-For counts",
    "MILANGO_CALLBACK_SOURCES": "more networks that Daraja's callbacks come from",
    "MILANGO_CONFIRM_ABOVE": "KES above which a callback alone is not proof; 20000",
    "MILANGO_SPOOL": "a folder on the local disk that keeps callbacks while the database is away",
    "MILANGO_DATABASE_POOL": "most connections to PostgreSQL of one process; 16",
    "MILANGO_LOG_FORMAT": "json (one object a line) or text; json",
    "MILANGO_METRICS_TOKEN": "what a scraper on another machine sends to /metrics and /readyz",
}


class Environment:
    """Reads the environment. Raises ImproperlyConfigured, naming all that is missing at once."""

    def __init__(self) -> None:
        self._env = FileAwareEnv(strip_whitespace=True)
        absent = [name for name in REQUIRED if not self.text(name)]
        if absent:
            lines = [f"  {name}: {REQUIRED[name]}" for name in absent]
            raise ImproperlyConfigured("\n".join(["The environment lacks:", *lines]))

    def text(self, name: str) -> str:
        """The value of `NAME`, or of the file that `NAME_FILE` names; "" when there is none."""
        try:
            return str(self._env.str(name, "")).strip()
        except ValueError:
            raise ImproperlyConfigured(f"{name}_FILE names a file that cannot be read.") from None

    def items(self, name: str) -> list[str]:
        """A list, separated by commas or new lines."""
        return [
            item.strip() for item in self.text(name).replace("\n", ",").split(",") if item.strip()
        ]

    @property
    def public_url(self) -> str:
        """Raises ImproperlyConfigured unless it is https: callbacks and keys travel there."""
        url = self.text("MILANGO_PUBLIC_URL").rstrip("/")
        if not url.startswith("https://"):
            raise ImproperlyConfigured(
                f"MILANGO_PUBLIC_URL must begin with https://, and is {url!r}. "
                "To try Milango without a certificate, run: milango demo"
            )
        return url

    @property
    def secret_key(self) -> str:
        """Raises ImproperlyConfigured when it is too short to be random."""
        key = self.text("MILANGO_SECRET_KEY")
        if len(key) < 32:
            raise ImproperlyConfigured("MILANGO_SECRET_KEY must have at least 32 characters.")
        return key

    @property
    def host(self) -> str:
        """The host of the public address."""
        return urlsplit(self.public_url).hostname or ""

    @property
    def milango(self) -> dict[str, Any]:
        """The dict `MILANGO` of Django's settings."""
        said: dict[str, Any] = {
            "PUBLIC_URL": self.public_url,
            "KEYS": self.items("MILANGO_KEYS"),
            "TRUSTED_PROXIES": self.items("MILANGO_TRUSTED_PROXIES"),
            "SIMULATOR": False,
        }
        if sources := self.items("MILANGO_CALLBACK_SOURCES"):
            from milango.daraja.security import CALLBACK_SOURCES

            said["CALLBACK_SOURCES"] = [*CALLBACK_SOURCES, *sources]
        if folder := self.text("MILANGO_SPOOL"):
            said["SPOOL"] = folder
        if token := self.text("MILANGO_METRICS_TOKEN"):
            said["METRICS_TOKEN"] = token
        if limit := self.text("MILANGO_CONFIRM_ABOVE"):
            said["CONFIRM_ABOVE"] = _money(limit)
        return said

    @property
    def json_logs(self) -> bool:
        """Raises ImproperlyConfigured for a format that there is not."""
        word = self.text("MILANGO_LOG_FORMAT") or "json"
        if word not in {"json", "text"}:
            raise ImproperlyConfigured("MILANGO_LOG_FORMAT must be json or text.")
        return word == "json"

    @property
    def database(self) -> dict[str, Any]:
        """Django's `DATABASES["default"]`. Messages never hold the address: it has a password."""
        return database(self.text("DATABASE_URL"), self.text("MILANGO_DATABASE_POOL") or "16")


def _money(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise ImproperlyConfigured("MILANGO_CONFIRM_ABOVE is not an amount in KES.") from None


PATIENCE: Final = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "20000",
}
"""A server whose machine vanished says nothing. By default a connection to it is waited for a
quarter of an hour by those who write, and two hours by those who listen."""


def database(url: str, pool: str = "16") -> dict[str, Any]:
    """Django's database from `postgres://…` or `sqlite:///…` (four slashes: an absolute path)."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path.strip("/"):
        return sqlite(unquote(parts.path[1:]))
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured(f"DATABASE_URL must be {REQUIRED['DATABASE_URL']}.")
    if not pool.isdecimal() or not int(pool):
        raise ImproperlyConfigured("MILANGO_DATABASE_POOL must be a whole number above 0.")
    options: dict[str, Any] = PATIENCE | dict(parse_qsl(parts.query))
    host = options.pop("host", "") or parts.hostname or ""
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path[1:]),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(host),
        "PORT": str(parts.port or ""),
        # Each connection of the pool is looked at before it is lent: after a restart of the
        # database all of them are dead, and each would cost somebody a refusal.
        "CONN_HEALTH_CHECKS": True,
        # Without kept connections each request would pay for a new one.
        "OPTIONS": {**options, "pool": {"min_size": 1, "max_size": int(pool), "timeout": 10}},
    }
