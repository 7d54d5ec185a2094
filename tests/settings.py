"""Django settings of the tests: a plain host project with Milango in it.

SQLite in a file by default; `MILANGO_TEST_DATABASE=postgres` runs the same tests on a PostgreSQL
that starts by itself. The process that reads this first owns both; its xdist workers share them.
"""

from __future__ import annotations

from typing import Any

from tests import databases

SECRET_KEY = "only for tests, and of no use to anybody"
DEBUG = False
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
ROOT_URLCONF = "tests.urls"
# The default hasher is slow on purpose. Tests log in often and protect nobody.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

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

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
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

DATABASES: dict[str, dict[str, Any]] = {"default": databases.chosen()}

MILANGO = {
    "PUBLIC_URL": "https://pay.example.test",
    # Two, so that every test runs as after a rotation: the first writes, both read.
    "KEYS": [
        "02:RHC+YA0b5hEQ7hnQn8MdQ26Dylgc73NSTr1xYDq4pOM=",
        "01:43Ar7B8klWfBJ9uu9d0RMl4bKsihLctUnqrum2shGCA=",
    ],
    "SIMULATOR": True,
}
