"""Which engine runs the tasks of Django's Tasks API: by the database, and with its own apps."""

from __future__ import annotations

from typing import Any, Final, NamedTuple


class Engine(NamedTuple):
    """What an engine needs in Django's settings."""

    apps: tuple[str, ...]
    backend: str

    @property
    def tasks(self) -> dict[str, Any]:
        """The setting `TASKS`."""
        return {"default": {"BACKEND": self.backend}}


ENGINES: Final = {
    "django.db.backends.sqlite3": Engine(("django_tasks_db",), "milango.server.queue_sqlite.Queue"),
    # Its migrations end at the first line on any other database.
    "django.db.backends.postgresql": Engine(
        ("procrastinate.contrib.django",), "milango.server.queue_postgres.Queue"
    ),
}


def engine_for(database: dict[str, Any]) -> Engine:
    """The engine for Django's `DATABASES["default"]`."""
    return ENGINES[database["ENGINE"]]
