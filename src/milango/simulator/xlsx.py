"""A workbook of one sheet with the fewest parts that spreadsheets read (ECMA-376)."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from xml.sax.saxutils import escape

from milango.simulator.ids import EAT


@dataclass(frozen=True, slots=True)
class Money:
    """In cents; as a text with two decimals and thousands separators."""

    cents: int

    def __str__(self) -> str:
        return f"{self.cents / 100:,.2f}"


@dataclass(frozen=True, slots=True)
class Moment:
    """As a text day first, in EAT."""

    at: datetime

    def __str__(self) -> str:
        return f"{self.at.astimezone(EAT):%d-%m-%Y %H:%M:%S}"


Cell = str | Money | Moment

_HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_MAIN: Final = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"
_SHEET_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_UNWRITABLE: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_DAY_ZERO: Final = datetime(1899, 12, 30, tzinfo=EAT)

_PARTS: Final = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">'
    f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.'
    f'relationships+xml"/><Default Extension="xml" ContentType="{_SHEET_TYPE}.sheet.main+xml"/>'
    f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_SHEET_TYPE}.worksheet+xml"/>'
    f'<Override PartName="/xl/styles.xml" ContentType="{_SHEET_TYPE}.styles+xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships">'
    f'<Relationship Id="rId1" Type="{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/>'
    f'<Relationship Id="rId2" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
    # Style 1 is a moment, style 2 is money.
    "xl/styles.xml": f'<styleSheet xmlns="{_MAIN}"><numFmts count="1"><numFmt numFmtId="164" '
    'formatCode="dd\\-mm\\-yyyy\\ hh:mm:ss"/></numFmts><fonts count="1"><font/></fonts>'
    '<fills count="1"><fill><patternFill/></fill></fills><borders count="1"><border/></borders>'
    '<cellStyleXfs count="1"><xf/></cellStyleXfs><cellXfs count="3"><xf/>'
    '<xf numFmtId="164" applyNumberFormat="1"/><xf numFmtId="4" applyNumberFormat="1"/>'
    "</cellXfs></styleSheet>",
}


def workbook(title: str, rows: Iterable[Iterable[Cell]], *, typed: bool) -> bytes:
    """The file. `typed` writes Money and Moment as numbers that look like them, not as texts."""
    book = (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>'
        f'<sheet name="{escape(title)}" sheetId="1" r:id="rId1"/></sheets></workbook>'
    )
    written = "".join(_row(number, row, typed=typed) for number, row in enumerate(rows, 1))
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{written}</sheetData></worksheet>'
    parts = _PARTS | {"xl/workbook.xml": book, "xl/worksheets/sheet1.xml": sheet}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, _HEAD + part)
    return out.getvalue()


def _row(number: int, cells: Iterable[Cell], *, typed: bool) -> str:
    written = "".join(
        _cell(f"{chr(ord('A') + column)}{number}", cell, typed=typed)
        for column, cell in enumerate(cells)
    )
    return f'<row r="{number}">{written}</row>'


def _cell(place: str, cell: Cell, *, typed: bool) -> str:
    if cell == "":
        return ""
    if typed and isinstance(cell, Money):
        return f'<c r="{place}" s="2"><v>{cell.cents / 100:.2f}</v></c>'
    if typed and isinstance(cell, Moment):
        return f'<c r="{place}" s="1"><v>{_serial(cell.at)}</v></c>'
    text = escape(_UNWRITABLE.sub("", str(cell)))
    return f'<c r="{place}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>'


def _serial(at: datetime) -> str:
    """Days since the spreadsheet's day zero, to the second."""
    whole = at.astimezone(EAT).replace(microsecond=0)
    return f"{(whole - _DAY_ZERO).total_seconds() / 86_400:.10f}"
