"""Bytes of a table that somebody downloaded (CSV, XLSX, XLS) → rows of cells, within bounds.

Whoever uploads a file may have made it: its size is measured, never believed.
"""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Final

import msgspec

from milango.core.statements import NotAStatement, Row

from . import workbook

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of the file as it is uploaded."""

MOST_UNPACKED: Final = 256 * 1024 * 1024
"""Of all parts of an XLSX together, unpacked."""

MOST_PARTS: Final = 1_000

CHUNK: Final = 1 << 16

DELIMITERS: Final = ",;\t|"

ZIP: Final = b"PK\x03\x04"
OLE: Final = b"\xd0\xcf\x11\xe0"
"""How XLS begins, and how an XLSX with a password does."""


def rows_of(content: bytes) -> Iterator[Row]:
    """The rows of a file, by what it is, not by what it is called. Raises NotAStatement."""
    if len(content) > MOST_BYTES:
        raise NotAStatement(f"The file is larger than {MOST_BYTES >> 20} MB. Split its period.")
    if content.startswith(ZIP):
        return _workbook(_measured(content))
    if content.startswith(OLE):
        return _workbook(content)
    if content.startswith(b"%PDF"):
        raise NotAStatement("This is a PDF. Download the statement as CSV or Excel instead.")
    return _csv(_text(content))


# --- workbooks ------------------------------------------------------------------------------


def _measured(content: bytes) -> bytes:
    """The same archive with every part unpacked: what the reader gets is what was measured."""
    measured = io.BytesIO()
    room = MOST_UNPACKED
    try:
        with (
            zipfile.ZipFile(io.BytesIO(content)) as packed,
            zipfile.ZipFile(measured, "w", zipfile.ZIP_STORED) as unpacked,
        ):
            if len(packed.infolist()) > MOST_PARTS:
                raise NotAStatement("This workbook has more parts than any statement needs.")
            for part in packed.infolist():
                data = _unpacked(packed, part, room)
                room -= len(data)
                unpacked.writestr(part.filename, data)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise NotAStatement("This Excel file is damaged. Download it again.") from None
    return measured.getvalue()


def _unpacked(packed: zipfile.ZipFile, part: zipfile.ZipInfo, room: int) -> bytes:
    """One part, read piece by piece: what it says of its own size proves nothing."""
    pieces, size = [], 0
    with packed.open(part) as stream:
        while piece := stream.read(CHUNK):
            size += len(piece)
            if size > room:
                message = f"Unpacked, this file is larger than {MOST_UNPACKED >> 20} MB."
                raise NotAStatement(f"{message} Split its period.")
            pieces.append(piece)
    return b"".join(pieces)


SAYINGS: Final = {
    workbook.PASSWORD: "This file has a password. Open it, save it without one, and import that.",
    workbook.NO_SHEETS: "This workbook has no sheets.",
    workbook.UNREADABLE: "This Excel file cannot be read. Download it again.",
}
TOO_MUCH: Final = (
    "This Excel file takes more memory than any statement needs, or cannot be read. Download it "
    "again, or split its period."
)


def _workbook(content: bytes) -> Iterator[Row]:
    """Read by a process of its own, which a file that was made to harm ends, and not ours."""
    command = [sys.executable, "-P", workbook.__file__]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as reader:
        assert reader.stdin is not None
        assert reader.stdout is not None
        try:
            with suppress(BrokenPipeError):
                reader.stdin.write(content)
                reader.stdin.close()
            for line in reader.stdout:
                yield msgspec.json.decode(line)
            code = reader.wait()
        finally:
            reader.kill()
    if code:
        raise NotAStatement(SAYINGS.get(code, TOO_MUCH))


# --- text -----------------------------------------------------------------------------------


def _text(content: bytes) -> str:
    """Portals and spreadsheets write UTF-8, UTF-16 (Excel's "Unicode text") or cp1252."""
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    elif b"\0" in content[:CHUNK]:
        zeros_first = content[:CHUNK:2].count(0) > content[1:CHUNK:2].count(0)
        encodings = ["utf-16-be" if zeros_first else "utf-16-le"]
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    if encodings[-1] == "cp1252":
        return content.decode("cp1252", "replace")
    raise NotAStatement("This file is no text. Download the statement as CSV or Excel.")


def _csv(text: str) -> Iterator[Row]:
    try:
        yield from csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text))
    except csv.Error:
        raise NotAStatement("This CSV file cannot be read. Download it again.") from None


def _delimiter(text: str) -> str:
    """The one that parts the names of the columns best."""
    lines: Iterable[str] = text[:CHUNK].splitlines()
    names = [line for line in lines if "receipt" in line.lower()] or [text[:CHUNK]]
    return max(DELIMITERS, key=lambda mark: max(line.count(mark) for line in names))
