"""`DynamicMpesaClient`: one merchant's Daraja, with that merchant's own credentials."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeVar

import aiohttp
import msgspec

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent, MilangoError

from . import messages
from .answers import InvalidToken, read_push, read_query, read_token
from .messages import PushAccepted, QueryAnswer
from .sessions import bridge, session
from .tokens import MemoryTokenStore, Token, TokenStore, shared_token, token_key

T = TypeVar("T")

BASE_URLS: Final[Mapping[str, str]] = {
    "sandbox": "https://sandbox.safaricom.co.ke",
    "production": "https://api.safaricom.co.ke",
    "simulator": "http://127.0.0.1:8200",
}

LONGEST_ANSWER: Final = 65_536

_SHARED: Final = MemoryTokenStore()


class NotYetSupported(MilangoError, NotImplementedError):
    """Asking by receipt needs Transaction Status, with an initiator that Milango does not keep yet.

    Nothing was asked. Use `checkout_request_id` for a payment that began as an STK push.
    """

    code = "not_yet_supported"


class DynamicMpesaClient:
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
    ) -> None:
        """Take a credential (any object with these attributes, such as `MpesaCredential`), or
        the attributes themselves. `timeout` is in seconds, for one request."""
        self.short_code = credential.short_code if credential else short_code
        self.kind = credential.kind if credential else kind
        self.environment = credential.environment if credential else environment
        self._store_number = credential.store_number if credential else store_number
        self._consumer_key = credential.consumer_key if credential else consumer_key
        self._consumer_secret = credential.consumer_secret if credential else consumer_secret
        self._passkey = credential.passkey if credential else passkey
        self.base_url = (base_url or BASE_URLS[self.environment]).rstrip("/")
        self._tokens = token_store or _SHARED
        self._key = token_key(self.base_url, self._consumer_key, self._consumer_secret)
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(10.0, timeout))

    def __repr__(self) -> str:
        return f"<DynamicMpesaClient {self.kind} {self.short_code} ({self.environment})>"

    @property
    def business_short_code(self) -> str:
        """The number that owns the passkey: the paybill, or the till's store number."""
        return self._store_number if self.kind == messages.TILL else self.short_code

    # --- sync -------------------------------------------------------------------------------

    def stk_push(
        self,
        phone_number: str,
        amount: Decimal | int,
        callback_url: str,
        account_reference: str,
        description: str = "Payment",
    ) -> PushAccepted:
        """Send a prompt: `amount` in whole KES to a number like `254708374149`.

        Returns when Daraja has queued it, which says nothing about the payment.
        """
        return bridge.run(
            self.astk_push(phone_number, amount, callback_url, account_reference, description)
        )

    def payment_status(
        self, receipt_number: str | None = None, *, checkout_request_id: str | None = None
    ) -> QueryAnswer:
        """Ask STK query how a push ended. By receipt number: NotYetSupported."""
        return bridge.run(
            self.apayment_status(receipt_number, checkout_request_id=checkout_request_id)
        )

    def _get_access_token(self) -> str:
        """The shared OAuth token of these credentials, fetched when there is none."""
        return bridge.run(self._aget_access_token())

    # --- async ------------------------------------------------------------------------------

    async def astk_push(
        self,
        phone_number: str,
        amount: Decimal | int,
        callback_url: str,
        account_reference: str,
        description: str = "Payment",
    ) -> PushAccepted:
        """`stk_push`, awaitable."""
        password, timestamp = self._password()
        request = messages.Push(
            business_short_code=self.business_short_code,
            password=password,
            timestamp=timestamp,
            transaction_type=messages.TRANSACTION_TYPES[self.kind],
            amount=messages.whole_shillings(amount),
            party_a=phone_number,
            party_b=self.short_code,
            phone_number=phone_number,
            call_back_url=callback_url,
            account_reference=account_reference,
            transaction_desc=description or "Payment",
        )
        return await self._call(messages.PUSH_PATH, request, read_push)

    async def apayment_status(
        self, receipt_number: str | None = None, *, checkout_request_id: str | None = None
    ) -> QueryAnswer:
        """`payment_status`, awaitable."""
        if receipt_number is not None:
            raise NotYetSupported
        if not checkout_request_id:
            raise ValueError("payment_status needs a checkout_request_id")
        password, timestamp = self._password()
        request = messages.Query(
            business_short_code=self.business_short_code,
            password=password,
            timestamp=timestamp,
            checkout_request_id=checkout_request_id,
        )
        return await self._call(messages.QUERY_PATH, request, read_query)

    async def _aget_access_token(self) -> str:
        return (await shared_token(self._tokens, self._key, self._fetch_token)).access_token

    # --- the wire ---------------------------------------------------------------------------

    def _password(self) -> tuple[str, str]:
        return messages.password(self.business_short_code, self._passkey, datetime.now(UTC))

    async def _call(self, path: str, request: msgspec.Struct, read: Callable[[int, bytes], T]) -> T:
        """Post a request; on an invalid token fetch a new one and replay once, on nothing else.

        The replay is safe: the gateway refuses before M-Pesa sees the request (Daraja
        reference 2).
        """
        body = msgspec.json.encode(request)
        token = await self._aget_access_token()
        try:
            return read(*await self._post(path, body, token))
        except InvalidToken:
            await self._tokens.drop(self._key, token)
        token = await self._aget_access_token()
        try:
            return read(*await self._post(path, body, token))
        except InvalidToken as error:
            raise _refused_token(error) from None

    async def _post(self, path: str, body: bytes, token: str) -> tuple[int, bytes]:
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        return await _exchange(
            session().post(
                self.base_url + path,
                data=body,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            )
        )

    async def _fetch_token(self) -> Token:
        pair = f"{self._consumer_key}:{self._consumer_secret}".encode()
        headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
        asked_at = time.time()
        status, body = await _exchange(
            session().get(
                self.base_url + messages.OAUTH_PATH,
                headers=headers,
                timeout=self._timeout,
                allow_redirects=False,
            )
        )
        access_token, life = read_token(status, body)
        return Token(access_token, asked_at + life)


def _refused_token(error: DarajaError) -> DarajaRefused:
    message = (
        "Daraja refused a fresh access token: the app lacks the product, or its keys belong to "
        "another environment."
    )
    return DarajaRefused(message, daraja_code=error.daraja_code, text=error.text)


async def _exchange(request: Awaitable[aiohttp.ClientResponse]) -> tuple[int, bytes]:
    """Send a request and read the answer; the network's errors become ours.

    Without a connection nothing was sent (DarajaBusy); once there was one, silence means that
    anything may have happened (DarajaSilent).
    """
    try:
        response = await request
        async with response:
            return response.status, await _read(response)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise DarajaBusy("Daraja cannot be reached. Nothing was sent.", retry_after=10) from None
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        name = type(error).__name__
        message = f"Daraja did not answer ({name}). The outcome is unknown."
        raise DarajaSilent(message, text=name) from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(8_192):
        parts.append(part)
        size += len(part)
        if size > LONGEST_ANSWER:
            break
    return b"".join(parts)
