"""Times that sort, have seconds, and say whose they are: 2026-03-14 07:15:30 UTC."""

from __future__ import annotations

DATETIME_FORMAT = "Y-m-d H:i:s T"
DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
