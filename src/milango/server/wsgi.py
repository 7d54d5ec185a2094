"""The WSGI application, for servers that speak it: `milango.server.wsgi:application`."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application
from servestatic import ServeStatic  # type: ignore[import-untyped]

from .static import static_folders

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "milango.server.settings")

application = ServeStatic(get_wsgi_application(), max_age=300)
for _folder, _prefix in static_folders():
    application.add_files(_folder, prefix=_prefix)
