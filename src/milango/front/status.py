"""GET /api/v1/payments/status/<checkout_id> at the hot door, at once or when there is news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.core.intake import origin_of
from milango.core.payments import Status
from milango.flows import read
from milango.models import Payment

from .http import Request
from .waiting import OneCall

if TYPE_CHECKING:
    from .app import Front

Look = Callable[[], Awaitable[Payment | None]]

LONGEST_WAIT: Final = 60
"""Seconds that `?wait=` may ask for."""


async def payment_status(front: Front, request: Request, checkout_id: str) -> Answer:
    """The status, by one indexed read; with `?wait=25` it waits so long for a Pending to end.

    An unknown id waits as long as a Pending one, so that waiting tells nothing either.
    """
    authorization = request.header(b"authorization")
    origin = origin_of(request.header(b"origin"))
    ticket = request.query("ticket")
    reader = await front.quickly(lambda: read.reader_of(authorization, origin, ticket))

    named = read.by_checkout_id(reader, checkout_id)

    async def look() -> Payment | None:
        return await front.payment(named)

    found = await look()
    seconds = _seconds(request)
    if seconds and (found is None or found.status == Status.PENDING):
        await _wait(front, found, look, seconds)
        found = await look()
    return document_answer(read.status_of_known(found))


def _seconds(request: Request) -> int:
    word = request.query("wait") or ""
    return min(int(word), LONGEST_WAIT) if word.isdecimal() and len(word) < 6 else 0


async def _wait(front: Front, found: Payment | None, look: Look, seconds: int) -> None:
    """Until the payment has news, or the seconds are over."""
    before, call = read.status_of_known(found), OneCall()
    # An unknown id waits under a name that nobody rings.
    name = found.pk if found else uuid4()
    with suppress(Declined, TimeoutError):
        front.waiters.add(name, call)
        try:
            async with asyncio.timeout(seconds):
                # Subscribed first, read afterwards: nothing falls between the two.
                while not call.is_over:
                    if found and read.status_of_known(await look()) != before:
                        break
                    await call.called.wait()
                    call.called.clear()
        finally:
            front.waiters.remove(name, call)
