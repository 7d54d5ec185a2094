"""What no log may hold: payers' numbers, callback addresses, tokens, keys and other secrets. Pure.

Better one number too many masked than one payer's too few: a number that merely looks like a
phone is masked as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

MASKED: Final = r"\1•••••\2\3\4"
"""A number as `phones.mask` shows it: its beginning, and its last three digits."""

RULES: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    # Our own addresses
    (re.compile(r"(/callbacks/(?:stk|c2b|result)/)[^\s\"'?]+"), r"\1<token>"),
    (re.compile(r"(/api/v1/payments/status/)[^\s\"'?]+"), r"\1<checkout_id>"),
    (re.compile(r"(/api/v1/[^\s\"'?]*\?)[^\s\"']+"), r"\1…"),
    (re.compile(r"\b[0-9a-f]{76,}\b"), "<token>"),
    # Daraja's: a CheckoutRequestID ends in the payer's number
    (re.compile(r"\bws_CO_\w+"), "ws_CO_…"),
    # Keys and secrets, by their form
    (re.compile(r"\b(sk_|pk_|whsec_)[\w+/=-]{8,}"), r"\1…"),
    (re.compile(r"(?i)\b(bearer|basic) +[\w.~+/=-]{8,}"), r"\1 …"),
    (re.compile(r"\bmse1:[0-9a-f]{2}:[\w+/=-]+"), "mse1:…"),
    (re.compile(r"\b([0-9a-f]{2}):[A-Za-z0-9+/]{43}="), r"\1:…"),
    (re.compile(r"(://)[^\s/@:]*:[^\s/@]+@"), r"\1…@"),
    # ... and by their name, as JSON, a repr or a query writes them
    (
        re.compile(
            r"(?i)(\b(?:pass_?key|pass_?word|consumer_?key|consumer_?secret|access_?token|ticket|"
            r"security_?credential|initiator_?password|client_?secret|api_?key)\\?[\"']?\s*[:=]\s*"
            r"\\?[\"']?)[^\s\"',;&)}\\]+"
        ),
        r"\1…",
    ),
    # Payers' numbers, in each spelling that people and Daraja use
    (
        re.compile(r"(?<!\d)\+?(254[ -]?[17])(?:[ -]?\d){5}[ -]?(\d)[ -]?(\d)[ -]?(\d)(?!\d)"),
        MASKED,
    ),
    (re.compile(r"\b(0[17])(?:[ -]?\d){5}[ -]?(\d)[ -]?(\d)[ -]?(\d)\b"), MASKED),
    (re.compile(r"(?<!\d\.)\b([17])(?:\d){5}(\d)(\d)(\d)\b"), MASKED),
)
"""Patterns, and what stands in their place. Applied in this order."""

SECRET_NAMES: Final = frozenset(
    "authorization body consumer_key consumer_secret cookie dsn key keys passkey password secret "
    "security_credential signature ticket token access_token callback_url".split()
)
"""Fields of structured records whose values are never written, whatever they look like."""

HIDDEN: Final = "…"


def redact(text: str) -> str:
    """The text without what is secret or personal."""
    for pattern, instead in RULES:
        text = pattern.sub(instead, text)
    return text


def redact_value(value: Any) -> Any:
    """The same for the values of a structured record, however deep."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        # Daraja writes numbers of payers as numbers.
        said = redact(str(value)) if abs(value) < 10**20 else HIDDEN
        return value if said == str(value) else said
    if isinstance(value, Mapping):
        return redact_fields(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_value(each) for each in value]
    return redact(value if isinstance(value, str) else repr(value))


def redact_fields(fields: Mapping[Any, Any]) -> dict[str, Any]:
    """The fields of a record; those with a secret's name lose their value."""
    return {
        redact(str(name)): HIDDEN if str(name).lower() in SECRET_NAMES else redact_value(value)
        for name, value in fields.items()
    }
