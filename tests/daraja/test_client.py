"""The client over real sockets: what it sends, what it makes of silence, what it never tells."""

from __future__ import annotations

import asyncio
import base64
import socket
import traceback
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from milango.core.errors import (
    DarajaBusy,
    DarajaError,
    DarajaRefused,
    DarajaSilent,
    InvalidAmount,
    InvalidPhone,
    InvalidRequest,
)
from milango.core.payments import Outcome
from milango.daraja import DynamicMpesaClient, PushAccepted
from milango.daraja.tokens import MemoryTokenStore
from tests.daraja.conftest import Clients
from tests.daraja.payloads import CHECKOUT, SANDBOX_PASSKEY, document, payload
from tests.daraja.twin import Act, Twin, answer, half, hang_up, no_http, said, token, wait

PUSH: tuple[str, int, str, str, str] = (
    "254708374149",
    150,
    "https://pay.example.com/callbacks/stk/7f3c",
    "INV-20931",
    "Order 20931",
)
PAGE = answer(403, b"<html>Request blocked</html>", **{"Content-Type": "text/html"})
BAD_TOKEN = said("stk_push.error.invalid_access_token", 404)


async def test_it_works(client: DynamicMpesaClient, twin: Twin):
    accepted = await client.astk_push(*PUSH)
    assert accepted.checkout_request_id == CHECKOUT
    assert (twin.calls("oauth"), twin.calls("push")) == (1, 1)


def test_it_works_without_async(client: DynamicMpesaClient):
    assert client.stk_push(*PUSH).checkout_request_id == CHECKOUT
    assert client.payment_status(checkout_request_id=CHECKOUT).outcome is Outcome.PAID
    assert client._get_access_token() == document("oauth.response")["access_token"]


# --- what is sent ---------------------------------------------------------------------------


def test_a_push_is_signed_for_its_own_timestamp(client: DynamicMpesaClient, twin: Twin):
    client.stk_push(*PUSH)
    (body,) = twin.bodies
    signed = base64.b64decode(body["Password"]).decode()
    assert signed == f"174379{SANDBOX_PASSKEY}{body['Timestamp']}"
    assert body.keys() == document("stk_push.request").keys()


def test_a_till_names_its_store_and_itself(client_of: Clients, twin: Twin):
    client_of(kind="till", short_code="9318826", store_number="5204417").stk_push(*PUSH)
    (body,) = twin.bodies
    assert (body["BusinessShortCode"], body["PartyB"]) == ("5204417", "9318826")
    assert base64.b64decode(body["Password"]).startswith(b"5204417")


def test_a_credential_speaks_for_itself(twin: Twin):
    credential = SimpleNamespace(
        consumer_key="key-of-5204417",
        consumer_secret="secret-of-5204417",
        passkey="passkey-of-5204417",
        short_code="9318826",
        kind="till",
        store_number="5204417",
        environment="simulator",
    )
    client = DynamicMpesaClient(credential, base_url=twin.base_url, token_store=MemoryTokenStore())
    client.stk_push(*PUSH)
    basic = base64.b64encode(b"key-of-5204417:secret-of-5204417").decode()
    assert twin.headers[0]["Authorization"] == f"Basic {basic}"
    assert twin.bodies[0]["TransactionType"] == "CustomerBuyGoodsOnline"


def test_each_environment_has_its_address():
    addresses = [
        DynamicMpesaClient(environment=name).base_url
        for name in ("sandbox", "production", "simulator")
    ]
    assert addresses == [
        "https://sandbox.safaricom.co.ke",
        "https://api.safaricom.co.ke",
        "http://127.0.0.1:8200",
    ]


@pytest.mark.parametrize("wrong", [{"environment": "live"}, {"kind": "shop"}])
def test_what_there_is_not_is_said_at_once(wrong: dict[str, Any]):
    with pytest.raises(ValueError, match="must be one of"):
        DynamicMpesaClient(**wrong)


def test_a_phone_number_and_an_amount_may_be_written_as_people_do(
    client: DynamicMpesaClient, twin: Twin
):
    client.stk_push("0708 374 149", Decimal("150.00"), PUSH[2], "INV-1")
    (body,) = twin.bodies
    assert (body["PhoneNumber"], body["PartyA"]) == ("254708374149", "254708374149")
    assert (body["Amount"], body["TransactionDesc"]) == ("150", "Payment")


