"""Daraja's callbacks at the hot door: read in memory, then the inbox, then the answer.

200 once the bytes are committed, whatever they say; 503 while the database is away.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.flows import confirmations, questions, receive

from .http import Request

if TYPE_CHECKING:
    from .app import Front

TAKEN: Final = document_answer(receive.TAKEN)
CONFIRMED: Final = document_answer(receive.CONFIRMED)


_KEPT: Final = tuple((name, name.encode()) for name in receive.KEPT_HEADERS)


def _kept(request: Request) -> dict[str, str]:
    """The headers that are stored with the body."""
    return {name: found for name, key in _KEPT if (found := request.header(key)) is not None}


def _nothing_here() -> Declined:
    return Declined("not_found", "There is nothing at this address.")


async def stk_callback(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/stk/<token>. While the database is away the bytes are kept on the disk."""
    body = await request.body(receive.BODY_LIMIT)
    evidence = receive.read_stk(token, body, _kept(request), request.peer, datetime.now(UTC))
    if evidence is None:
        raise _nothing_here()
    try:
        await front.inbox.submit(receive.EVIDENCE, evidence, trusted=evidence.listed)
    except Exception as error:
        if front.spool and _is_our_fault(error):
            await front.spool.keep(evidence)
        raise
    return TAKEN


def _is_our_fault(error: Exception) -> bool:
    """Whether the callback was good enough, and only we could not take it."""
    return not isinstance(error, Declined) or error.code == "database_unavailable"


async def c2b_confirmation(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/confirm."""
    body = await request.body(receive.BODY_LIMIT)
    now = datetime.now(UTC)
    arrival = confirmations.read_confirmation(token, body, _kept(request), request.peer, now)
    if arrival is None:
        raise _nothing_here()
    await front.inbox.submit(confirmations.CONFIRMATIONS, arrival, trusted=arrival.listed)
    return CONFIRMED


async def c2b_validation(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/validate. M-Pesa waits for the answer."""
    body = await request.body(receive.BODY_LIMIT)
    said = await front.quickly(lambda: confirmations.validate(token, body, request.peer))
    if said is None:
        raise _nothing_here()
    return document_answer(said)


async def status_result(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/result/<token>."""
    return await _answer_to_a_question(front, request, token, timed_out=False)


async def status_timeout(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/result/<token>/timeout."""
    return await _answer_to_a_question(front, request, token, timed_out=True)


async def _answer_to_a_question(
    front: Front, request: Request, token: str, *, timed_out: bool
) -> Answer:
    body = await request.body(receive.BODY_LIMIT)
    now = datetime.now(UTC)
    answer = questions.read_answer(
        token, body, _kept(request), request.peer, now, timed_out=timed_out
    )
    if answer is None:
        raise _nothing_here()
    await front.inbox.submit(questions.ANSWERS, answer, trusted=answer.listed)
    return TAKEN
