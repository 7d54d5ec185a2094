"""A program of its own: a workbook on stdin → its first sheet's rows on stdout, JSON line by line.

A file of a thousand bytes can name a cell in the last corner of its sheet, or one long text a
million times, and the reader makes room for all of it. Here that ends this process, and no other
one. What cannot be read is told by the exit code.
"""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Final

import msgspec
from python_calamine import CalamineError, CalamineWorkbook, PasswordError

MOST_MEMORY: Final = 1 << 30
"""Bytes. A statement of half a million rows fits in."""

MOST_OF_A_ROW: Final = 1 << 16
"""Bytes. Nothing that a statement says is longer."""

MOST_SECONDS: Final = 120
"""Of a processor's time."""

PASSWORD, NO_SHEETS, UNREADABLE = 10, 11, 12


def main() -> int:
    """Returns the exit code."""
    _bound()
    # Times as texts; numbers and truths stay what they are.
    encode, out = msgspec.json.Encoder(enc_hook=str).encode, sys.stdout.buffer
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(sys.stdin.buffer.read()))
        if not book.sheet_names:
            return NO_SHEETS
        for row in book.get_sheet_by_index(0).iter_rows():
            line = encode(row)
            if len(line) > MOST_OF_A_ROW:
                return UNREADABLE
            out.write(line + b"\n")
        out.flush()
    except PasswordError:
        return PASSWORD
    except CalamineError:
        return UNREADABLE
    return 0


def _bound() -> None:
    """As far as this system can: some cannot bound the memory of a process."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


if __name__ == "__main__":
    sys.exit(main())