@pytest.mark.parametrize(
    ("place", "value", "error"),
    [
        (0, "0201234567", InvalidPhone),
        (1, Decimal("1.5"), InvalidAmount),
        (1, 250_001, InvalidAmount),
        (1, True, InvalidAmount),
        (3, "a reference that is long", InvalidRequest),
        (4, "100% off", InvalidRequest),
    ],
)
def test_a_mistake_is_told_before_anything_is_sent(
    client: DynamicMpesaClient, twin: Twin, place: int, value: Any, error: type[Exception]
):
    arguments: list[Any] = list(PUSH)
    arguments[place] = value
    with pytest.raises(error):
        client.stk_push(*arguments)
    assert twin.calls("oauth") == 0


# --- what the answer means ------------------------------------------------------------------

MEANINGS: dict[str, tuple[Act, type[DarajaError]]] = {
    "a definite no": (said("stk_push.error.wrong_credentials", 500), DarajaRefused),
    "not now": (said("stk_push.error.system_busy", 500), DarajaBusy),
    "too many": (said("gateway.fault.spike_arrest", 429), DarajaBusy),
    "an internal error": (said("stk_push.error.internal", 500), DarajaSilent),
    "a page": (PAGE, DarajaSilent),
    "a gateway's time-out": (answer(504, b""), DarajaSilent),
    "half an answer": (half("stk_push.response"), DarajaSilent),
    "truncated JSON": (answer(200, payload("stk_push.response")[:80]), DarajaSilent),
    "a closed line": (hang_up, DarajaSilent),
    "no HTTP": (no_http, DarajaSilent),
    "a flood": (answer(200, b" " * 2_000_000 + payload("stk_push.response")), DarajaSilent),
    "a redirect": (answer(307, b"", Location="/mpesa/stkpush/v1/processrequest"), DarajaSilent),
}


@pytest.mark.parametrize("what", MEANINGS)
async def test_an_answer_is_yes_no_not_now_or_unknown_and_nothing_is_sent_twice(
    client: DynamicMpesaClient, twin: Twin, what: str
):
    act, meaning = MEANINGS[what]
    twin.plan("push", act)
    with pytest.raises(meaning):
        await client.astk_push(*PUSH)
    assert twin.calls("push") == 1


async def test_no_answer_in_time_is_unknown(client_of: Clients, twin: Twin):
    twin.plan("push", wait(1, said("stk_push.response")))
    with pytest.raises(DarajaSilent, match="TimeoutError"):
        await client_of(timeout=0.2).astk_push(*PUSH)
    assert twin.calls("push") == 1


async def test_an_answer_that_never_ends_is_unknown(client_of: Clients, twin: Twin):
    def drip(request: Any) -> None:
        request.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")
        for _ in range(10):
            request.wfile.write(b" ")
            request.wfile.flush()
            wait(0.1, lambda _: None)(request)

    twin.plan("push", drip)
    with pytest.raises(DarajaSilent):
        await client_of(timeout=0.3).astk_push(*PUSH)


async def test_a_closed_door_is_not_now(client_of: Clients):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(DarajaBusy, match="Nothing was sent"):
            await client_of(base_url=nobody).astk_push(*PUSH)


@pytest.mark.parametrize("base_url", ["http://", "http://no such host/"])
async def test_an_address_that_is_none_is_not_now(client_of: Clients, base_url: str):
    with pytest.raises(DarajaBusy):
        await client_of(base_url=base_url).astk_push(*PUSH)


async def test_a_door_that_closes_between_token_and_push_is_not_now(
    client: DynamicMpesaClient,
):
    await client._aget_access_token()
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        client.base_url = f"http://127.0.0.1:{reserved.getsockname()[1]}"
        with pytest.raises(DarajaBusy):
            await client.astk_push(*PUSH)


