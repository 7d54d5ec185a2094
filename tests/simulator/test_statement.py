from __future__ import annotations

import csv
import io
import re
import zipfile
from typing import Any

import pytest

from .conftest import Merchant
from .test_push import AT_THE_TILL, TILL

HOUR = 3600


async def download(merchant: Merchant, name: str, **wish: str) -> bytes:
    address = f"{merchant.address}/control/statements/{name}"
    async with merchant.http.get(address, params=wish) as answer:
        assert answer.status == 200, await answer.text()
        assert "attachment" in answer.headers["Content-Disposition"]
        return await answer.read()


async def sheet(merchant: Merchant, name: str = "600100.csv", **wish: str) -> list[list[str]]:
    """All rows of the CSV."""
    text = (await download(merchant, name, **wish)).decode(wish.get("encoding", "utf-8"))
    return list(csv.reader(io.StringIO(text)))


async def lines(merchant: Merchant, name: str = "600100.csv", **wish: str) -> list[dict[str, str]]:
    _, *rows = (await sheet(merchant, name, **wish))[5:]
    columns, *rest = rows
    return [dict(zip(columns, row, strict=True)) for row in rest]


def cents(text: str) -> int:
    return round(float(text.replace(",", "") or "0") * 100)


async def test_it_works(merchant: Merchant) -> None:
    row = await merchant.truth(await merchant.pushed())
    await merchant.settle()
    row = await merchant.truth(row["checkout_request_id"])
    (line,) = await lines(merchant)
    assert list(line) == [
        "Receipt No.", "Completion Time", "Initiation Time", "Details", "Transaction Status",
        "Paid In", "Withdrawn", "Balance", "Balance Confirmed", "Reason Type",
        "Other Party Info", "Linked Transaction ID", "A/C No.",
    ]  # fmt: skip
    day = row["ended_at"]
    assert line["Receipt No."] == row["receipt"]
    assert line["Completion Time"] == f"{day[8:10]}-{day[5:7]}-{day[:4]} {day[11:19]}"
    assert line["Details"] == "Pay Bill Online from 254708374149 - OTIENO KAMAU Acc. INV-20931"
    assert (line["Transaction Status"], line["Reason Type"]) == ("Completed", "Pay Bill Online")
    assert (line["Paid In"], line["Withdrawn"], line["Balance"]) == ("150.00", "", "150.00")
    assert (line["Other Party Info"], line["A/C No."]) == (
        "254708374149 - OTIENO KAMAU",
        "INV-20931",
    )


async def test_a_block_says_whose_it_is_and_of_when(merchant: Merchant) -> None:
    await merchant.pay(amount=1500, ago_s=50 * HOUR)
    await merchant.pay(amount=20)
    wish = {"since": "2026-03-14T00:00:00", "until": "2027-03-14T23:59:59"}
    block = (await sheet(merchant, **wish))[:6]
    assert block[:3] == [
        ["Account Holder:", "Business 600100"],
        ["Short Code:", "600100"],
        ["Account:", "Utility Account"],
    ]
    assert block[3][::2] == ["Time Period:", "14-03-2026 00:00:00", "14-03-2027 23:59:59"]
    assert block[5][::2] == [
        "Opening Balance:", "Closing Balance:", "Available Balance:", "Total Paid In:",
        "Total Withdrawn:",
    ]  # fmt: skip
    assert block[5][1::2] == ["0.00", "1,520.00", "1,520.00", "1,520.00", "0.00"]


async def test_lines_come_newest_first_with_a_running_balance(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"charge_share": 0.0055})
    paid = [(await merchant.pay(amount=n * 1000, ago_s=9 - n))["receipt"] for n in (3, 1, 2)]
    told = await lines(merchant)
    assert [line["Receipt No."] for line in told[1::2]] == [paid[0], paid[2], paid[1]]
    assert [line["Receipt No."] for line in told[::2]] == [paid[0], paid[2], paid[1]]
    balance = 0
    for line in reversed(told):
        balance += cents(line["Paid In"]) + cents(line["Withdrawn"])
        assert cents(line["Balance"]) == balance
    assert balance == 600_000 - 3300


async def test_a_charge_stands_above_its_payment(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"charge_share": 0.0055})
    row = await merchant.pay(amount=1000)
    charge, payment = await lines(merchant)
    assert charge["Receipt No."] == payment["Receipt No."] == row["receipt"]
    assert (charge["Details"], charge["Withdrawn"]) == ("Pay Bill Charge", "-5.50")
    assert (charge["Paid In"], charge["Other Party Info"]) == ("", "")
    assert (payment["Balance"], charge["Balance"]) == ("1,000.00", "994.50")


