"""What is sealed opens in its place with its key, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from milango import sealing
from milango.core.errors import SecretUnreadable

from .keys import FIRST, OTHER_FIRST, SECOND, with_keys

PLAIN = "bfb279f9aa9bdbcf158e97dd71a467cd"


@pytest.fixture(autouse=True)
def _first_key() -> Iterator[None]:
    with override_settings(MILANGO=with_keys(FIRST)):
        yield


@given(plain=st.text(), bound=st.text(st.characters(codec="utf-8")))
def test_what_was_sealed_opens_again(plain: str, bound: str) -> None:
    assert sealing.unseal(sealing.seal(plain, bound), bound) == plain


def test_a_sealed_text_names_its_key_and_hides_the_rest() -> None:
    sealed = sealing.seal(PLAIN, "a")
    assert re.fullmatch(r"mse1:01:[A-Za-z0-9+/]+=*", sealed)
    assert sealing.key_id(sealed) == sealing.current_key_id() == "01"
    assert PLAIN not in sealed


def test_the_same_text_never_looks_the_same_twice() -> None:
    assert sealing.seal(PLAIN, "a") != sealing.seal(PLAIN, "a")


def test_the_first_key_seals_and_all_of_them_open() -> None:
    old = sealing.seal(PLAIN, "a")
    with override_settings(MILANGO=with_keys(SECOND, FIRST)):
        assert sealing.key_id(sealing.seal(PLAIN, "a")) == "02"
        assert sealing.unseal(old, "a") == PLAIN


def test_a_missing_key_is_named_with_where_to_put_it() -> None:
    sealed = sealing.seal(PLAIN, "a")
    with (
        override_settings(MILANGO=with_keys(SECOND)),
        pytest.raises(SecretUnreadable, match=r"'01'.*MILANGO\[\"KEYS\"\]"),
    ):
        sealing.unseal(sealed, "a")


def test_another_key_under_the_same_id_opens_nothing() -> None:
    sealed = sealing.seal(PLAIN, "a")
    with (
        override_settings(MILANGO=with_keys(OTHER_FIRST)),
        pytest.raises(SecretUnreadable, match="another key under that id"),
    ):
        sealing.unseal(sealed, "a")


def test_a_sealed_text_does_not_open_elsewhere() -> None:
    sealed = sealing.seal(PLAIN, "milango.MpesaCredential.passkey:1:a")
    with pytest.raises(SecretUnreadable, match="another row"):
        sealing.unseal(sealed, "milango.MpesaCredential.passkey:2:a")


@given(data=st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    sealed = sealing.seal(PLAIN, "a")
    # The last digit before "=" has bits that base64 ignores, so the tag's end is left out.
    place = data.draw(st.integers(0, len(sealed.rstrip("=")) - 2))
    other = data.draw(st.characters(codec="ascii").filter(lambda c: c != sealed[place]))
    with pytest.raises(SecretUnreadable):
        sealing.unseal(sealed[:place] + other + sealed[place + 1 :], "a")


@pytest.mark.parametrize("text", ["", "hunter2", "mse1", "mse1:01", "mse1:01:", "mse1:01:AAAA"])
def test_what_is_not_sealed_is_never_given_out(text: str) -> None:
    with pytest.raises(SecretUnreadable) as caught:
        sealing.unseal(text, "a")
    assert not text.startswith("h") or text not in str(caught.value)


def test_without_keys_the_message_says_how_to_make_one() -> None:
    with (
        override_settings(MILANGO=with_keys()),
        pytest.raises(ImproperlyConfigured, match="generate_key"),
    ):
        sealing.seal(PLAIN, "a")


def test_a_generated_key_fits_the_settings() -> None:
    line = sealing.generate_key("7f")
    assert line != sealing.generate_key("7f")
    with override_settings(MILANGO=with_keys(line)):
        assert sealing.unseal(sealing.seal(PLAIN, "a"), "a") == PLAIN


@pytest.mark.parametrize("kid", ["", "1", "0A", "100", "1:"])
def test_no_key_is_generated_with_a_wrong_id(kid: str) -> None:
    with pytest.raises(ValueError, match="two lowercase hex digits"):
        sealing.generate_key(kid)


def test_each_purpose_and_each_key_has_a_sub_key_of_its_own() -> None:
    with override_settings(MILANGO=with_keys(FIRST, SECOND)):
        found = {sealing.derive(p, k) for p in ("callback", "audit", "seal") for k in ("01", "02")}
        assert sealing.derive("callback") == sealing.derive("callback", "01")
    assert len(found) == 6
    assert {len(key) for key in found} == {32}


def test_sub_keys_stay_the_same_from_release_to_release() -> None:
    assert sealing.derive("callback").hex().startswith("2e903ff41187419b6c69")


def test_a_token_reader_gets_none_for_a_foreign_key() -> None:
    find = sealing.key_finder("callback")
    assert find("01") == sealing.derive("callback")
    assert find("02") is None
