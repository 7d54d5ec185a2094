"""Text from outside, made fit for a database column, a log line and a terminal."""

from __future__ import annotations

import unicodedata


def clean(raw: object, length: int) -> str:
    """At most `length` characters without control, bidi, NUL or lone surrogate characters."""
    if raw is None or isinstance(raw, bool | dict | list):
        return ""
    text = "".join(char for char in str(raw)[: length * 4] if _is_plain(char))
    return text.strip()[:length]


def _is_plain(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}
