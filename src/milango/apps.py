"""Milango as a Django app."""

from django.apps import AppConfig


class MilangoConfig(AppConfig):
    """Add `"milango"` to INSTALLED_APPS."""

    name = "milango"
    verbose_name = "Milango"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, and keep tokens and phone numbers out of path logs."""
        from . import checks  # noqa: F401 - importing registers them
        from .api import redaction

        redaction.install()
