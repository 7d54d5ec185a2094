"""Finds a secret in a text, however it was written down."""

from __future__ import annotations

import base64
from urllib.parse import quote

LEAST = 12
"""Characters. A shorter secret would be found everywhere."""


def disguises(secret: str) -> dict[str, str]:
    """The secret plain, in hex, URL-quoted, and in base64 at each of its three alignments."""
    if len(secret) < LEAST:
        raise ValueError("too short to be hunted")
    raw = secret.encode()
    found = {"plain": secret, "hex": raw.hex(), "quoted": quote(secret, safe="")}
    for shift in range(3):
        # Bytes that share a base64 digit with what stands around the secret are left out.
        whole = base64.b64encode(b"\0" * shift + raw).decode()
        start = -(-shift * 8 // 6)
        found[f"base64+{shift}"] = whole[start : (shift + len(raw)) * 8 // 6]
    return found


def leaks(text: str, secrets: dict[str, str]) -> list[str]:
    """Which secrets stand in the text, and in which disguise. Letter case is ignored for hex."""
    return [
        f"{name} ({kind})"
        for name, secret in secrets.items()
        for kind, written in disguises(secret).items()
        if written in text or (kind == "hex" and written in text.lower())
    ]
