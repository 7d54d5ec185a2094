"""What comes from outside, made fit for a database column, a log line and a terminal."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

BLANKS: Final = " \t\r\n"

CODE: Final = re.compile(r"[A-Za-z0-9_.+-]{1,32}")
IDENTIFIER: Final = re.compile(r"[!-~]{1,128}")


def clean(raw: object, length: int) -> str:
    """A text for people: at most `length` characters, none of them control or bidi characters.

    Only for texts that decide nothing: what is dropped here could make two words equal.
    """
    if not isinstance(raw, str | int) or isinstance(raw, bool):
        return ""
    text = str(raw)[: length * 4]
    if not (text.isascii() and text.isprintable()):
        text = "".join(char for char in text if _is_plain(char))
    return text.strip()[:length]


def _is_plain(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Cn"}


def code_of(raw: object) -> str | None:
    """A result code as text: an integer, or text with white space around it. None: no code.

    True, 0.0, lists and hidden characters make none, so that nothing but 0 and "0" reads as
    `0`.
    """
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        return None
    word = str(raw).strip(BLANKS)
    return word if CODE.fullmatch(word) else None


def identifier(raw: object) -> str | None:
    """One of Daraja's ids, whole. None: not a text of 1 to 128 printable ASCII characters."""
    if not isinstance(raw, str):
        return None
    word = raw.strip(BLANKS)
    return word if IDENTIFIER.fullmatch(word) else None