@pytest.mark.parametrize("act", [hang_up, PAGE, answer(504, b""), half("oauth.response")])
async def test_without_a_token_nothing_was_sent(client: DynamicMpesaClient, twin: Twin, act: Act):
    twin.plan("oauth", act)
    with pytest.raises(DarajaBusy, match="Nothing was sent"):
        await client.astk_push(*PUSH)
    assert twin.calls("push") == 0


async def test_wrong_keys_are_refused(client: DynamicMpesaClient, twin: Twin):
    twin.plan("oauth", answer(401, b""))
    with pytest.raises(DarajaRefused, match="consumer key and secret"):
        await client.astk_push(*PUSH)
    assert twin.calls("push") == 0


async def test_a_query_about_another_push_says_nothing(client: DynamicMpesaClient):
    answer = await client.apayment_status(checkout_request_id="ws_CO_another")
    assert answer.outcome is Outcome.UNKNOWN


async def test_a_proxy_of_the_environment_is_not_used(
    client: DynamicMpesaClient, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert await client.astk_push(*PUSH)


async def test_a_cookie_is_not_carried_from_merchant_to_merchant(client_of: Clients, twin: Twin):
    set_cookie = answer(200, payload("stk_push.response"), **{"Set-Cookie": "visid=1; Path=/"})
    twin.plan("push", set_cookie)
    await client_of().astk_push(*PUSH)
    await client_of(short_code="600100").astk_push(*PUSH)
    assert not [headers for headers in twin.headers if "Cookie" in headers]


async def test_merchants_share_connections(client_of: Clients, twin: Twin):
    for number in range(600_100, 600_105):
        await client_of(short_code=str(number)).astk_push(*PUSH)
    assert len(twin.connections) == 1


# --- tokens ---------------------------------------------------------------------------------


async def test_an_invalid_token_is_replaced_and_the_push_replayed_once(
    client: DynamicMpesaClient, twin: Twin
):
    twin.plan("oauth", token("first-token"), token("second-token"))
    twin.plan("push", BAD_TOKEN, said("stk_push.response"))
    assert await client.astk_push(*PUSH)
    assert twin.tokens == ["first-token", "second-token"]


@pytest.mark.parametrize("name", ["invalid_access_token", "no_api_product"])
async def test_two_invalid_tokens_are_a_refusal_not_a_loop(
    client: DynamicMpesaClient, twin: Twin, name: str
):
    twin.plan("push", said(f"stk_push.error.{name}", 401))
    with pytest.raises(DarajaRefused, match="fresh access token"):
        await client.astk_push(*PUSH)
    assert (twin.calls("push"), twin.calls("oauth")) == (2, 2)


async def test_a_query_replays_as_well(client: DynamicMpesaClient, twin: Twin):
    bad = said("stk_query.error.invalid_access_token", 400)
    twin.plan("query", bad, said("stk_query.response.cancelled"))
    answer = await client.apayment_status(checkout_request_id=CHECKOUT)
    assert (answer.outcome, answer.code) == (Outcome.FAILED, "1032")


async def test_fifty_pushes_at_once_fetch_one_token(client_of: Clients, twin: Twin):
    twin.plan("oauth", wait(0.1, said("oauth.response")))
    clients = [client_of() for _ in range(50)]
    await asyncio.gather(*(client.astk_push(*PUSH) for client in clients))
    assert (twin.calls("oauth"), twin.calls("push")) == (1, 50)


async def test_fifty_pushes_share_one_failure(client_of: Clients, twin: Twin):
    twin.plan("oauth", wait(0.1, answer(503, b"")))
    asked = (client_of().astk_push(*PUSH) for _ in range(50))
    errors = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(error) for error in errors} == {DarajaBusy}
    assert twin.calls("oauth") == 1


async def test_fifty_pushes_with_a_token_that_died_fetch_one_more(client_of: Clients, twin: Twin):
    twin.plan("oauth", token("first-token"), token("second-token"))

    def check(request: Any) -> None:
        first = request.headers["Authorization"] == "Bearer first-token"
        (wait(0.05, BAD_TOKEN) if first else said("stk_push.response"))(request)

    twin.plan("push", check)
    await asyncio.gather(*(client_of().astk_push(*PUSH) for _ in range(50)))
    assert twin.calls("oauth") == 2


