"""Milango as a Django app."""

from uuid import UUID

from django.apps import AppConfig


class MilangoConfig(AppConfig):
    """Add `"milango"` to INSTALLED_APPS."""

    name = "milango"
    verbose_name = "Milango"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks, keep tokens and phone numbers out of path logs, and have
        errands begun by tasks."""
        from . import checks  # noqa: F401 - importing registers them
        from .api import redaction
        from .flows import starting

        redaction.install()
        starting.begun_by(_begin)


def _begin(errand_id: UUID) -> None:
    from .tasks import jobs  # only then: it brings the engine of the tasks along

    jobs.begin_errand(errand_id)
