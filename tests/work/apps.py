"""A host's app that has periods of its own: what the clock starts, every two seconds."""

from __future__ import annotations

from datetime import timedelta

from django.apps import AppConfig

EVERY = timedelta(seconds=2)


class Quick(AppConfig):
    name = "tests.work"

    def ready(self) -> None:
        from milango.tasks.clock import CLOCK

        CLOCK[:] = [each._replace(every=EVERY) for each in CLOCK]
