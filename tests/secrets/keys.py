"""Keys and settings that these tests share. The keys are worth nothing."""

from __future__ import annotations

import base64
from typing import Any

FIRST = "01:" + base64.b64encode(bytes(range(32))).decode()
SECOND = "02:" + base64.b64encode(bytes(range(32, 64))).decode()
OTHER_FIRST = "01:" + base64.b64encode(b"x" * 32).decode()


def with_keys(*keys: str, **more: Any) -> dict[str, Any]:
    """What `MILANGO` says in a test."""
    return {"PUBLIC_URL": "https://pay.example.test", "KEYS": list(keys), **more}
