"""How the control API reads and answers: JSON, and mistakes told in a sentence."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from milango.simulator.world import World

T = TypeVar("T")
View = Callable[["World", Request], Awaitable[Response]]


class Wrong(Exception):
    """The control request cannot be carried out; the caller gets `status` and the sentence."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def answer(body: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status, media_type="application/json")


async def read(request: Request, kind: type[T]) -> T:
    """The body as `kind`. Raises Wrong with what is the matter with it."""
    body = await request.body()
    try:
        return msgspec.json.decode(body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise Wrong(str(error)) from None
