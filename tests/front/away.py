"""A server whose database is nowhere. Run by `test_spool.py`, which kills it.

python -m tests.front.away  (a JSON document with the spool and the keys on standard input)
"""

from __future__ import annotations

import json
import os
import sys
import time


def main() -> None:
    """Serve until killed; the address is written to standard output."""
    told = json.loads(sys.stdin.readline())
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings

    settings.DATABASES["default"] |= {"NAME": "/nowhere/at/all", "HOST": "/nowhere/at/all"}
    settings.MILANGO = told
    django.setup()

    from django.core.asgi import get_asgi_application

    from milango.front import Front
    from tests.servers import serve

    with serve(Front(get_asgi_application()), lifespan="on") as url:  # type: ignore[arg-type]
        print(url, flush=True)
        while True:
            time.sleep(60)


if __name__ == "__main__":
    main()
