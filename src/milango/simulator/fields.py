"""The formats of request fields, checked in the order of one table."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from milango.simulator.errors import Refused
from milango.simulator.wire import Call

MAX_AMOUNT = 250_000
"""KES, the most that one STK push may ask for."""

FORBIDDEN_WORDS = ("mpesa", "m-pesa", "safaricom", "exe", "exec", "cmd", "sql", "query")
"""Not in C2B addresses, wherever and in whatever case."""

_SHORT_CODE = re.compile(r"\d{5,7}", re.ASCII)
_PHONE = re.compile(r"254[17]\d{8}", re.ASCII)
_TIMESTAMP = re.compile(r"\d{14}", re.ASCII)
_WHOLE = re.compile(r"\d{1,12}", re.ASCII)

Check = Callable[[str], bool]


def read_json(call: Call) -> dict[str, Any]:
    """The body as an object. A form is read as an object that lacks every field, as Daraja does."""
    media = call.header("content-type").partition(";")[0].strip().lower()
    if media == "application/x-www-form-urlencoded":
        return {}
    try:
        body = json.loads(call.body)
    except (ValueError, RecursionError):
        raise Refused("invalid_payload") from None
    if not isinstance(body, dict):
        raise Refused("invalid_payload")
    return body


def as_text(value: object) -> str:
    """Numbers and texts are both welcome; anything else counts as missing."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(value)


def checked(body: Mapping[str, Any], checks: Mapping[str, Check]) -> dict[str, str]:
    """All fields of the table as text. Raises Refused naming the first that is missing or wrong."""
    values = {name: as_text(body.get(name)) for name in checks}
    for name, check in checks.items():
        if not check(values[name]):
            raise Refused("invalid_field", name)
    return values


def is_short_code(value: str) -> bool:
    return _SHORT_CODE.fullmatch(value) is not None


def is_phone(value: str) -> bool:
    return _PHONE.fullmatch(value) is not None


def is_timestamp(value: str) -> bool:
    if not _TIMESTAMP.fullmatch(value):
        return False
    try:
        datetime.strptime(value, "%Y%m%d%H%M%S")  # noqa: DTZ007 - only its form matters
    except ValueError:
        return False
    return True


def is_amount(value: str) -> bool:
    """Whole shillings from 1; the limit above depends on a setting."""
    return _WHOLE.fullmatch(value) is not None and int(value) >= 1


def is_transaction_type(value: str) -> bool:
    return value in ("CustomerPayBillOnline", "CustomerBuyGoodsOnline")


def is_password(value: str) -> bool:
    return bool(value)


def is_reference(value: str) -> bool:
    return len(value.strip()) >= 1 and len(value) <= 12


def is_description(value: str) -> bool:
    """Optional, at most 13 characters."""
    return len(value) <= 13


def is_remark(value: str) -> bool:
    """Optional, at most 100 characters."""
    return len(value) <= 100


def is_anything(value: str) -> bool:
    return True


def is_callback_url(value: str, *, plain_http: str) -> bool:
    """https with a lower-case host and no blanks; http only where the simulator allows it."""
    if not value or any(character.isspace() for character in value):
        return False
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or parts.netloc != parts.netloc.lower():
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and (plain_http == "any" or _is_loopback(host))


def is_notification_url(value: str, *, plain_http: str, words: bool) -> bool:
    """For C2B: also without the words that Safaricom does not want to see in it, if `words`."""
    forbidden = words and any(word in value.lower() for word in FORBIDDEN_WORDS)
    return not forbidden and is_callback_url(value, plain_http=plain_http)


def is_bill_reference(value: str) -> bool:
    """What a payer types as account number."""
    return len(value.strip()) >= 1 and len(value) <= 20


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
