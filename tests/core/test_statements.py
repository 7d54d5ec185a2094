"""Reading M-Pesa's statements, and seeing where they were edited."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.statements import (
    Kind,
    NotAStatement,
    Statement,
    may_be_phone,
    read_money,
    read_statement,
    read_time,
    receipt_date,
)
from milango.flows import sheets
from milango.flows.sheets import rows_of

FILES = Path(__file__).parent.parent / "statements"
PAYBILL = (FILES / "paybill.csv").read_bytes()
TEXT = PAYBILL.decode()
ROWS = [list(row) for row in rows_of(PAYBILL)]
COLUMN = {name: at for at, name in enumerate(ROWS[6])}
FIRST = 7
"""The first line, newest first."""


def read(content: bytes) -> Statement:
    return read_statement(rows_of(content))


def problems(rows: list[list[str]]) -> set[str]:
    return {problem.kind for problem in read_statement(rows).problems}


def edited(change: Callable[[list[list[str]]], object]) -> list[list[str]]:
    rows = [row[:] for row in ROWS]
    change(rows)
    return rows


# --- the same facts, however they are written -----------------------------------------------


def test_it_reads_a_statement_of_a_paybill() -> None:
    statement = read(PAYBILL)
    assert statement.is_sound
    assert (statement.short_code, statement.account) == ("600100", "Utility Account")
    assert statement.since == datetime(2026, 3, 13, 21, 0, tzinfo=UTC)
    assert statement.until == datetime(2026, 3, 14, 20, 59, 59, tzinfo=UTC)
    first, second = statement.payments().values()
    assert (first.receipt, first.paid_in) == ("UCE3P9W8ZA", Decimal("1500.00"))
    assert first.completed_at == datetime(2026, 3, 14, 6, 12, 3, tzinfo=UTC)
    assert (second.phone, second.account) == ("254110***123", "inv 2")
    assert statement.reversed() == {"UCE5K7Q2XD": Decimal("150.00")}
    kinds = [line.kind.value for line in statement.lines]
    assert kinds == ["payment", "charge", "payment", "charge", "other", "reversal", "other"]


@pytest.mark.parametrize("name", ["paybill.xlsx", "paybill_typed.xlsx"])
def test_a_workbook_says_what_its_csv_says(name: str) -> None:
    assert read((FILES / name).read_bytes()) == read(PAYBILL)


@pytest.mark.parametrize(
    "content",
    [
        TEXT.encode("utf-8-sig"),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-le"),
        TEXT.encode("utf-16-be"),
        TEXT.encode("cp1252"),
        TEXT.replace("\r\n", "\n").encode(),
    ],
)
def test_encodings_and_ends_of_lines_do_not_matter(content: bytes) -> None:
    assert read(content) == read(PAYBILL)


def test_a_name_in_cp1252_is_read() -> None:
    named = TEXT.replace("Duka la Mfano - Nairobi", "Café Mfano").encode("cp1252")
    assert read(named).organisation == "Café Mfano"


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_delimiters_do_not_matter(delimiter: str) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(ROWS)
    assert read(out.getvalue().encode()) == read(PAYBILL)


def test_oldest_first_is_as_good() -> None:
    turned = read_statement(ROWS[:FIRST] + ROWS[FIRST:][::-1])
    assert turned.is_sound
    assert [line.receipt for line in turned.lines] == [x.receipt for x in read(PAYBILL).lines]


def test_pages_totals_and_repeated_rows_add_nothing() -> None:
    totals = ["", "", "", "Total", "", "1,650.00", "-10,253.90"]
    rows = [*ROWS[: FIRST + 2], ROWS[6], [], *ROWS[FIRST + 1 :], totals]
    statement = read_statement(rows)
    assert statement.is_sound
    assert statement.duplicates == 1
    assert statement.payments().keys() == read(PAYBILL).payments().keys()


def test_the_newer_layout_is_read_and_proves_nothing() -> None:
    statement = read((FILES / "newer.csv").read_bytes())
    assert [problem.kind for problem in statement.problems] == ["no_opening", "no_short_code"]
    assert [(x.account, x.phone) for x in statement.payments().values()] == [
        ("INV-1", "2547****149"),
        ("inv 2", "2547****149"),
    ]


# --- a line that was edited, added or taken away --------------------------------------------


@pytest.mark.parametrize("at", range(FIRST, len(ROWS)))
def test_a_line_that_was_taken_away_leaves_a_break(at: int) -> None:
    found = problems(edited(lambda rows: rows.pop(at)))
    failed = ROWS[at][COLUMN["Transaction Status"]] == "Failed"  # it had moved nothing
    assert bool(found) is not failed


@pytest.mark.parametrize("column", ["Paid In", "Withdrawn", "Balance"])
@pytest.mark.parametrize("at", range(FIRST, len(ROWS)))
def test_an_edited_sum_leaves_a_break(at: int, column: str) -> None:
    if ROWS[at][COLUMN["Transaction Status"]] == "Failed":
        return
    found = problems(edited(lambda rows: rows[at].__setitem__(COLUMN[column], "77.00")))
    assert found & {"balance_broken", "closing", "totals", "unreadable_row"}


@pytest.mark.parametrize("at", range(FIRST, len(ROWS) + 1))
def test_an_added_line_leaves_a_break(at: int) -> None:
    def add(rows: list[list[str]]) -> None:
        line = rows[-2][:]
        line[COLUMN["Receipt No."]] = "UCE2A2A2A2"
        line[COLUMN["Completion Time"]] = rows[min(at, len(rows) - 1)][COLUMN["Completion Time"]]
        line[COLUMN["Paid In"]], line[COLUMN["Withdrawn"]] = "500.00", ""
        rows.insert(at, line)

    assert problems(edited(add))


@pytest.mark.parametrize(
    ("row", "column", "value", "problem"),
    [
        (5, 1, "9,000.00", "balance_broken"),
        (5, 1, "", "no_opening"),
        (5, 3, "1,400.00", "closing"),
        (5, 7, "1,651.00", "totals"),
        (FIRST, 1, "13-03-2026 08:00:00", "out_of_order"),
        (FIRST, 1, "15-03-2026 00:00:01", "outside_period"),
        (FIRST, 1, "yesterday", "unreadable_row"),
        (FIRST, 7, "", "no_balance"),
        (1, 1, "", "no_short_code"),
    ],
)
def test_what_disagrees_has_a_name(row: int, column: int, value: str, problem: str) -> None:
    assert problem in problems(edited(lambda rows: rows[row].__setitem__(column, value)))


def test_a_receipt_is_one_payment() -> None:
    def again(rows: list[list[str]]) -> None:
        rows[-1][COLUMN["Receipt No."]] = "UCE5K7Q2XD"

    assert "receipt_twice" in problems(edited(again))


@given(st.randoms(use_true_random=False), st.integers(2, 12))
def test_lines_of_one_second_may_stand_in_any_order(random, count: int) -> None:
    lines, balance = [], 0
    for n in range(count):
        amount = random.randint(1, 9_999)
        balance += amount
        lines.append(
            f"UCE000000{n:X}|14-03-2026 10:15:47|Pay Bill from 254708***149 - JOHN DOE|"
            f"Completed|{amount}||{balance}".split("|")
        )
    random.shuffle(lines)
    above = [ROWS[1], ["Opening Balance:", "0", "Closing Balance:", str(balance)]]
    names = [name for name in ROWS[6] if name not in {"Initiation Time"}]
    assert not problems([*above, names, *lines])
    lines[0][4] = str(int(lines[0][4]) + 1)
    assert "balance_broken" in problems([*above, names, *lines])


# --- what is no statement -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "no row names the columns"),
        (b"Name,Phone\nJohn,0700000000\n", "no row names the columns"),
        (b"%PDF-1.7 ...", "PDF"),
        (b"PK\x03\x04 and no more", "damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "cannot be read"),
        (b"\x00\x01\x02\x03\x00\x00\x00\xd8" * 40, "no text|names the columns"),
        (b'Receipt No.,Completion Time,Paid In\n"' + b"x" * 200_000, "cannot be read"),
    ],
)
def test_what_is_no_statement_is_refused_in_a_sentence(content: bytes, says: str) -> None:
    with pytest.raises(NotAStatement, match=says):
        read(content)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with suppress(NotAStatement):
        read(content)


def bomb(size: int) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * size)
    return packed.getvalue()


def test_a_zip_bomb_is_not_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_UNPACKED", 1 << 20)
    with pytest.raises(NotAStatement, match="Unpacked, this file is larger than 1 MB"):
        read(bomb(2 << 20))


def test_a_cell_in_the_last_corner_of_its_sheet_takes_no_memory_of_ours() -> None:
    """A thousand bytes make the reader ask for more memory than there is."""
    with (FILES / "paybill.xlsx").open("rb") as stream, zipfile.ZipFile(stream) as packed:
        parts = {name: packed.read(name) for name in packed.namelist()}
    name = "xl/worksheets/sheet1.xml"
    far = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    parts[name] = parts[name].replace(b"</sheetData>", far)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for part, data in parts.items():
            archive.writestr(part, data)
    with pytest.raises(NotAStatement, match="more memory"):
        read(made.getvalue())


def test_a_zip_that_lies_about_its_size_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "MOST_UNPACKED", 1 << 20)
    lying = bomb(2 << 20).replace((2 << 20).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    with pytest.raises(NotAStatement):
        read(lying)


# --- cells ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "kes"),
    [
        ("1,234.50", "1234.50"),
        ("-10,100.00", "-10100.00"),
        ("(50.00)", "-50.00"),
        ("1 234,50", "1234.50"),
        ("1.234.567,5", "1234567.5"),
        ("KES 1,500", "1500"),
        ("Ksh150.00", "150.00"),
        ("", "0"),
        (150.4, "150.40"),
        (7, "7.00"),
        ("1.500", None),
        ("12,34,567", None),
        ("fifty", None),
        ("NaN", None),
        (float("nan"), None),
        (float("inf"), None),
        (0.001, None),
        (True, None),
        ("1e9", None),
        ("9" * 30, None),
    ],
)
def test_money_is_read_exactly_or_not_at_all(cell: object, kes: str | None) -> None:
    assert read_money(cell) == (None if kes is None else Decimal(kes))


@pytest.mark.parametrize(
    "cell",
    [
        "14-03-2026 10:15:47",
        "14/03/2026 10:15:47",
        "14.03.2026 10:15:47",
        "2026-03-14 10:15:47",
        "2026-03-14T10:15:47.000",
        datetime(2026, 3, 14, 10, 15, 47),  # noqa: DTZ001 - as a workbook gives it
    ],
)
def test_times_are_east_african(cell: object) -> None:
    assert read_time(cell) == datetime(2026, 3, 14, 7, 15, 47, tzinfo=UTC)


@pytest.mark.parametrize("cell", ["03/14/2026 10:00", "14-03/2026", "10:15", "", "31-02-2026"])
def test_what_is_no_time_is_none(cell: str) -> None:
    assert read_time(cell) is None


def test_a_receipt_hints_at_its_day() -> None:
    assert receipt_date("UCE5K7Q2XD") == date(2026, 3, 14)
    assert receipt_date("UBU5K7Q2XD") is None  # the 30th of February
    assert receipt_date("1234567890") is None


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("254708374149", True),
        ("0708374149", True),
        ("254708***149", True),
        ("2547****149", True),
        ("07****149", True),
        ("254708***148", False),
        ("254711***149", False),
        ("2547****49", False),
        ("", False),
        ("600100", False),
    ],
)
def test_a_masked_number_may_stand_for_a_whole_one(written: str, same: bool) -> None:
    assert may_be_phone("254708374149", written) is same


def test_a_payers_name_decides_nothing() -> None:
    def rename(rows: list[list[str]]) -> None:
        rows[-1][COLUMN["Details"]] = "Pay Bill from 25470****149 - CHARGE SETTLEMENT Acc. X"

    statement = read_statement(edited(rename))
    assert statement.lines[0].kind is Kind.PAYMENT
