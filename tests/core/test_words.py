"""Phones, amounts, references and result codes: what may come in, and what is said about it."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal
from hashlib import sha256

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core import phones, references
from milango.core.amounts import parse_amount
from milango.core.errors import InvalidAmount, InvalidPhone, InvalidRequest
from milango.core.phones import mask, normalise
from milango.core.results import RESULTS, WORDS, Reason, result


@pytest.mark.parametrize(
    "raw",
    [
        "0708374149",
        "708374149",
        "254708374149",
        "+254708374149",
        "+254 708 374 149",
        " 0708-374-149 ",
        "(0708) 374149",
        254708374149,
        708374149,
    ],
)
def test_a_safaricom_number_in_any_usual_spelling(raw) -> None:
    assert normalise(raw) == "254708374149"


def test_the_newer_01_numbers_are_mobile_too() -> None:
    assert normalise("0110000123") == "254110000123"


@pytest.mark.parametrize(
    "raw",
    [
        "0202222222",  # a landline of Nairobi
        "0800221111",
        "100",
        "*334#",
        "",
        "   ",
        "07083741",
        "07083741499",
        "+255708374149",
        "+1 202 555 0123",
        "254 abc 708374149",
        "0708374149\n",
        "0708374149\0",
        "٠٧٠٨٣٧٤١٤٩",
        "0708374149;ext=1",
        None,
        True,
        1.5,
        [],
        {},
        "0" * 5000,
        10**40,
        -708374149,
    ],
)
def test_what_m_pesa_could_not_prompt_is_refused(raw) -> None:
    with pytest.raises(InvalidPhone) as refused:
        normalise(raw)
    assert refused.value.field == "phone_number"


def test_an_integer_that_python_would_not_print_is_refused_like_any_other() -> None:
    for reader in (normalise, parse_amount, references.short_code):
        with pytest.raises(InvalidRequest):
            reader(10**5000)


def test_the_short_way_and_the_library_know_the_same_mobile_numbers() -> None:
    for start in [f"{lead}{rest:03d}" for lead in "17" for rest in range(1_000)]:
        number = f"254{start}12345"
        kind = phonenumbers.number_type(phonenumbers.parse(number, "KE"))
        known = bool(phones._mobile_ranges().fullmatch(number[3:]))
        assert known == (kind == phonenumbers.PhoneNumberType.MOBILE), number


@given(st.text() | st.integers() | st.floats() | st.none())
def test_no_phone_number_breaks_the_reader(raw) -> None:
    with suppress(InvalidPhone):
        assert normalise(raw).startswith("254")


HASHED = sha256(b"254712345678").hexdigest()


@pytest.mark.parametrize(
    "written",
    [
        *("254712345678", "0712345678", "+254712345678", "712345678"),
        *(
            "2547***678",
            "0***678",
            "0*** *** 678",
            "07 *** 678",
            "2547 ••• 678",
            "254712xxxxxx",
            "***",
            HASHED,
            HASHED.upper(),
        ),
        *("", " ", "not provided"),
    ],
)
def test_a_number_as_m_pesa_writes_it_may_be_the_payers(written: str) -> None:
    assert phones.may_be("254712345678", written)


@pytest.mark.parametrize(
    "written",
    [
        *("254712345679", "0712345679", "255712345678", "2547***679", "2541***678", "0***679"),
        *("0" + HASHED[1:], sha256(b"254712345679").hexdigest()),
    ],
)
def test_a_number_as_m_pesa_writes_it_cannot_be_the_payers(written: str) -> None:
    assert not phones.may_be("254712345678", written)


def test_a_masked_number_shows_seven_digits() -> None:
    assert mask("254708374149") == "2547•••••149"
    assert mask("weird") == "•••"


@pytest.mark.parametrize("raw", [50, "50", "50.00", 50.0, Decimal(50), Decimal("50.0"), " 50 "])
def test_whole_shillings_in_any_spelling(raw) -> None:
    assert parse_amount(raw) == Decimal(50)
    assert str(parse_amount(raw)) == "50"


@pytest.mark.parametrize(
    "raw",
    [
        *(0, -1, 1.5, "1.5", 250_001, "250001", "fifty", "", "1e3", "+5", "9" * 5000),
        *(True, False, None, [], {}, float("nan"), float("inf"), 10**40),
        *(Decimal("NaN"), Decimal("1e999"), "\uff10\uff15"),
    ],
)
def test_what_is_no_amount_is_refused(raw) -> None:
    with pytest.raises(InvalidAmount) as refused:
        parse_amount(raw)
    assert refused.value.field == "amount"


def test_the_limits_of_an_stk_push() -> None:
    assert parse_amount(1) == 1
    assert parse_amount(250_000) == 250_000


@pytest.mark.parametrize(
    ("reader", "raw"),
    [
        (references.account_reference, "thirteen chars"),
        (references.account_reference, "a\x00b"),
        (references.account_reference, "a\nb"),
        (references.account_reference, "🙂"),
        (references.account_reference, "a\u202eb"),
        (references.account_reference, ""),
        (references.account_reference, "  "),
        (references.account_reference, 5),
        (references.account_reference, "R&D"),
        (references.description, "fourteen chars"),
        (references.short_code, "1234"),
        (references.short_code, "12345678"),
        (references.short_code, "12a456"),
        (references.short_code, True),
        (references.short_code, -12345),
        (references.short_code, "١٧٤٣٧٩"),
        (references.short_code, 1.5),
        (references.service_type, "Wi Fi"),
        (references.service_type, ""),
        (references.order_id, "a b"),
        (references.order_id, "x" * 65),
        (references.metadata, []),
        (references.metadata, {"a": []}),
        (references.metadata, {"a": "\0"}),
        (references.metadata, {"a": "\ud800"}),
        (references.metadata, {"a": 2**60}),
        (references.metadata, {"": 1}),
        (references.metadata, {1: 1}),
        (references.metadata, {"x" * 41: 1}),
        (references.metadata, {"\ud800": 1}),
        (references.metadata, {"a": "x" * 501}),
        (references.metadata, {str(n): 1 for n in range(21)}),
        (references.metadata, {str(n): "ß" * 400 for n in range(20)}),
    ],
)
def test_what_cannot_travel_is_refused(reader, raw) -> None:
    field = {"short_code": "shortcode"}.get(reader.__name__, reader.__name__)
    with pytest.raises(InvalidRequest, match=f"^{field} ") as refused:
        reader(raw)
    assert refused.value.field == field


def test_what_can_travel_is_kept_as_it_is() -> None:
    assert references.account_reference(" INV-20931 ") == "INV-20931"
    assert references.short_code("012345") == "012345"
    assert references.short_code(174379) == "174379"
    assert references.metadata({"a": "ß", "b": 1, "c": True, "d": None}) == {
        "a": "ß",
        "b": 1,
        "c": True,
        "d": None,
    }


def test_every_reason_has_words_in_english_and_swahili() -> None:
    assert set(WORDS) == set(Reason)
    for words in WORDS.values():
        assert words.english.endswith(".")
        assert words.swahili.endswith(".")
        assert words.english != words.swahili


def test_only_4999_of_the_known_codes_is_not_final() -> None:
    assert [row.code for row in RESULTS.values() if not row.final] == ["4999"]


@pytest.mark.parametrize("code", ["42", "", "SFC_XX", "00", "0.0", "true"])
def test_an_unknown_code_is_never_final(code: str) -> None:
    assert not result(code).final
    assert result(code).reason is Reason.UNKNOWN


def test_white_space_around_a_code_is_ignored() -> None:
    assert result(" 1032 ").reason is Reason.CANCELLED
