"""What every door checks of a request before it reads a body or asks who is calling. Pure."""

from __future__ import annotations

from typing import Final

from .errors import Declined

JSON: Final = "application/json"


def check_content_type(raw: str | None) -> None:
    """Raise Declined `wrong_content_type` for anything but JSON in UTF-8."""
    kind, _, parameters = (raw or "").lower().partition(";")
    charsets = [
        value.strip().strip('"')
        for name, _, value in (each.partition("=") for each in parameters.split(";"))
        if name.strip() == "charset"
    ]
    if kind.strip() != JSON or any(charset not in ("utf-8", "utf8") for charset in charsets):
        message = f"Send the body as Content-Type: {JSON}, in UTF-8."
        raise Declined("wrong_content_type", message)


def check_length(content_length: str | None, limit: int) -> None:
    """Raise Declined `body_too_large` for a body that announces more than `limit` bytes."""
    text = (content_length or "").strip()
    if text.isdecimal() and (len(text) > 12 or int(text) > limit):
        raise too_large(limit)


def too_large(limit: int) -> Declined:
    """The refusal of a body longer than `limit` bytes."""
    return Declined("body_too_large", f"The body may have {limit} bytes at most.")


def origin_of(raw: str | None) -> str | None:
    """The Origin header; one that no browser writes reads as `null`, which nobody can list."""
    if not raw:
        return None
    return raw if len(raw) <= 255 and raw.isascii() and raw.isprintable() else "null"
