"""A worker in a process of its own, to be killed. Run by `test_kill.py`.

python -m tests.webhooks.telling  (a JSON document with database and settings on standard input)
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any


def main(told: dict[str, Any]) -> None:
    """Set Django up on the test's database, and deliver until killed."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = told["database"]
    settings.MILANGO = told["milango"]
    django.setup()
    from milango.flows import deliver

    deliver.run(threading.Event())


if __name__ == "__main__":
    main(json.loads(sys.stdin.readline()))
