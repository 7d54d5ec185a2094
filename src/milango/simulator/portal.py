"""What the organisation's portal would do, and what M-Pesa's own book says, as control routes."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from milango.simulator.apps import Filled
from milango.simulator.speech import View, Wrong, answer, read
from milango.simulator.world import World

_FILTERS = ("receipt", "kind", "state", "consumer_key", "business_short_code", "party_b", "phone")


class Operator(msgspec.Struct, forbid_unknown_fields=True):
    shortcode: Filled
    initiator: Filled


async def list_transactions(world: World, request: Request) -> Response:
    """The book, in the order in which it was written."""
    wanted = {name: request.query_params[name] for name in _FILTERS if name in request.query_params}
    rows = (transaction.view() for transaction in world.ledger.book)
    return answer([row for row in rows if wanted.items() <= row.items()])


async def show_certificate(world: World, request: Request) -> Response:
    return Response(world.key_pair.certificate, media_type="application/x-pem-file")


async def list_initiators(world: World, request: Request) -> Response:
    return answer(world.initiators.view())


async def unlock_initiator(world: World, request: Request) -> Response:
    wish = await read(request, Operator)
    if not world.initiators.unlock(wish.shortcode, wish.initiator):
        raise Wrong("this operator has no wrong password to forget", 404)
    return answer(world.initiators.view())


async def list_inquiries(world: World, request: Request) -> Response:
    return answer([inquiry.view() for inquiry in world.inquiries])


VIEWS: tuple[tuple[str, str, View], ...] = (
    ("GET", "/control/transactions", list_transactions),
    ("GET", "/control/certificate", show_certificate),
    ("GET", "/control/initiators", list_initiators),
    ("POST", "/control/initiators/unlock", unlock_initiator),
    ("GET", "/control/inquiries", list_inquiries),
)
