"""The clock's door: does what is due, and starts what has its hour.

Any number of workers may run, on any machine. What is due stands in rows, and each worker takes
rows by a conditional update, so nothing is done twice and nothing is lost with a worker. What has
its hour is started once for all of them (`clock.py`), through Django's Tasks API (`jobs.py`).
"""

from __future__ import annotations

from .rounds import leave, run, start

__all__ = ["leave", "run", "start"]
