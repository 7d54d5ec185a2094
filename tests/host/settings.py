"""Somebody else's Django project: only the apps that Milango needs, and none of its server."""

from __future__ import annotations

from tests import databases
from tests.settings import MILANGO as MILANGO

SECRET_KEY = "a host project of its own"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
TIME_ZONE = "Africa/Nairobi"
ROOT_URLCONF = "tests.host.urls"
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "milango",
]
MIDDLEWARE = [
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
]
DATABASES = {"default": databases.chosen()}
# What a host may have for its own API: none of it is for ours.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["tests.host.nobody.Nobody"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAdminUser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.StaticHTMLRenderer"],
    "EXCEPTION_HANDLER": "tests.host.nobody.handler",
}
