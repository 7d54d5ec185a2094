"""What a request for a prompt may say. Pure: bytes in, a checked `PushRequest` out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec

from . import references
from .amounts import parse_amount
from .errors import InvalidRequest
from .phones import normalise

BODY_LIMIT: Final = 16_384
"""Bytes. A longer request is refused with 413 before it is read."""

DEPTH_LIMIT: Final = 8

ENVIRONMENTS: Final = ("production", "sandbox", "simulator")


class PushRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one prompt, checked and normalised."""

    phone_number: str
    amount: Decimal
    shortcode: str
    service_type: str = "payment"
    account_reference: str = ""
    description: str = ""
    order_id: str = ""
    environment: str = ""
    """Only needed where one short code has credentials in several environments."""
    metadata: dict[str, Any] = {}


class InvalidFields(InvalidRequest):
    """The request has fields that cannot be used; nothing was stored and no prompt was sent."""

    def __init__(self, errors: list[InvalidRequest]) -> None:
        first = errors[0]
        super().__init__(str(first), field=first.field, code=first.code)
        self.errors = errors


def read_json(body: bytes) -> Any:
    """Decode a JSON document strictly: UTF-8, no duplicate keys, no NaN, at most 8 levels deep.

    Raises InvalidRequest with the codes `invalid_json`, `duplicate_key` or `too_deep`.
    """
    try:
        document = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique_keys,
            parse_constant=_no_constant,
            parse_float=Decimal,
        )
    except RecursionError:
        raise InvalidRequest("The JSON is nested too deeply.", code="too_deep") from None
    except InvalidRequest:
        raise
    except (UnicodeDecodeError, ValueError):
        raise InvalidRequest("The body is not valid JSON in UTF-8.", code="invalid_json") from None
    if _depth(document) > DEPTH_LIMIT:
        raise InvalidRequest("The JSON is nested too deeply.", code="too_deep")
    return document


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest("The field is given twice.", field=twice[:40], code="duplicate_key")
    return found


def _no_constant(name: str) -> None:
    raise InvalidRequest(f"{name} is not a JSON number.", code="invalid_json")


def _depth(value: Any) -> int:
    deepest, layer = 0, [value]
    while layer and deepest <= DEPTH_LIMIT:
        deepest += 1
        layer = [child for item in layer for child in _children(item)]
    return deepest


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _environment(raw: object) -> str:
    if raw in ENVIRONMENTS:
        return str(raw)
    message = f"environment must be one of {', '.join(ENVIRONMENTS)}."
    raise InvalidRequest(message, field="environment", code="invalid_environment")


READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "phone_number": normalise,
    "amount": parse_amount,
    "shortcode": references.short_code,
    "service_type": references.service_type,
    "account_reference": references.account_reference,
    "description": references.description,
    "order_id": references.order_id,
    "environment": _environment,
    "metadata": references.metadata,
}

REQUIRED: Final = ("phone_number", "amount", "shortcode")


def read_push(body: bytes) -> PushRequest:
    """A push request from a JSON body. Raises InvalidRequest, naming every field at fault."""
    return PushRequest(**read_fields(body, READERS, REQUIRED))


def read_fields(
    body: bytes, readers: Mapping[str, Callable[[Any], Any]], required: Sequence[str] = ()
) -> dict[str, Any]:
    """The fields of a JSON object, each as its reader gives it; null is as good as absent.

    Raises InvalidRequest, naming every field at fault: what a reader refuses, what is missing and
    what has no reader.
    """
    document = read_json(body)
    if not isinstance(document, dict):
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json")
    errors = [_missing(name) for name in required if document.get(name) is None]
    errors += [_unknown(name, readers) for name in document if name not in readers]
    values = {}
    for name, reader in readers.items():
        if document.get(name) is None:
            continue
        try:
            values[name] = reader(document[name])
        except InvalidRequest as error:
            error.field = name
            errors.append(error)
    if errors:
        raise InvalidFields(errors)
    return values


def _missing(name: str) -> InvalidRequest:
    return InvalidRequest(f"{name} is required.", field=name, code="missing_field")


def _unknown(name: str, readers: Iterable[str]) -> InvalidRequest:
    known = ", ".join(readers)
    message = f"There is no such field; the fields are {known}."
    return InvalidRequest(message, field=name[:40], code="unknown_field")


def idempotency_key(raw: str | None) -> str:
    """The `Idempotency-Key` header: up to 255 printable ASCII characters; none is empty."""
    if raw is None:
        return ""
    if not 0 < len(raw) <= 255 or not (raw.isascii() and raw.isprintable()):
        message = "Idempotency-Key must be 1 to 255 printable ASCII characters."
        raise InvalidRequest(message, field="Idempotency-Key", code="invalid_idempotency_key")
    return raw
