"""GET /api/v1/payments/status/<checkout_id> at the hot door."""

from __future__ import annotations

from typing import TYPE_CHECKING

from milango.core.answers import Answer, document_answer
from milango.core.intake import origin_of
from milango.flows import read

from .http import Request

if TYPE_CHECKING:
    from .app import Front


async def payment_status(front: Front, request: Request, checkout_id: str) -> Answer:
    """The status, by one indexed read."""

    def look() -> Answer:
        reader = read.reader_of(
            request.header(b"authorization"),
            origin_of(request.header(b"origin")),
            request.query("ticket"),
        )
        return document_answer(read.status_of(reader, checkout_id))

    return await front.in_thread(look)
