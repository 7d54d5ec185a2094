"""The ASGI application: `milango.server.asgi:application`."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from .static import static_folders

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "milango.server.settings")


def make_application() -> object:
    """Django, with its static files answered before it: straight from the packages, so that
    there is no step to collect them."""
    from servestatic import ServeStaticASGI  # type: ignore[import-untyped]

    application = ServeStaticASGI(get_asgi_application(), max_age=300)
    for folder, prefix in static_folders():
        application.add_files(folder, prefix=prefix)
    return application


application = make_application()
