"""The demo as a Django app: it brings the page's template and static files."""

from __future__ import annotations

from django.apps import AppConfig


class DemoConfig(AppConfig):
    """Only `milango demo` installs it."""

    name = "milango.server.demo"
    label = "milango_demo"
    verbose_name = "Milango demo"
