"""Account references with check digits: no single slip of a payer reaches another customer."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.errors import InvalidRequest
from milango.core.references import account_reference, checked_reference, read_checked

NUMBERS = st.integers(0, 99_999_999)
PREFIXES = st.one_of(
    st.just(""),
    st.text("ABCDEFGHJKMNPQRSTUVWXYZ", min_size=2, max_size=2),
)
REFERENCES = st.builds(checked_reference, NUMBERS, PREFIXES)
EVERY = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_read(text: str) -> bool:
    with suppress(InvalidRequest):
        read_checked(text)
        return True
    return False


def same(one: str, other: str) -> bool:
    """Whether two characters are one to the reader."""
    return one.translate(str.maketrans("OIL", "011")) == other


@given(NUMBERS, PREFIXES)
def test_what_was_made_is_read_and_can_travel(number: int, prefix: str):
    reference = checked_reference(number, prefix)
    assert read_checked(reference) == account_reference(reference) == reference
    assert reference[:-2] == f"{prefix}{number}"


@given(REFERENCES)
def test_no_wrong_character_passes(reference: str):
    for place, right in enumerate(reference):
        slips = [char for char in EVERY if not same(char, right)]
        assert not any(is_read(reference[:place] + char + reference[place + 1 :]) for char in slips)


@given(REFERENCES)
def test_no_exchange_of_neighbours_passes(reference: str):
    for place in range(len(reference) - 1):
        one, other = reference[place], reference[place + 1]
        if one != other:
            assert not is_read(reference[:place] + other + one + reference[place + 2 :])


def test_of_all_small_numbers_no_slip_of_one_is_another():
    known = {checked_reference(number) for number in range(10_000)}
    assert len(known) == 10_000
    for reference in known:
        for place in range(len(reference) - 1):
            one, other = reference[place], reference[place + 1]
            slip = reference[:place] + other + one + reference[place + 2 :]
            assert slip == reference or slip not in known


@given(REFERENCES)
def test_a_nought_put_in_front_does_not_pass(reference: str):
    assert not is_read("0" + reference)


def test_of_forgotten_characters_few_pass():
    made = [checked_reference(number) for number in range(1_000, 3_000)]
    slips = [each[:place] + each[place + 1 :] for each in made for place in range(len(each))]
    assert sum(is_read(slip) for slip in slips) < len(slips) / 50


@pytest.mark.parametrize(
    "typed", ["hse 14 {c}", "HSE-14-{c}", " Hse14{c} ", "hse/14.{c}", "HSEI4{c}", "HSEl4{c}"]
)
def test_it_is_read_as_people_type_it(typed: str):
    reference = checked_reference(14, "HSE")
    assert read_checked(typed.format(c=reference[-2:])) == reference


def test_the_letter_o_is_a_nought():
    reference = checked_reference(2000)
    assert read_checked(reference.replace("0", "o")) == reference


@pytest.mark.parametrize(
    "raw",
    ["", "7", "77", "HSE14", "A123", None, 20931, b"20931", "٢٠٩٣١", "é" * 5, "9" * 13, "9" * 9999],
)
def test_what_is_no_reference_is_refused(raw: object):
    with pytest.raises(InvalidRequest) as refused:
        read_checked(raw)
    assert (refused.value.field, refused.value.code) == ("account_reference", "unknown_reference")


@given(st.text() | st.integers() | st.none())
def test_whatever_comes_is_read_or_refused(raw: object):
    with suppress(InvalidRequest):
        assert len(read_checked(raw)) <= 12


def test_the_example_in_the_documentation_is_true():
    page = (Path(__file__).parents[2] / "docs" / "client.md").read_text("utf-8")
    made = checked_reference(20931)
    assert f"checked_reference(20931)  # '{made}'" in page
    assert f"read_checked(\"2O931 85\")  # '{read_checked('2O931 85')}'" in page
    assert not is_read("29031 85")


@pytest.mark.parametrize(
    ("number", "prefix"),
    [
        (14, "H"),  # one letter: a slip in it could make a number of digits only
        (14, "INV"),
        (14, "hse"),
        (14, "7A"),
        (-1, ""),
        (True, ""),
        (10**10, ""),
        pytest.param(10**5000, "", id="endless"),
        (12345678, "HSE"),
    ],
)
def test_what_could_not_be_told_apart_is_not_made(number: int, prefix: str):
    with pytest.raises(InvalidRequest):
        checked_reference(number, prefix)
