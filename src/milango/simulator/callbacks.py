"""What Daraja posts to CallBackURL: the truth, and the ways to lie."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from milango.simulator.deliveries import Delivery
from milango.simulator.ids import Ids, now, wire_time
from milango.simulator.ledger import Attempt
from milango.simulator.results import RESULTS, Result
from milango.simulator.settings import Settings

Callback = dict[str, Any]

_SHAPES = ("plain", "integer", "balance")


def callback(attempt: Attempt, result: Result, shape: str) -> Callback:
    """What is posted for this result; details only if it says paid."""
    code, text = result.in_callback()
    said: Callback = {
        "MerchantRequestID": attempt.merchant_request_id,
        "CheckoutRequestID": attempt.checkout_request_id,
        "ResultCode": code,
        "ResultDesc": text,
    }
    if result.paid:
        said["CallbackMetadata"] = {"Item": _details(attempt, shape)}
    return {"Body": {"stkCallback": said}}


def _details(attempt: Attempt, shape: str) -> list[dict[str, Any]]:
    amount = attempt.push.amount
    paid_at = attempt.ended_at or now()
    return [
        {"Name": "Amount", "Value": amount if shape == "integer" else float(amount)},
        {"Name": "MpesaReceiptNumber", "Value": attempt.receipt},
        *([{"Name": "Balance"}] if shape == "balance" else []),
        {"Name": "TransactionDate", "Value": int(wire_time(paid_at))},
        {"Name": "PhoneNumber", "Value": int(attempt.push.phone)},
    ]


def _item(said: Callback, name: str) -> dict[str, Any]:
    items: list[dict[str, Any]] = said["CallbackMetadata"]["Item"]
    return next(item for item in items if item["Name"] == name)


def _other_amount(said: Callback, ids: Ids) -> None:
    _item(said, "Amount")["Value"] += 1


def _other_id(said: Callback, ids: Ids) -> None:
    phone = str(_item(said, "PhoneNumber")["Value"])
    said["CheckoutRequestID"] = ids.checkout_request_id(now(), phone)
    said["MerchantRequestID"] = ids.request_id()


def _masked_phone(said: Callback, ids: Ids) -> None:
    item = _item(said, "PhoneNumber")
    phone = str(item["Value"])
    item["Value"] = f"{phone[:4]}*****{phone[-3:]}"


def _no_details(said: Callback, ids: Ids) -> None:
    del said["CallbackMetadata"]


def _text_code(said: Callback, ids: Ids) -> None:
    said["ResultCode"] = str(said["ResultCode"])


LIES: dict[str, Callable[[Callback, Ids], None]] = {
    "other_amount": _other_amount,
    "other_id": _other_id,
    "masked_phone": _masked_phone,
    "no_details": _no_details,
    "text_code": _text_code,
}


def body_of(attempt: Attempt, says: str, ids: Ids, shape: str) -> bytes:
    """The bytes to post. `says`: truth, garbled, a row of `LIES` or of `results.py`."""
    result = RESULTS.get(says) or attempt.result
    if result is None:
        raise AssertionError("the truth is not known before the end")
    made = callback(attempt, result, shape)
    if says in LIES:
        LIES[says](made["Body"]["stkCallback"], ids)
    body = msgspec.json.encode(made)
    return body[: len(body) // 2] if says == "garbled" else body


class Poster:
    """Posts messages, each once, and notes in the books how it went."""

    def __init__(self, ids: Ids, chance: random.Random) -> None:
        self._ids = ids
        self._chance = chance
        self._session: aiohttp.ClientSession | None = None
        self._source: str | None = None

    async def post(self, attempt: Attempt, says: str, copies: int, settings: Settings) -> None:
        """Post `copies` of one callback at the same moment."""
        shape: str = settings.metadata
        if shape == "mixed":
            shape = self._chance.choice(_SHAPES)
        body = body_of(attempt, says, self._ids, shape)
        push = attempt.push
        await self.send(
            push.callback_url, push.business_short_code, body, attempt.callbacks, copies, settings
        )

    async def send(
        self,
        url: str,
        short_code: str,
        body: bytes,
        noted: list[Delivery],
        copies: int,
        settings: Settings,
    ) -> None:
        """Post `copies` of one message at the same moment; each is noted before it leaves."""
        deliveries = [Delivery(at=now(), body=body) for _ in range(copies)]
        noted.extend(deliveries)
        timeout = settings.callback_timeout_s
        await asyncio.gather(
            *(self.exchange(url, short_code, each, timeout, settings) for each in deliveries)
        )

    async def exchange(
        self, url: str, short_code: str, delivery: Delivery, timeout_s: float, settings: Settings
    ) -> bytes:
        """Post one message, note on it how it went, and give what was answered."""
        session = await self._open_session(settings.callback_source)
        headers = {
            "Content-Type": "application/json;charset=UTF-8",
            "BusinessShortCode": short_code,
            **settings.callback_headers,
        }
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with session.post(
                url, data=delivery.body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                body = await answer.read()
                delivery.status = answer.status
                return body
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            delivery.error = type(error).__name__
            return b""

    async def _open_session(self, source: str | None) -> aiohttp.ClientSession:
        if self._session is not None and source != self._source:
            await self.close()
        if self._session is None:
            self._source = source
            address = (source, 0) if source else None
            connector = aiohttp.TCPConnector(limit=500, local_addr=address)
            self._session = aiohttp.ClientSession(connector=connector)
        return self._session

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
