"""What must not be logged is taken out, and what may stays readable."""

from __future__ import annotations

import pytest

from milango import sealing
from milango.core.redaction import redact, redact_fields

TOKEN = "0a" * 49


@pytest.mark.parametrize(
    "written",
    [
        "254708374149", "+254708374149", "0708374149", "708374149", "0708 374 149",
        "+254 708 374149", "0110-374-149", "ws_CO_26112026114538123708374149",
        "phone=254708374149,", "PhoneNumber': 254708374149}", "tel254708374149x",
    ],
)  # fmt: skip
def test_a_payers_number_is_masked_in_each_spelling(written: str) -> None:
    said = redact(f"before {written} after")
    digits = "".join(each for each in said if each.isdigit())
    assert "708374" not in digits
    assert "110374" not in digits
    assert said.startswith("before ")
    assert said.endswith(" after")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"POST /callbacks/stk/{TOKEN} failed", TOKEN),
        (f"seen {TOKEN}", TOKEN),
        ("GET /api/v1/payments/status/co_5f0c1d2e?ticket=canary", "5f0c1d2e"),
        ("key sk_canary-canary-canary", "canary"),
        ("Authorization: Bearer canary.canary", "canary"),
        ("secret whsec_Y2FuYXJ5Y2FuYXJ5", "Y2FuYXJ5"),
        ("postgres://milango:canary@db/pay", "canary"),
        ('{"Passkey": "canary", "a": 1}', "canary"),
        ("consumer_secret='canary'", "canary"),
        ('\\"access_token\\": \\"canary\\"', "canary"),
        ("mse1:01:Y2FuYXJ5Y2FuYXJ5", "Y2FuYXJ5"),
    ],
)
def test_secrets_are_taken_out_by_form_and_by_name(text: str, secret: str) -> None:
    assert secret not in redact(text)


def test_a_key_line_loses_its_secret() -> None:
    line = sealing.generate_key("01")
    assert redact(f"MILANGO_KEYS={line}") == "MILANGO_KEYS=01:…"


@pytest.mark.parametrize(
    "text",
    [
        "payment pay_01968f3a7c2e7d41b8a90c5e6f7a1b2c could not be asked about: daraja_silent",
        "took 0.712345678 s", "2026-11-26T11:45:38.123456Z", "KES 250000 to 174379",
        "receipt UCE5K7Q2XD", "at 1764157538", "1764157538123 ms", "[10.0.0.7:51234]",
    ],
)  # fmt: skip
def test_the_rest_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


def test_structured_fields_are_redacted_however_deep() -> None:
    said = redact_fields(
        {
            "event": "x",
            "status": 200,
            "Phone": 254708374149,
            "passkey": "canary",
            "items": [{"deep": ("254708374149", None, True)}, Loud()],
        }
    )
    assert said["status"] == 200
    assert said["passkey"] == "…"
    assert "708374" not in repr(said)
    assert said["items"][0]["deep"][1:] == [None, True]


class Loud:
    def __repr__(self) -> str:
        return "<254708374149>"