async def test_who_knows_only_the_consumer_key_gets_no_token(client_of: Clients, twin: Twin):
    await client_of().astk_push(*PUSH)
    twin.plan("oauth", answer(401, b""))
    with pytest.raises(DarajaRefused):
        await client_of(consumer_secret="guessed").astk_push(*PUSH)
    assert await client_of().astk_push(*PUSH)
    assert twin.calls("push") == 2


async def test_a_caller_who_gives_up_leaves_the_token_to_the_others(client_of: Clients, twin: Twin):
    twin.plan("oauth", wait(0.2, said("oauth.response")))
    first = asyncio.create_task(client_of()._aget_access_token())
    await asyncio.sleep(0.05)
    second = asyncio.create_task(client_of()._aget_access_token())
    first.cancel()
    assert await second
    assert twin.calls("oauth") == 1


# --- threads and loops ----------------------------------------------------------------------


def test_eight_threads_share_one_token(client: DynamicMpesaClient, twin: Twin):
    twin.plan("oauth", wait(0.1, said("oauth.response")))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: client.stk_push(*PUSH), range(16)))
    assert all(isinstance(answer, PushAccepted) for answer in answers)
    assert (twin.calls("oauth"), twin.calls("push")) == (1, 16)


async def test_a_sync_method_works_inside_a_running_loop(client: DynamicMpesaClient, twin: Twin):
    assert client.stk_push(*PUSH).checkout_request_id == CHECKOUT
    assert await client.astk_push(*PUSH)
    assert twin.calls("oauth") == 1


def test_each_loop_has_a_session_of_its_own(client: DynamicMpesaClient, twin: Twin):
    for _ in range(3):
        assert asyncio.run(client.astk_push(*PUSH))
    assert client.stk_push(*PUSH)
    assert (twin.calls("oauth"), twin.calls("push")) == (1, 4)


def test_many_loops_at_once_fetch_one_token(client: DynamicMpesaClient, twin: Twin):
    twin.plan("oauth", wait(0.1, said("oauth.response")))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: asyncio.run(client.astk_push(*PUSH)), range(4)))
    assert (twin.calls("oauth"), twin.calls("push")) == (1, 4)


# --- what is never told ---------------------------------------------------------------------

ACCESS_TOKEN = "X4DZOnDtYbJVQqfZw9aXtDRURT8W"
ECHO = answer(
    401,
    b'{"requestId": "1", "errorCode": "401.002.01", "errorMessage": '
    b'"Error Occurred - Invalid Access Token - ' + ACCESS_TOKEN.encode() + b'"}',
)


def told(error: BaseException) -> str:
    """All that an error report could show: texts, causes, and the locals of our own frames."""
    frames = traceback.TracebackException.from_exception(error, capture_locals=True).stack
    ours = [frame.locals or {} for frame in frames if "/milango/daraja/" in frame.filename]
    assert ours
    return "\n".join([*traceback.format_exception(error), repr(vars(error)), repr(ours)])


@pytest.mark.parametrize(
    "act",
    [ECHO, hang_up, PAGE, answer(500, ACCESS_TOKEN.encode()), said("stk_push.error.internal", 500)],
)
async def test_an_error_tells_no_secret(client: DynamicMpesaClient, twin: Twin, act: Act):
    twin.plan("push", act)
    with pytest.raises(DarajaError) as caught:
        await client.astk_push(*PUSH)
    assert caught.value.__context__ is None
    report = told(caught.value)
    sent = [twin.headers[0]["Authorization"].removeprefix("Basic "), twin.bodies[0]["Password"]]
    for secret in (ACCESS_TOKEN, SANDBOX_PASSKEY, "secret-of-174379", *sent):
        assert secret not in report


def test_a_client_shows_its_short_code_and_environment_only(client: DynamicMpesaClient):
    assert repr(client) == "<DynamicMpesaClient paybill 174379 (sandbox)>"


async def test_an_answer_shows_no_phone_number(client: DynamicMpesaClient):
    accepted = await client.astk_push(*PUSH)
    asked = await client.apayment_status(checkout_request_id=CHECKOUT)
    assert "708374149" not in f"{accepted!r} {asked!r}"
