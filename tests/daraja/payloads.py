"""The payload library: one body to a file, see tests/payloads/README.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAYLOADS = Path(__file__).parents[1] / "payloads"

CHECKOUT = "ws_CO_14032026101531204708374149"
"""The push that most payloads speak of."""

SANDBOX_PASSKEY = "bfb279f9aa9bdbcf158e97dd71a467cd2e0c893059b10f78e6b72ada1ed2c919"
TILL_PASSKEY = "030a726bb9009e519edea02be44eef3e7877dd09d3e614f5cc0a85c57428e24c"


def payload(name: str) -> bytes:
    """The body as it came over the wire."""
    return (PAYLOADS / f"{name}.json").read_bytes()


def document(name: str) -> dict[str, Any]:
    """The same, decoded."""
    found: dict[str, Any] = json.loads(payload(name))
    return found


def names(prefix: str) -> set[str]:
    """All payloads whose name begins so."""
    return {path.name.removesuffix(".json") for path in PAYLOADS.glob(f"{prefix}*.json")}
