"""Access tokens."""

from __future__ import annotations

import base64
import binascii
import time
from typing import TYPE_CHECKING

from milango.simulator.errors import BadCredentials, Refused
from milango.simulator.wire import Answer, Call, json_answer

if TYPE_CHECKING:
    from milango.simulator.world import World


class Tokens:
    """Which token belongs to which consumer key, and until when."""

    def __init__(self) -> None:
        self._live: dict[str, tuple[str, float]] = {}
        self._of_key: dict[str, set[str]] = {}

    def issue(self, token: str, consumer_key: str, life: float, *, revoke_previous: bool) -> None:
        """`life` in seconds."""
        if revoke_previous:
            for older in self._of_key.get(consumer_key, set()).copy():
                self.revoke(older)
        self._live[token] = (consumer_key, time.monotonic() + life)
        self._of_key.setdefault(consumer_key, set()).add(token)

    def revoke(self, token: str) -> None:
        consumer_key, _ = self._live.pop(token, ("", 0.0))
        self._of_key.get(consumer_key, set()).discard(token)

    def owner(self, token: str) -> str | None:
        """The consumer key of a live token."""
        consumer_key, until = self._live.get(token, (None, 0.0))
        return consumer_key if time.monotonic() < until else None


async def generate(world: World, call: Call) -> Answer:
    """GET /oauth/v1/generate?grant_type=client_credentials"""
    consumer_key, consumer_secret = _basic(call)
    if call.query.get("grant_type") != ["client_credentials"]:
        raise Refused("invalid_grant")
    call.consumer_key = consumer_key
    if not world.apps.knows(consumer_key, consumer_secret):
        raise BadCredentials
    settings = world.settings
    token = world.ids.token()
    world.tokens.issue(
        token, consumer_key, settings.token_life_s, revoke_previous=settings.revoke_previous_token
    )
    life = int(settings.token_life_s)
    return json_answer(
        {
            "access_token": token,
            "expires_in": life if settings.expires_in_as_number else str(life),
        }
    )


def authorise(world: World, call: Call, error: str) -> str:
    """The token of this call, once it is known to be live; fills in the call's consumer key.

    Raises Refused with `error`, since each API has its own code for a dead token.
    """
    scheme, _, token = call.header("authorization").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Refused("invalid_header")
    consumer_key = world.tokens.owner(token.strip())
    if consumer_key is None:
        raise Refused(error)
    call.consumer_key = consumer_key
    return token.strip()


def _basic(call: Call) -> tuple[str, str]:
    scheme, _, encoded = call.header("authorization").partition(" ")
    if scheme.lower() != "basic":
        raise Refused("invalid_authentication")
    try:
        plain = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        raise Refused("invalid_authentication") from None
    key, _, secret = plain.partition(":")
    return key, secret
