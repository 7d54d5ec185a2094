"""Payloads of the library, and the bones by which two of them are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PAYLOADS = Path(__file__).parents[1] / "payloads"


def payload(name: str) -> Any:
    return json.loads((PAYLOADS / f"{name}.json").read_text("utf-8"))


def bones(value: Any) -> Any:
    """Names and types, without values."""
    if isinstance(value, dict) and "Key" in value:
        return value["Key"], type(value.get("Value")).__name__
    if isinstance(value, dict):
        return {name: bones(each) for name, each in value.items()}
    if isinstance(value, list):
        return [bones(each) for each in value]
    return type(value).__name__
