"""What was posted to a merchant, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec


@dataclass(slots=True, repr=False)
class Delivery:
    """One message as it was posted; `status` is None when nobody answered, `error` says why."""

    at: datetime
    body: bytes
    status: int | None = None
    error: str = ""

    def view(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "status": self.status,
            "error": self.error,
            "body": _json_or_text(self.body),
        }


def _json_or_text(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return body.decode("utf-8", "replace")
