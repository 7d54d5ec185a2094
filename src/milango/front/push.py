"""POST /api/v1/stk-push at the hot door: no thread waits while Daraja thinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from milango.core import inputs
from milango.core.answers import Answer, document_answer
from milango.core.intake import check_content_type, origin_of
from milango.flows import callers
from milango.flows.charge import acharge
from milango.flows.opening import Opening, draft
from milango.flows.present import payment_document
from milango.models import Payment

from .http import Request

if TYPE_CHECKING:
    from .app import Front


async def stk_push(front: Front, request: Request, _: str) -> Answer:
    """Send one prompt. Checked in this order: type, size, key, scope, fields.

    A caller that leaves cancels its own waiting; what is written down goes on to its end.
    """
    check_content_type(request.header(b"content-type"))
    body = await request.body(inputs.BODY_LIMIT)
    authorization = request.header(b"authorization")
    origin = origin_of(request.header(b"origin"))
    caller = await front.quickly(lambda: callers.authenticate(authorization, origin))
    caller.require("charge")
    wish = inputs.read_push(body)
    key = inputs.idempotency_key(request.header(b"idempotency-key"))
    peer = request.peer
    opening = await front.quickly(lambda: draft(caller, wish, idempotency_key=key, peer=peer))
    payment = await front.to_the_end(_charge(front, opening))
    return document_answer(payment_document(payment, secret=not caller.publishable), 202)


async def _charge(front: Front, opening: Opening) -> Payment:
    async with front.turns.take(opening.payment.merchant_id):
        return await acharge(opening, front.inbox.submit, front.in_thread)
