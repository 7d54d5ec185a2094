"""The ASGI application: `milango.server.asgi:application`."""

from __future__ import annotations

import os

from django.core.asgi import get_asgi_application

from .static import static_folders

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "milango.server.settings")


def make_application() -> object:
    """The hot door before Django, and Django's static files between the two: straight from the
    packages, so that there is no step to collect them."""
    from servestatic import ServeStaticASGI  # type: ignore[import-untyped]

    pages = ServeStaticASGI(get_asgi_application(), max_age=300)
    for folder, prefix in static_folders():
        pages.add_files(folder, prefix=prefix)
    # Its flows need Django's apps, which are ready only now.
    from milango.front import Front
    from milango.seen import spans

    spans.start(os.environ)
    return Front(pages)


application = make_application()
