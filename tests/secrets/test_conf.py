"""The dict `MILANGO` becomes typed settings, or one clear sentence."""

from __future__ import annotations

from decimal import Decimal
from ipaddress import ip_address
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from milango.conf import _READERS, Conf, Limit, conf

from .keys import FIRST, SECOND, with_keys


def test_it_works() -> None:
    with override_settings(MILANGO=with_keys(SECOND, FIRST, PHONE_LIMIT=[3, 60])):
        assert conf().public_url == "https://pay.example.test"
        assert [key.kid for key in conf().keys] == ["02", "01"]
        assert conf().phone_limit == Limit(most=3, seconds=60)


def test_what_is_not_said_has_its_default() -> None:
    with override_settings(MILANGO={}):
        said = conf()
    assert (said.confirm_above, said.prompt_life, said.simulator) == (Decimal(20_000), 180, False)
    assert (said.phone_limit, said.address_limit) == ((10, 600), (120, 600))
    assert (said.trusted_proxies, said.idempotency_hours, said.raw_days) == ((), 48, 90)


def test_safaricoms_addresses_are_the_default_callback_sources() -> None:
    with override_settings(MILANGO={}):
        assert any(ip_address("196.201.214.200") in network for network in conf().callback_sources)


def test_every_setting_has_a_reader_and_every_reader_a_setting() -> None:
    assert {name.lower() for name in _READERS} == set(Conf.__dataclass_fields__)


def test_changed_settings_are_read_again() -> None:
    with override_settings(MILANGO={"RAW_DAYS": 7}):
        assert conf().raw_days == 7
    assert conf().raw_days == 90


def test_settings_are_read_once() -> None:
    assert conf() is conf()


def test_keys_never_show_in_a_repr() -> None:
    with override_settings(MILANGO=with_keys(FIRST)):
        shown = f"{conf()!r} {conf().keys!r}"
        secret = conf().keys[0].secret
    assert FIRST[3:] not in shown
    assert repr(secret) not in shown


def test_the_public_address_is_joined_without_a_double_slash() -> None:
    with override_settings(MILANGO={"PUBLIC_URL": "https://pay.example.test/wifi/"}):
        assert conf().address("/pay/x") == "https://pay.example.test/wifi/pay/x"


def test_without_a_public_address_no_link_can_be_built() -> None:
    with override_settings(MILANGO={}), pytest.raises(ImproperlyConfigured, match="PUBLIC_URL"):
        conf().address("/pay/x")


def test_a_misspelt_setting_is_named_with_the_likely_one() -> None:
    with (
        override_settings(MILANGO={"PUBLIC_ULR": "https://pay.example.test"}),
        pytest.raises(ImproperlyConfigured, match="Did you mean PUBLIC_URL"),
    ):
        conf()


WRONG: dict[str, list[Any]] = {
    "PUBLIC_URL": [7, "pay.example.test", "ftp://x", "https://", "https://u:p@x", "https://x/?a=1",
                   "https://x y", "https://x:port", ""],
    "KEYS": [FIRST, ["1:x"], ["0A:" + FIRST[3:]], ["01:short"], ["01:" + FIRST[3:] + "AAAA"],
             [FIRST, FIRST], [7], ["01:é"]],
    "TRUSTED_PROXIES": ["10.0.0.0/8", ["10.0.0.1/8"], ["proxy"], [None]],
    "CALLBACK_SOURCES": ["*", ["everywhere"]],
    "CONFIRM_ABOVE": ["much", True, -1, "NaN", "Infinity", 0.1],
    "OPERATOR_ALONE": ["much", True, -1],
    "OPERATOR_DAILY": ["much", True, -1],
    "SIMULATOR": ["yes", 1],
    "WEBHOOKS_TO_ANYWHERE": ["yes", 1],
    "DARAJA_URLS": [["x"], {"live": "https://x"}, {"sandbox": "x"}],
    "PHONE_LIMIT": [10, (10,), (10, 0), (True, 60), ("10", 60)],
    "ADDRESS_LIMIT": [None],
    "PROMPT_LIFE": [0, "180", True, 1.5],
    "IDEMPOTENCY_HOURS": [-48],
    "RAW_DAYS": [None],
    "STREAMS": [0, "many"],
    "SPOOL": [7, "spool"],
    "METRICS_TOKEN": [7, "short", "•" * 20],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_value_names_the_setting_and_what_to_write(name: str, value: Any) -> None:
    with (
        override_settings(MILANGO={name: value}),
        pytest.raises(ImproperlyConfigured, match=rf'MILANGO\["{name}"\].*Write'),
    ):
        conf()


def test_every_setting_has_a_wrong_value_above() -> None:
    assert set(WRONG) == set(_READERS)


def test_a_wrong_key_is_not_repeated_in_the_message() -> None:
    almost = FIRST[:-4]
    with (
        override_settings(MILANGO={"KEYS": [almost]}),
        pytest.raises(ImproperlyConfigured) as caught,
    ):
        conf()
    assert almost[3:] not in str(caught.value)


def test_milango_must_be_a_dict() -> None:
    with override_settings(MILANGO=["KEYS"]), pytest.raises(ImproperlyConfigured, match="dict"):
        conf()
