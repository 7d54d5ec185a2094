"""POST /callbacks/stk/<token> at the hot door: in memory, then the inbox, then the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.flows import receive

from .http import Request

if TYPE_CHECKING:
    from .app import Front

TAKEN: Final = document_answer(receive.TAKEN)


_KEPT: Final = tuple((name, name.encode()) for name in receive.KEPT_HEADERS)


def _kept(request: Request) -> dict[str, str]:
    """The headers that are stored with the body."""
    return {name: found for name, key in _KEPT if (found := request.header(key)) is not None}


async def stk_callback(front: Front, request: Request, token: str) -> Answer:
    """200 once the bytes are committed, whatever they say; 503 while the database is away, and
    the bytes are kept on the disk."""
    body = await request.body(receive.BODY_LIMIT)
    evidence = receive.read_stk(token, body, _kept(request), request.peer, datetime.now(UTC))
    if evidence is None:
        raise Declined("not_found", "There is nothing at this address.")
    try:
        await front.inbox.submit(receive.EVIDENCE, evidence, trusted=evidence.listed)
    except Declined as refusal:
        if front.spool and refusal.code == "database_unavailable":
            await front.spool.keep(evidence)
        raise
    return TAKEN
