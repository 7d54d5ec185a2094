"""Daraja's callbacks at the hot door: read in memory, then the inbox, then the answer.

200 once the bytes are committed, whatever they say. 503 while the database is away: then they are
kept on the disk before the answer, and committed later (`spool`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final
from uuid import UUID

from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.flows import confirmations, hours, kinds, questions, receive
from milango.flows.kinds import Kind

from .http import Request
from .spool import Kept

if TYPE_CHECKING:
    from .app import Front

TAKEN: Final = document_answer(receive.TAKEN)
CONFIRMED: Final = document_answer(receive.CONFIRMED)

COMMIT_SECONDS: Final = 5.0
"""A callback that is not committed by then is answered 503. It may still be, and told again it only
counts."""

LATE: Final = Declined(
    "database_unavailable", "The database does not answer. Send it again.", retry_after=5
)

VALIDATION_SECONDS: Final = 1.0

UNDECIDED: Final = Declined(
    "database_unavailable",
    "Nobody can say now whose account this is. Do as is registered for that case.",
    retry_after=5,
)
"""Of a validation. Neither yes nor no: a yes may credit a stranger, a no sends payers away."""

_KEPT: Final = tuple((name, name.encode()) for name in receive.KEPT_HEADERS)


def _kept(request: Request) -> dict[str, str]:
    """The headers that are stored with the body."""
    return {name: found for name, key in _KEPT if (found := request.header(key)) is not None}


def _nothing_here() -> Declined:
    return Declined("not_found", "There is nothing at this address.")


async def stk_callback(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/stk/<token>."""
    await _take(front, request, token, kinds.STK, receive.payment_of(token))
    return TAKEN


async def c2b_confirmation(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/confirm."""
    await _take(front, request, token, kinds.C2B, confirmations.owner_of(token))
    return CONFIRMED


async def status_result(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/result/<token>."""
    await _take(front, request, token, kinds.RESULT, questions.question_of(token))
    return TAKEN


async def status_timeout(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/result/<token>/timeout."""
    await _take(front, request, token, kinds.TIMEOUT, questions.question_of(token))
    return TAKEN


async def _take(
    front: Front, request: Request, token: str, kind: Kind, named_id: UUID | None
) -> None:
    """Read the body and have it committed. While the database is away it is kept on the disk."""
    if named_id is None:
        raise _nothing_here()
    body = await request.body(receive.BODY_LIMIT)
    now = hours.now()
    original = receive.original_of(token, body, _kept(request), request.peer, now)
    listed = receive.is_listed_peer(request.peer)
    item = kind.read(named_id, original, listed, now)
    try:
        await front.inbox.submit(kind.verb, item, trusted=listed, lateness=front.commits)
    except Exception as error:
        if front.spool and _is_our_fault(error):
            await front.spool.keep(Kept(named_id, listed, original, kind.name))
        if isinstance(error, TimeoutError):
            raise LATE from None
        raise


def _is_our_fault(error: Exception) -> bool:
    """Whether the callback was good enough, and only we could not take it."""
    return not isinstance(error, Declined) or error.code == "database_unavailable"


async def c2b_validation(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/validate. M-Pesa waits for the answer, and so does the payer.

    Without one, at once or in time, M-Pesa does what the merchant has registered for that case.
    """
    if confirmations.owner_of(token) is None:
        raise _nothing_here()
    body = await request.body(receive.BODY_LIMIT)
    try:
        async with asyncio.timeout(VALIDATION_SECONDS):
            said = await front.quickly(lambda: confirmations.validate(token, body, request.peer))
    except TimeoutError:
        raise UNDECIDED from None
    return document_answer(said or {})
