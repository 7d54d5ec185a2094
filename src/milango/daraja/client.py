"""`DynamicMpesaClient`: one merchant's Daraja, with that merchant's own credentials."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from milango.core import phones, references
from milango.core.amounts import parse_amount
from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent

from . import messages, questions
from .answers import InvalidToken, read_push, read_token
from .asking import LONGEST_ANSWER, Asking, Initiator
from .messages import Private, PushAccepted
from .sessions import bridge, session
from .tokens import FETCH, MemoryTokenStore, Token, TokenStore, shared_token, token_key

T = TypeVar("T")

BASE_URLS: Final[Mapping[str, str]] = {
    "sandbox": "https://sandbox.safaricom.co.ke",
    "production": "https://api.safaricom.co.ke",
    "simulator": "http://127.0.0.1:8200",
}

CONNECT: Final = 10.0
"""Seconds for a connection. Until there is one, nothing was sent."""

_SHARED: Final = MemoryTokenStore()

Watch = Callable[[str], AbstractContextManager[object]]
"""Somebody who wants to know of each exchange, how long it takes and how it fails."""

CALLS: Final[Mapping[str, str]] = {
    messages.PUSH_PATH: "push",
    messages.QUERY_PATH: "query",
    questions.STATUS_PATH: "status",
    questions.PULL_PATH: "pull",
    questions.PULL_REGISTER_PATH: "register",
    **{questions.REGISTER_PATH.format(version=v): "register" for v in questions.C2B_VERSIONS},
}


def _unwatched(call: str) -> AbstractContextManager[object]:
    return nullcontext()


class DynamicMpesaClient(Asking):
    """A client of Daraja for one short code.

    Sync methods have Django's async twins (`stk_push`, `astk_push`). Both raise DarajaRefused (a
    definite no), DarajaBusy (nothing happened) or DarajaSilent (it may have happened).
    """

    def __init__(
        self,
        credential: Any = None,
        *,
        consumer_key: str = "",
        consumer_secret: str = "",
        passkey: str = "",
        short_code: str = "",
        kind: str = messages.PAYBILL,
        store_number: str = "",
        environment: str = "sandbox",
        base_url: str | None = None,
        token_store: TokenStore | None = None,
        timeout: float = 30.0,
        initiator_name: str = "",
        initiator_password: str = "",
        initiator_certificate: str = "",
        security_credential: str = "",
        watch: Watch = _unwatched,
    ) -> None:
        """Take a credential (any object with these attributes, such as `MpesaCredential`), or
        the attributes themselves. `timeout` is in seconds, for one request. `watch` is
        entered around each exchange with the name of the call: push, query, status, pull,
        register or token.

        Who asks Transaction Status gives an initiator as well: its name, its password and
        Safaricom's certificate (PEM text), or instead of these two a ready security credential.
        A credential may lack the four.

        Raises ValueError for a kind or an environment that there is not.
        """
        given = credential is not None
        self.short_code: str = credential.short_code if given else short_code
        self.kind: str = credential.kind if given else kind
        self.environment: str = credential.environment if given else environment
        self._store_number: str = credential.store_number if given else store_number
        self._consumer_key: str = credential.consumer_key if given else consumer_key
        self._consumer_secret: str = credential.consumer_secret if given else consumer_secret
        self._passkey: str = credential.passkey if given else passkey
        self._initiator = Initiator(
            name=getattr(credential, "initiator_name", "") if given else initiator_name,
            password=getattr(credential, "initiator_password", "") if given else initiator_password,
            certificate=(
                getattr(credential, "initiator_certificate", "") if given else initiator_certificate
            ),
            security_credential=(
                getattr(credential, "security_credential", "") if given else security_credential
            ),
        )
        _check("kind", self.kind, messages.TRANSACTION_TYPES)
        _check("environment", self.environment, BASE_URLS)
        self.base_url = (base_url or BASE_URLS[self.environment]).rstrip("/")
        self._tokens = token_store or _SHARED
        self._key = token_key(self.base_url, self._consumer_key, self._consumer_secret)
        self._timeout = timeout
        self._watch = watch

    def __repr__(self) -> str:
        return f"<DynamicMpesaClient {self.kind} {self.short_code} ({self.environment})>"

    @property
    def app(self) -> str:
        """A word for the Daraja app: environment, consumer key and secret, told by nobody."""
        return self._key

    @property
    def has_token(self) -> bool:
        """Whether a fresh token is at hand, so that a request would go out at once."""
        token = self._tokens.peek(self._key)
        return token is not None and token.is_fresh(self._tokens.now())

    @property
    def business_short_code(self) -> str:
        """The number that owns the passkey: the paybill, or the till's store number."""
        return self._store_number if self.kind == messages.TILL else self.short_code

    # --- sync -------------------------------------------------------------------------------

    def stk_push(
        self,
        phone_number: str,
        amount: Decimal | int | str,
        callback_url: str,
        account_reference: str,
        description: str = "",
    ) -> PushAccepted:
        """Send a prompt for `amount` whole KES (1 to 250,000) to a Kenyan mobile number.

        Returns when Daraja has queued it, which says nothing about the payment. Raises
        InvalidPhone, InvalidAmount or InvalidRequest before anything is sent.
        """
        return bridge.run(
            self.astk_push(phone_number, amount, callback_url, account_reference, description)
        )

    def _get_access_token(self) -> str:
        """The shared OAuth token of these credentials, fetched when there is none.

        Raises DarajaRefused for a wrong key or secret, DarajaBusy for everything else.
        """
        return bridge.run(self._aget_access_token())

    # --- async ------------------------------------------------------------------------------

    async def astk_push(
        self,
        phone_number: str,
        amount: Decimal | int | str,
        callback_url: str,
        account_reference: str,
        description: str = "",
    ) -> PushAccepted:
        """`stk_push`, awaitable."""
        request = messages.push(
            kind=self.kind,
            short_code=self.short_code,
            business_short_code=self.business_short_code,
            amount=parse_amount(amount),
            phone_number=phones.normalise(phone_number),
            callback_url=callback_url,
            account_reference=references.account_reference(account_reference),
            description=references.description(description or "Payment"),
            proof=self._proof(),
        )
        return await self._call(messages.PUSH_PATH, request, read_push)

    async def _aget_access_token(self) -> str:
        return (await self._token()).access_token

    # --- the wire ---------------------------------------------------------------------------
    #
    # Secrets stand in no local variable and in no argument with a telling repr, because error
    # reports show both. For the same reason errors are raised without their context.

    def _proof(self) -> tuple[str, str]:
        # This machine's clock will do: Daraja compares the time with the password alone, and
        # nobody keeps it.
        return messages.password(self.business_short_code, self._passkey, datetime.now(UTC))

    async def _call(
        self,
        path: str,
        request: Private,
        read: Callable[[int, bytes], T],
        longest: int = LONGEST_ANSWER,
    ) -> T:
        """Post a request; on an invalid token fetch a new one and replay once, on nothing else.

        The replay is safe: the gateway refuses before M-Pesa sees the request (Daraja
        reference 2).
        """
        token = await self._token()
        try:
            with self._watch(CALLS[path]):
                return read(*await self._post(path, request, token, longest))
        except InvalidToken:
            await self._tokens.drop(self._key, token.access_token)
        token = await self._token()
        try:
            with self._watch(CALLS[path]):
                return read(*await self._post(path, request, token, longest))
        except InvalidToken as error:
            refused = _refused_token(error)
        raise refused

    async def _post(
        self, path: str, request: Private, token: Token, longest: int
    ) -> tuple[int, bytes]:
        http = await session()
        status, answer = await _exchange(
            http.post(
                self.base_url + path,
                data=msgspec.json.encode(request),
                headers={
                    "Authorization": f"Bearer {token.access_token}",
                    "Content-Type": "application/json",
                },
                timeout=_limits(self._timeout),
                allow_redirects=False,
            ),
            longest,
        )
        # Daraja echoes tokens in error messages.
        return status, _without(answer, token.access_token, request.secret)

    async def _token(self) -> Token:
        return await shared_token(self._tokens, self._key, self._fetch_token)

    async def _fetch_token(self) -> Token:
        with self._watch("token"):
            return await self._fetch()

    async def _fetch(self) -> Token:
        http = await session()
        asked_at = self._tokens.now()
        try:
            status, answer = await _exchange(
                http.get(
                    self.base_url + messages.OAUTH_PATH,
                    headers={"Authorization": _basic(self._consumer_key, self._consumer_secret)},
                    timeout=_limits(min(FETCH, self._timeout)),
                    allow_redirects=False,
                )
            )
            access_token, life = read_token(status, answer)
            return Token(access_token, asked_at + life)
        except DarajaSilent as error:
            text = error.text
        raise DarajaBusy("Daraja's token service does not answer. Nothing was sent.", text=text)