async def test_a_period_opens_with_what_was_there(merchant: Merchant) -> None:
    await merchant.pay(amount=700, ago_s=30 * HOUR)
    mark = await merchant.pay(amount=30, ago_s=20 * HOUR)
    await merchant.pay(amount=5)
    rows = await sheet(merchant, since=mark["completed_at"], until=mark["completed_at"])
    assert rows[5][1:4:2] == ["700.00", "730.00"]
    assert [row[0] for row in rows[7:]] == [mark["receipt"]]


async def test_a_declined_payment_is_listed_and_moves_nothing(merchant: Merchant) -> None:
    await merchant.register()
    await merchant.control("PATCH", "settings", {"c2b_validation": True})
    merchant.listener.reply = {"ResultCode": "C2B00012", "ResultDesc": "Rejected"}
    await merchant.pay()
    (line,) = await lines(merchant)
    assert (line["Transaction Status"], line["Paid In"], line["Balance"]) == (
        "Declined",
        "500.00",
        "0.00",
    )
    assert (await sheet(merchant))[5][7] == "0.00"


async def test_a_till_has_no_account_numbers(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", TILL)
    await merchant.pushed(**AT_THE_TILL)
    await merchant.settle()
    await merchant.pay(shortcode="9318826")
    told = await lines(merchant, "9318826.csv")
    assert [line["Reason Type"] for line in told] == ["Merchant Payment", "Merchant Payment Online"]
    assert told[0]["Details"] == "Merchant Payment from 254708374149 - OTIENO KAMAU"
    assert told[0]["A/C No."] == ""
    assert (await sheet(merchant, "9318826.csv"))[2][1] == "Merchant Account"
    assert await lines(merchant, "5204417.csv") == told
    assert await lines(merchant, "600100.csv") == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
async def test_the_portal_s_csv_comes_in_many_encodings(merchant: Merchant, encoding: str) -> None:
    await merchant.pay(account_reference="Café 7", phone="0708374149")
    (line,) = await lines(merchant, encoding=encoding, phones="masked")
    assert line["A/C No."] == "Café 7"
    assert line["Other Party Info"] == "2547****149 - OTIENO KAMAU"


def read_xlsx(raw: bytes) -> dict[str, str]:
    """Cells by their place."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        assert archive.testzip() is None
        page = archive.read("xl/worksheets/sheet1.xml").decode()
    cells = re.findall(r'<c r="([A-Z]\d+)"[^>]*>(?:<is><t[^>]*>|<v>)([^<]*)<', page)
    return dict(cells)


async def test_the_workbook_says_what_the_csv_says(merchant: Merchant) -> None:
    await merchant.pay(amount=1500, account_reference="A & <B>")
    wish = {"since": "2026-03-14T00:00:00", "until": "2027-03-14T23:59:59"}
    cells = read_xlsx(await download(merchant, "600100.xlsx", **wish))
    rows = await sheet(merchant, **wish)
    assert cells["M8"] == "A &amp; &lt;B&gt;"
    for number, row in enumerate(rows, 1):
        for column, text in zip("ABCDEFGHIJKLM", row, strict=False):
            told = cells.get(f"{column}{number}", "")
            if (column, number) != ("F", 5):  # the moment of the report itself
                assert told.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">") == text


async def test_a_typed_workbook_has_numbers_and_dates(merchant: Merchant) -> None:
    await merchant.pay(amount=1500)
    wish = {"since": "2026-03-14T12:00:00", "until": "2027-03-14T00:00:00", "cells": "typed"}
    cells = read_xlsx(await download(merchant, "600100.xlsx", **wish))
    assert (cells["F8"], cells["C4"]) == ("1500.00", "46095.5000000000")


async def test_the_statement_has_exactly_what_the_book_has(merchant: Merchant) -> None:
    weights = {"paid": 3, "vanished": 2, "cancelled": 2, "other_amount": 1, "callback_lost": 1}
    await merchant.control("POST", "random", {"seed": 3, "weights": weights})
    for n in range(30):
        await merchant.push(f"2547110002{n:02d}", Amount=100 + n)
    await merchant.settle()
    paid = {
        (row["receipt"], f"{row['amount']}.00")
        for row in await merchant.control("GET", "ledger?state=paid")
    }
    told = {(line["Receipt No."], line["Paid In"]) for line in await lines(merchant)}
    assert told == paid
    assert len(paid) > 5


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ("600100.csv?encoding=klingon", 400),
        ("600100.csv?since=yesterday", 400),
        ("600100.csv?phones=none", 400),
        ("600100.xlsx?cells=big", 400),
        ("600999.csv", 404),
    ],
)
async def test_a_wish_that_cannot_be_is_told(merchant: Merchant, wish: str, status: int) -> None:
    await merchant.control("POST", "apps", TILL)
    answer: tuple[int, Any] = await merchant.try_control("GET", f"statements/{wish}")
    assert answer[0] == status
    assert answer[1]["error"]
