"""A real simulator on a real port, a merchant that talks to it, and a listener for callbacks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
import uvicorn
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from milango.simulator.app import create_app
from milango.simulator.ids import EAT

PASSKEY = "a-passkey-of-our-own"
TIMESTAMP = "20260314101530"
FAST: dict[str, Any] = {"time_scale": 0.02, "duplicate_window_s": 0, "prompt_life_s": 3000}
"""A story's second lasts 20 ms, a prompt a minute; result 17 is off unless a test wants it."""


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where the simulator listens."""
    config = uvicorn.Config(
        create_app(**FAST), host="127.0.0.1", port=0, log_level="critical", access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 10
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


def password(short_code: str = "600100", passkey: str = PASSKEY) -> str:
    return base64.b64encode(f"{short_code}{passkey}{TIMESTAMP}".encode()).decode()


class Listener:
    """What a merchant hears, in order."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.peers: list[str | None] = []
        self.url = ""
        self.told: list[tuple[str, dict[str, Any]]] = []
        """Everything that is no STK callback: the last part of its address, and what it says."""
        self.reply: Any = {"ResultCode": "0", "ResultDesc": "Accepted"}
        self.slowness = 0.0

    def at(self, name: str) -> str:
        return f"{self.url}/{name}"

    def said(self, name: str) -> list[dict[str, Any]]:
        """What came to this address."""
        return [body for where, body in self.told if where == name]

    async def hear(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.raw.append(body)
        self.headers.append(dict(request.headers))
        self.peers.append(request.remote)
        with contextlib.suppress(ValueError):
            self._sort(request.path.rpartition("/")[2], json.loads(body))
        await asyncio.sleep(self.slowness)
        return web.json_response(self.reply)

    def _sort(self, name: str, body: dict[str, Any]) -> None:
        if "Body" in body:
            self.heard.append(body["Body"]["stkCallback"])
        else:
            self.told.append((name, body))


class Merchant:
    """Speaks to the simulator as any software would: over HTTP."""

    def __init__(self, http: aiohttp.ClientSession, address: str, listener: Listener) -> None:
        self.http = http
        self.address = address
        self.listener = listener
        self.key, self.secret = "a-key", "a-secret"

    async def token(self, *, key: str = "", secret: str = "") -> str:
        status, body = await self.oauth(key=key, secret=secret)
        assert status == 200, body
        return str(body["access_token"])

    async def oauth(
        self, *, key: str = "", secret: str = "", grant: str = "client_credentials"
    ) -> tuple[int, Any]:
        pair = base64.b64encode(f"{key or self.key}:{secret or self.secret}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
        address = f"{self.address}/oauth/v1/generate?grant_type={grant}"
        async with self.http.get(address, headers=headers) as answer:
            return answer.status, await _body(answer)

    def push_body(self, **changes: Any) -> dict[str, Any]:
        body = {
            "BusinessShortCode": "600100",
            "Password": password(),
            "Timestamp": TIMESTAMP,
            "TransactionType": "CustomerPayBillOnline",
            "Amount": 150,
            "PartyA": "254708374149",
            "PartyB": "600100",
            "PhoneNumber": "254708374149",
            "CallBackURL": self.listener.url,
            "AccountReference": "INV-20931",
            "TransactionDesc": "Order 20931",
        } | changes
        return {name: value for name, value in body.items() if value is not None}

    async def push(
        self, phone: str = "254708374149", *, token: str = "", **changes: Any
    ) -> tuple[int, Any]:
        body = self.push_body(**{"PhoneNumber": phone, "PartyA": phone, **changes})
        token = token or await self.token()
        return await self.post("/mpesa/stkpush/v1/processrequest", body, token)

    async def pushed(self, phone: str = "254708374149", **changes: Any) -> str:
        """Push, and give the CheckoutRequestID of an accepted one."""
        status, body = await self.push(phone, **changes)
        assert status == 200, body
        return str(body["CheckoutRequestID"])

    async def query(self, checkout_request_id: str, *, token: str = "") -> tuple[int, Any]:
        body = {
            "BusinessShortCode": "600100",
            "Password": password(),
            "Timestamp": TIMESTAMP,
            "CheckoutRequestID": checkout_request_id,
        }
        token = token or await self.token()
        return await self.post("/mpesa/stkpushquery/v1/query", body, token)

    async def register(self, version: str = "v2", **changes: Any) -> tuple[int, Any]:
        """Register C2B addresses for 600100."""
        body = {
            "ShortCode": "600100",
            "ResponseType": "Completed",
            "ConfirmationURL": self.listener.at("confirm"),
            "ValidationURL": self.listener.at("validate"),
        } | changes
        token = await self.token()
        return await self.post(f"/mpesa/c2b/{version}/registerurl", body, token)

    async def pay(self, **changes: Any) -> dict[str, Any]:
        """Somebody pays at the counter; gives the row of the book."""
        body = {
            "shortcode": "600100",
            "phone": "254708374149",
            "amount": 500,
            "account_reference": "HSE-14B",
        } | changes
        row: dict[str, Any] = await self.control("POST", "payments", body)
        return row

    async def register_pull(self, **changes: Any) -> tuple[int, Any]:
        body = {
            "ShortCode": "600100",
            "RequestType": "Pull",
            "NominatedNumber": "254700000123",
            "CallBackURL": self.listener.at("pull"),
        } | changes
        return await self.post("/pulltransactions/v1/register", body, await self.token())

    async def pull(self, *, hours: float = 24, **changes: Any) -> tuple[int, Any]:
        """Pull what came in during so many hours."""
        until = datetime.now(EAT)
        body = {
            "ShortCode": "600100",
            "StartDate": f"{until - timedelta(hours=hours):%Y-%m-%d %H:%M:%S}",
            "EndDate": f"{until:%Y-%m-%d %H:%M:%S}",
            "OffSetValue": "0",
        } | changes
        return await self.post("/pulltransactions/v1/query", body, await self.token())

    async def certificate(self) -> x509.Certificate:
        async with self.http.get(f"{self.address}/control/certificate") as answer:
            return x509.load_pem_x509_certificate(await answer.read())

    async def sealed(self, password: str) -> str:
        """A SecurityCredential."""
        key = (await self.certificate()).public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        return base64.b64encode(key.encrypt(password.encode(), padding.PKCS1v15())).decode()

    async def ask_status(
        self, receipt: str = "", *, operator: str = "a-password", **changes: Any
    ) -> tuple[int, Any]:
        """Ask for the status of a transaction."""
        body = {
            "Initiator": "asker",
            "SecurityCredential": await self.sealed(operator),
            "CommandID": "TransactionStatusQuery",
            "TransactionID": receipt,
            "PartyA": "600100",
            "IdentifierType": "4",
            "ResultURL": self.listener.at("result"),
            "QueueTimeOutURL": self.listener.at("timeout"),
            "Remarks": "check",
            "Occasion": "",
        } | changes
        body = {name: value for name, value in body.items() if value is not None}
        token = await self.token()
        return await self.post("/mpesa/transactionstatus/v1/query", body, token)

    async def status(self, receipt: str = "", **changes: Any) -> dict[str, Any]:
        """Ask, wait, and give the only result that came."""
        self.listener.told.clear()
        status, body = await self.ask_status(receipt, **changes)
        assert status == 200, body
        await self.settle()
        (result,) = self.listener.said("result")
        return dict(result["Result"])

    async def post(self, path: str, body: Any, token: str) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.post(self.address + path, json=body, headers=headers) as answer:
            return answer.status, await _body(answer)

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.try_control(method, path, body)
        assert status < 300, answer
        return answer

    async def try_control(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.http.request(method, f"{self.address}/control/{path}", json=body) as answer:
            return answer.status, await _body(answer)

    async def settle(self) -> dict[str, Any]:
        """Wait until every story has told its end."""
        counts: dict[str, Any] = await self.control("POST", "idle", {"timeout_s": 10})
        assert counts["idle"]
        return counts

    async def truth(self, checkout_request_id: str) -> dict[str, Any]:
        row: dict[str, Any] = await self.control("GET", f"ledger/{checkout_request_id}")
        return row

    async def play(self, story: str, phone: str = "254711000001") -> dict[str, Any]:
        """Set a story, push, wait for its end; gives the only row of the ledger."""
        await self.control("POST", "stories", {"phone": phone, "story": story})
        self.answer = await self.push(phone)
        await self.settle()
        rows = await self.control("GET", "ledger")
        assert len(rows) == 1
        row: dict[str, Any] = rows[0]
        return row


async def _body(answer: aiohttp.ClientResponse) -> Any:
    raw = await answer.read()
    try:
        return json.loads(raw)
    except ValueError:
        return raw.decode()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    app = web.Application()
    app.router.add_post("/callbacks/{tail:.*}", listener.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listener.url = f"http://127.0.0.1:{runner.addresses[0][1]}/callbacks/7f3c9a1e5b2d4c60"
    yield listener
    await runner.cleanup()


@pytest.fixture
async def merchant(address: str, listener: Listener) -> AsyncIterator[Merchant]:
    async with aiohttp.ClientSession() as http:
        merchant = Merchant(http, address, listener)
        await merchant.control("POST", "reset")
        yield merchant
        await merchant.control("POST", "reset")
        await asyncio.sleep(0)