def _check(name: str, word: str, known: Mapping[str, str]) -> None:
    if word not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, not {word!r}")


def _basic(consumer_key: str, consumer_secret: str) -> str:
    return f"Basic {base64.b64encode(f'{consumer_key}:{consumer_secret}'.encode()).decode()}"


@lru_cache(maxsize=64)
def _limits(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=seconds, connect=min(CONNECT, seconds))


def _without(answer: bytes, *secrets: str) -> bytes:
    for secret in filter(None, secrets):
        answer = answer.replace(secret.encode(), "…".encode())
    return answer


def _refused_token(error: DarajaError) -> DarajaRefused:
    message = (
        "Daraja refused a fresh access token: the app lacks the product, or its keys belong to "
        "another environment."
    )
    return DarajaRefused(message, daraja_code=error.daraja_code, text=error.text)


async def _exchange(
    request: Awaitable[aiohttp.ClientResponse], longest: int = LONGEST_ANSWER
) -> tuple[int, bytes]:
    """Send a request and read the answer; the network's errors become ours.

    Without a connection nothing was sent (DarajaBusy); once there was one, silence means that
    anything may have happened (DarajaSilent).
    """
    problem: DarajaError
    try:
        async with await request as response:
            return response.status, await _read(response, longest)
    except (
        aiohttp.ClientConnectorError,
        aiohttp.ConnectionTimeoutError,
        aiohttp.InvalidURL,
    ) as error:
        name = type(error).__name__
        problem = DarajaBusy(f"Daraja cannot be reached ({name}). Nothing was sent.", text=name)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        name = type(error).__name__
        message = f"Daraja did not answer ({name}). The outcome is unknown."
        problem = DarajaSilent(message, text=name)
    raise problem


async def _read(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """The answer's beginning: what is longer than any answer of Daraja is not one."""
    parts, size = [], 0
    async for part in response.content.iter_chunked(8_192):
        parts.append(part)
        size += len(part)
        if size > longest:
            break
    return b"".join(parts)
