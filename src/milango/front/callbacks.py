"""Daraja's callbacks at the hot door: read in memory, then the inbox, then the answer.

200 once the bytes are committed, whatever they say; 503 while the database is away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.flows import confirmations, hours, questions, receive
from milango.flows.batches import Verb

from .http import Request

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

_KEPT: Final = tuple((name, name.encode()) for name in receive.KEPT_HEADERS)


def _kept(request: Request) -> dict[str, str]:
    """The headers that are stored with the body."""
    return {name: found for name, key in _KEPT if (found := request.header(key)) is not None}


def _nothing_here() -> Declined:
    return Declined("not_found", "There is nothing at this address.")


async def stk_callback(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/stk/<token>. While the database is away the bytes are kept on the disk."""
    payment_id = receive.payment_of(token)
    if payment_id is None:
        raise _nothing_here()
    body = await request.body(receive.BODY_LIMIT)
    now = hours.now()
    evidence = receive.read_known(payment_id, token, body, _kept(request), request.peer, now)
    try:
        await _commit(front, receive.EVIDENCE, evidence, listed=evidence.listed)
    except Exception as error:
        if front.spool and _is_our_fault(error):
            await front.spool.keep(evidence)
        raise
    return TAKEN


async def _commit(front: Front, verb: Verb, item: Any, *, listed: bool) -> None:
    try:
        with front.for_commits.since():
            await front.inbox.submit(verb, item, trusted=listed)
    except TimeoutError:
        raise LATE from None


def _is_our_fault(error: Exception) -> bool:
    """Whether the callback was good enough, and only we could not take it."""
    return not isinstance(error, Declined) or error.code == "database_unavailable"


async def c2b_confirmation(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/confirm."""
    if confirmations.owner_of(token) is None:
        raise _nothing_here()
    body = await request.body(receive.BODY_LIMIT)
    now = hours.now()
    arrival = confirmations.read_confirmation(token, body, _kept(request), request.peer, now)
    if arrival is None:
        raise _nothing_here()
    await _commit(front, confirmations.CONFIRMATIONS, arrival, listed=arrival.listed)
    return CONFIRMED


async def c2b_validation(front: Front, request: Request, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/validate. M-Pesa waits for the answer."""
    if confirmations.owner_of(token) is None:
        raise _nothing_here()
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
    if questions.question_of(token) is None:
        raise _nothing_here()
    body = await request.body(receive.BODY_LIMIT)
    now = hours.now()
    answer = questions.read_answer(
        token, body, _kept(request), request.peer, now, timed_out=timed_out
    )
    if answer is None:
        raise _nothing_here()
    await _commit(front, questions.ANSWERS, answer, listed=answer.listed)
    return TAKEN
