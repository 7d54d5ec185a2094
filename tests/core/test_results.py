"""The table of result codes: what the reference says of each code, and what the docs say of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from milango.core.results import RESULTS, WORDS, Reason, Result, result

DOCS = Path(__file__).parents[2] / "docs" / "result-codes.md"
WITHOUT_A_CODE = (Reason.REFUSED, Reason.NOT_SENT, Reason.UNKNOWN)

# Whether another prompt may help, code by code.
NEVER_AGAIN = "0 2 3 8 15 21 2006 2007 2028 2029 2040 4999 8006 SFC_IC0003".split()
AGAIN = "1 1019 1031 1032 1036 1037 1101 1102 2001 2008 2026".split()
AGAIN_LATER = "4 17 26 1001 1025 9999".split()


def test_the_table_has_every_code_of_the_reference() -> None:
    assert set(RESULTS) == {*NEVER_AGAIN, *AGAIN, *AGAIN_LATER}


@pytest.mark.parametrize("code", NEVER_AGAIN)
def test_where_a_new_prompt_cannot_help_none_is_offered(code: str) -> None:
    assert not result(code).may_retry


@pytest.mark.parametrize("code", AGAIN)
def test_where_a_new_prompt_may_help_it_is_offered(code: str) -> None:
    assert (result(code).may_retry, result(code).retry_after) == (True, 0)


@pytest.mark.parametrize("code", AGAIN_LATER)
def test_where_it_helps_only_later_the_wait_is_known(code: str) -> None:
    assert result(code).may_retry
    assert result(code).retry_after > 0


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("1", Reason.INSUFFICIENT_FUNDS),
        ("1032", Reason.CANCELLED),
        ("1037", Reason.UNREACHABLE),
        ("2001", Reason.WRONG_PIN),
        ("4999", Reason.PROCESSING),
        ("8006", Reason.PIN_LOCKED),
        ("SFC_IC0003", Reason.WRONG_NUMBER),
    ],
)
def test_codes_have_the_reasons_that_callers_program_against(code: str, reason: Reason) -> None:
    assert result(code).reason is reason


def test_only_0_is_paid() -> None:
    assert [row.code for row in RESULTS.values() if row.reason is Reason.PAID] == ["0"]


def test_an_unknown_code_offers_no_second_payment() -> None:
    assert not result("R000002").may_retry


def test_the_docs_have_this_table() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Codes")[1].split("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [row_of(row) for row in RESULTS.values()]


def test_the_docs_have_the_reasons_without_a_code() -> None:
    section = DOCS.read_text(encoding="utf-8").split("## Reasons without a code")[1]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [words_of(reason) for reason in WITHOUT_A_CODE]


def test_every_reason_is_in_the_docs() -> None:
    assert {row.reason for row in RESULTS.values()} | set(WITHOUT_A_CODE) == set(Reason)


def row_of(row: Result) -> str:
    final = "yes" if row.final else "**no**"
    return f"| `{row.code}` | {final} | {again(row)} {words_of(row.reason)}"


def again(row: Result) -> str:
    if not row.may_retry:
        return "no"
    return f"after {row.retry_after} s" if row.retry_after else "yes"


def words_of(reason: Reason) -> str:
    return f"| `{reason}` | {WORDS[reason].english} | {WORDS[reason].swahili} |"
