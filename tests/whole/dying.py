"""A process that asks for a prompt and is killed at a chosen point. Run by `test_crash.py`.

python -m tests.whole.dying POINT  (a JSON document with the rest on standard input)
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def die(*args: Any, **kwargs: Any) -> None:
    """As the kernel would, or a power cut: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def main(point: str, told: dict[str, Any]) -> None:
    """Set Django up on the test's database, arm the trap, and ask."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django
    from django.conf import settings

    settings.DATABASES["default"]["NAME"] = told["database"]
    settings.MILANGO = told["milango"]
    django.setup()

    from milango.core.inputs import read_push
    from milango.flows import callers, charge
    from milango.models import Merchant

    def after(name: str) -> None:
        real = getattr(charge, name)

        def act_and_die(*args: Any, **kwargs: Any) -> None:
            real(*args, **kwargs)
            die()

        setattr(charge, name, act_and_die)

    traps = {
        "row_committed": lambda: setattr(charge, "send", die),
        "token_fetched": lambda: setattr(charge, "mark_sending", die),
        "sending_marked": lambda: after("mark_sending"),
        "answer_received": lambda: setattr(charge, "conclude", die),
        "while_daraja_thinks": lambda: signal.setitimer(signal.ITIMER_REAL, 1.0),
    }
    signal.signal(signal.SIGALRM, die)
    traps[point]()
    caller = callers.owner_of(Merchant.objects.get(name=told["merchant"]))
    request = read_push(json.dumps(told["request"]).encode())
    charge.charge(caller, request, idempotency_key="order-1")


if __name__ == "__main__":
    main(sys.argv[1], json.load(sys.stdin))
