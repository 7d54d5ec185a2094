"""A clock that jumps: processes that follow a file add the seconds that stand in it to their own.

Python's clock only, which is what Milango's own decisions are made by; the database's stays right.
"""

from __future__ import annotations

import mmap
import struct
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

SECONDS: Final = struct.Struct("d")


def make(file: Path) -> Path:
    """A clock that tells the right time, until it is set."""
    file.write_bytes(SECONDS.pack(0.0))
    return file


def jump(file: Path, seconds: float) -> None:
    """Move the clock of all who follow the file; 0 puts it right."""
    with file.open("r+b") as written:
        written.write(SECONDS.pack(seconds))


def follow(file: str) -> None:
    """Make this process's `timezone.now` and `time.time_ns` follow the file from now on."""
    from django.utils import timezone

    with Path(file).open("r+b") as opened:
        offset = mmap.mmap(opened.fileno(), SECONDS.size, access=mmap.ACCESS_READ)
    right, right_ns = timezone.now, time.time_ns

    def ahead() -> float:
        return float(SECONDS.unpack_from(offset)[0])

    def now() -> datetime:
        return right() + timedelta(seconds=ahead())

    def now_ns() -> int:
        return right_ns() + round(ahead() * 1e9)

    timezone.now, time.time_ns = now, now_ns
