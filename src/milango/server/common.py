"""What the server's settings share, in production and in the demo."""

from __future__ import annotations

from typing import Any

USE_TZ = True
TIME_ZONE = "UTC"
FORMAT_MODULE_PATH = ["milango.server.formats"]
LOGIN_REDIRECT_URL = "/admin/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "/static/"
ROOT_URLCONF = "milango.server.urls"
DEBUG = False

INSTALLED_APPS = [
    "unfold",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "milango",
]

UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Milango",
    "SITE_HEADER": "Milango",
    "SITE_SYMBOL": "door_front",
    "COLORS": {
        "primary": {
            "50": "236 253 243",
            "100": "214 247 225",
            "200": "174 237 198",
            "300": "119 219 158",
            "400": "63 191 116",
            "500": "25 158 87",
            "600": "16 122 67",
            "700": "15 97 56",
            "800": "15 77 46",
            "900": "13 63 39",
            "950": "5 35 21",
        }
    },
}

MIDDLEWARE = [
    "milango.api.middleware.seen",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator")
]


def sqlite(file: str) -> dict[str, Any]:
    """An embedded database that survives a power cut and lets writers wait for their turn."""
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": file,
        "OPTIONS": {
            # One that began as a reader could not wait for the lock later, only fail.
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; "
                # 64 MB of pages at most, and a checkpoint every 16 MB of log.
                "PRAGMA cache_size=-65536; PRAGMA wal_autocheckpoint=4000;"
            ),
        },
    }
