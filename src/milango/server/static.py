"""Where the packages keep their static files."""

from __future__ import annotations

from pathlib import Path

from django.apps import apps
from django.conf import settings


def static_folders() -> list[tuple[str, str]]:
    """(folder, prefix of its addresses) of each app that has static files; Django is set up."""
    folders = [Path(app.path) / "static" for app in apps.get_app_configs()]
    return [(str(folder), settings.STATIC_URL) for folder in folders if folder.is_dir()]
