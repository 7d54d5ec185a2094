"""Only what we signed is opened."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from milango.core.signing import (
    make_callback_token,
    make_read_token,
    open_callback_token,
    open_read_token,
    token_hash,
)

KEY = bytes(range(32))
KEYS = {"01": KEY}.get
PAYMENT = UUID("01890a5d-ac96-774b-bcce-b302099a8057")
NOW = datetime(2024, 5, 1, 12, 0, tzinfo=UTC)
TOKEN = make_callback_token(PAYMENT, "01", KEY, b"r" * 16)
TICKET = make_read_token(PAYMENT, NOW + timedelta(minutes=10), "01", KEY)


@given(payment=st.uuids(), random=st.binary(min_size=16, max_size=16))
def test_it_works(payment: UUID, random: bytes) -> None:
    token = make_callback_token(payment, "01", KEY, random)
    assert open_callback_token(token, KEYS) == payment


def test_a_callback_token_is_98_lowercase_hex_digits_in_a_fixed_order() -> None:
    assert re.fullmatch("[0-9a-f]{98}", TOKEN)
    assert TOKEN.startswith("01" + PAYMENT.hex + b"r".hex() * 16)


@given(place=st.integers(0, 97), other=st.characters())
def test_a_callback_token_with_any_other_character_is_refused(place: int, other: str) -> None:
    changed = TOKEN[:place] + other + TOKEN[place + 1 :]
    assert open_callback_token(changed, KEYS) == (PAYMENT if changed == TOKEN else None)


@given(place=st.integers(0, 75), other=st.characters())
def test_a_read_token_with_any_other_character_is_refused(place: int, other: str) -> None:
    changed = TICKET[:place] + other + TICKET[place + 1 :]
    assert open_read_token(changed, NOW, KEYS) == (PAYMENT if changed == TICKET else None)


@given(st.text() | st.text("0123456789abcdef", min_size=90, max_size=100))
def test_other_text_is_no_token(text: str) -> None:
    assert open_callback_token(text, KEYS) is None
    assert open_read_token(text, NOW, KEYS) is None


@pytest.mark.parametrize(
    "spoil", [str.upper, lambda t: t + "\n", lambda t: t[:-1], lambda t: "0" + t]
)
def test_case_and_length_are_exact(spoil: object) -> None:
    assert callable(spoil)
    assert open_callback_token(spoil(TOKEN), KEYS) is None
    assert open_read_token(spoil(TICKET), NOW, KEYS) is None


def test_a_key_that_is_gone_refuses_its_tokens() -> None:
    assert open_callback_token(TOKEN, {"02": KEY}.get) is None


def test_another_key_under_the_same_id_refuses_its_tokens() -> None:
    assert open_callback_token(TOKEN, {"01": b"x" * 32}.get) is None


def test_a_read_token_ends_on_time() -> None:
    assert open_read_token(TICKET, NOW + timedelta(minutes=10, seconds=-1), KEYS) == PAYMENT
    assert open_read_token(TICKET, NOW + timedelta(minutes=10), KEYS) is None


def test_a_read_token_is_no_callback_token_and_the_other_way_round() -> None:
    assert open_callback_token(TICKET, KEYS) is None
    assert open_read_token(TOKEN, NOW, KEYS) is None


def test_an_expiry_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_read_token(PAYMENT, NOW.replace(tzinfo=None), "01", KEY)


@pytest.mark.parametrize("kid", ["1", "0A", "001", "zz"])
def test_a_key_id_is_two_lowercase_hex_digits(kid: str) -> None:
    with pytest.raises(ValueError, match="key id"):
        make_callback_token(PAYMENT, kid, KEY, b"r" * 16)


def test_a_callback_token_takes_128_random_bits() -> None:
    with pytest.raises(ValueError, match="random"):
        make_callback_token(PAYMENT, "01", KEY, b"r" * 8)


def test_the_hash_of_a_token_is_its_sha256() -> None:
    assert token_hash("abc").startswith("ba7816bf8f01cfea")
