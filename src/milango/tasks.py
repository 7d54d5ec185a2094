"""The clock's door: asks Daraja about what is due, tells the merchants, and puts away what time
has decided.

Any number of workers may run, on any machine: each takes a row by a conditional update, and a
sweep picks up whatever a crash left behind.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Final

from django.db import DatabaseError, InterfaceError, close_old_connections, connections
from django.utils import timezone

from milango.core.errors import Declined
from milango.flows import book, deliver, heartbeats, installations, pulls, reconcile, sweep

logger = logging.getLogger(__name__)

PAUSE: Final = 1.0
"""Seconds between two looks for due payments."""

SWEEP_EVERY: Final = 60.0
"""Seconds between two sweeps."""

BACK_OFF: Final = 5.0
"""Seconds to leave a database alone that cannot be used."""


def run(stop: threading.Event) -> None:
    """Work until `stop` is set. A database that goes away is waited for."""
    telling = threading.Thread(target=deliver.run, args=(stop,), name="milango-webhooks")
    telling.daemon = True
    telling.start()
    swept = beaten = float("-inf")
    said = ""
    while not stop.is_set():
        wait = PAUSE
        try:
            close_old_connections()
            installations.require_adopted()
            if time.monotonic() - beaten > heartbeats.EVERY:
                heartbeats.beat()
                beaten = time.monotonic()
            reconcile.ask_due()
            pulls.pull_due(timezone.now())
            if time.monotonic() - swept > SWEEP_EVERY:
                sweep.sweep()
                book.retry_unmatched(timezone.now())
                deliver.sweep()
                swept = time.monotonic()
            said = ""
        except (DatabaseError, InterfaceError, Declined) as error:
            wait = BACK_OFF
            said = _say_once(error, said)
        except Exception as error:
            # One row that breaks us must not end the work for all the others.
            wait = BACK_OFF
            said = _say_once(error, said)
        stop.wait(wait)
    connections.close_all()
    telling.join(deliver.LEAVE_WITHIN + 1)


def _say_once(error: Exception, said: str) -> str:
    """A database belonging to another installation has a remedy to tell; others have a name."""
    sentence = str(error) if isinstance(error, Declined) else type(error).__name__
    if sentence != said:
        logger.error("background work waits: %s", sentence)
    return sentence


def start() -> tuple[threading.Thread, threading.Event]:
    """Work in a thread of this process: the embedded form. Set the event to end it."""
    stop = threading.Event()
    thread = threading.Thread(target=run, args=(stop,), name="milango-worker", daemon=True)
    thread.start()
    return thread, stop
