"""What a client asks beyond the prompt, over real sockets."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from milango.core.errors import (
    DarajaBusy,
    DarajaError,
    DarajaRefused,
    DarajaSilent,
    InvalidPhone,
)
from milango.core.payments import Outcome
from milango.daraja import DynamicMpesaClient, NoInitiator, QueryAnswer
from milango.daraja.tokens import MemoryTokenStore
from tests.daraja.certificates import certificate, opened
from tests.daraja.conftest import Clients
from tests.daraja.payloads import CHECKOUT, document, payload
from tests.daraja.test_client import told
from tests.daraja.twin import Act, Twin, answer, half, hang_up, said

WHERE = {
    "result_url": "https://pay.example.com/hooks/d/result/4d1f77",
    "timeout_url": "https://pay.example.com/hooks/d/timeout/4d1f77",
}
CONFIRM = "https://pay.example.com/hooks/d/c2b/600984/confirm/91b7d0"
VALIDATE = "https://pay.example.com/hooks/d/c2b/600984/validate/91b7d0"
INITIATOR = {"initiator_name": "testapi", "initiator_password": "Pa$$w0rd#2"}
START, END = datetime(2026, 3, 13, 21, tzinfo=UTC), datetime(2026, 3, 14, 9, tzinfo=UTC)


@pytest.fixture
def asking(client_of: Clients) -> DynamicMpesaClient:
    return client_of(short_code="600984", initiator_certificate=certificate(), **INITIATOR)


# --- Transaction Status ---------------------------------------------------------------------


def test_a_payment_is_asked_for_by_its_receipt(asking: DynamicMpesaClient, twin: Twin):
    accepted = asking.payment_status("uce3p9w8za", **WHERE)
    assert accepted.conversation_id == "AG_20260314_20105d93b907b5508dcd"
    assert accepted.originator_conversation_id == "b463-461d-bf4a-0adffa9ee4667496435"
    (body,) = twin.bodies
    assert opened(body.pop("SecurityCredential")) == "Pa$$w0rd#2"
    expected = document("transaction_status.request.by_receipt") | {"Occasion": "Status"}
    del expected["SecurityCredential"]
    assert body == expected


async def test_a_payment_is_asked_for_by_our_own_id(asking: DynamicMpesaClient, twin: Twin):
    await asking.apayment_status(originator_conversation_id="gw-po-000481-1", **WHERE)
    (body,) = twin.bodies
    assert body.keys() == document("transaction_status.request.by_originator").keys()
    assert (body["TransactionID"], body["OriginalConversationID"]) == ("", "gw-po-000481-1")


async def test_a_ready_security_credential_needs_no_certificate(client_of: Clients, twin: Twin):
    client = client_of(initiator_name="testapi", security_credential="ready")
    assert await client.apayment_status("UCE3P9W8ZA", **WHERE)
    assert twin.bodies[0]["SecurityCredential"] == "ready"


async def test_a_till_asks_under_its_store_number(client_of: Clients, twin: Twin):
    till = {"kind": "till", "short_code": "9318826", "store_number": "5204417"}
    client = client_of(initiator_certificate=certificate(), **INITIATOR, **till)
    await client.apayment_status("UCE3P9W8ZA", **WHERE)
    assert (twin.bodies[0]["PartyA"], twin.bodies[0]["IdentifierType"]) == ("5204417", "4")


def credential(**fields: Any) -> SimpleNamespace:
    given = {
        "consumer_key": "key",
        "consumer_secret": "secret",
        "passkey": "passkey",
        "short_code": "600984",
        "kind": "paybill",
        "store_number": "",
        "environment": "simulator",
    }
    return SimpleNamespace(**given | fields)


def test_a_credential_brings_its_initiator(twin: Twin):
    owner = credential(initiator_certificate=certificate(), **INITIATOR)
    client = DynamicMpesaClient(owner, base_url=twin.base_url, token_store=MemoryTokenStore())
    assert client.has_initiator
    assert client.payment_status("UCE3P9W8ZA", **WHERE)
    assert opened(twin.bodies[0]["SecurityCredential"]) == "Pa$$w0rd#2"


def test_a_credential_without_an_initiator_is_told_what_to_set(twin: Twin):
    client = DynamicMpesaClient(credential(), base_url=twin.base_url)
    assert not client.has_initiator
    with pytest.raises(NoInitiator, match=r"initiator_name.*initiator_certificate") as refused:
        client.payment_status("UCE3P9W8ZA", **WHERE)
    assert isinstance(refused.value, DarajaRefused)
    assert twin.headers == []


def test_a_certificate_that_is_none_is_told_without_the_password(client_of: Clients, twin: Twin):
    client = client_of(initiator_certificate="-----BEGIN", **INITIATOR)
    with pytest.raises(NoInitiator, match="cannot be read") as refused:
        client.payment_status("UCE3P9W8ZA", **WHERE)
    assert twin.headers == []
    assert refused.value.__context__ is None
    assert INITIATOR["initiator_password"] not in told(refused.value)


@pytest.mark.parametrize(
    "question",
    [
        {},
        WHERE,
        {"receipt_number": "UCE3P9W8ZA"},
        {"receipt_number": "UCE3P9W8ZA", "result_url": WHERE["result_url"]},
        {"receipt_number": "UCE3P9W8ZA", "checkout_request_id": CHECKOUT},
        {"receipt_number": "UCE3 P9W8ZA", **WHERE},
    ],
)
def test_half_a_question_is_not_asked(
    asking: DynamicMpesaClient, twin: Twin, question: dict[str, Any]
):
    with pytest.raises(ValueError, match=r"needs|letters and digits"):
        asking.payment_status(**question)
    assert twin.headers == []


def test_a_push_is_still_asked_for_by_its_checkout_id(client: DynamicMpesaClient):
    found = client.payment_status(checkout_request_id=CHECKOUT)
    assert isinstance(found, QueryAnswer)
    assert found.outcome is Outcome.PAID


def coded(code: str, text: str = "words") -> Act:
    return answer(200, f'{{"ResponseCode": "{code}", "ResponseDescription": "{text}"}}'.encode())


STATUS_MEANINGS: dict[str, tuple[Act, type[DarajaError]]] = {
    "a definite no": (coded("21"), DarajaRefused),
    "not now": (coded("26"), DarajaBusy),
    "too many": (said("gateway.fault.spike_arrest", 429), DarajaBusy),
    "accepted without an id": (coded("0"), DarajaSilent),
    "an internal error": (said("stk_push.error.internal", 500), DarajaSilent),
    "a closed line": (hang_up, DarajaSilent),
    "half an answer": (half("transaction_status.response"), DarajaSilent),
}


@pytest.mark.parametrize("what", STATUS_MEANINGS)
async def test_a_question_is_taken_refused_put_off_or_lost_and_sent_once(
    asking: DynamicMpesaClient, twin: Twin, what: str
):
    act, meaning = STATUS_MEANINGS[what]
    twin.plan("status", act)
    with pytest.raises(meaning):
        await asking.apayment_status("UCE3P9W8ZA", **WHERE)
    assert twin.calls("status") == 1


@pytest.mark.parametrize("code", ["0", "00000000"])
async def test_a_code_of_noughts_is_accepted(asking: DynamicMpesaClient, twin: Twin, code: str):
    body = payload("transaction_status.response").replace(b'"0"', f'"{code}"'.encode())
    twin.plan("status", answer(200, body))
    assert await asking.apayment_status("UCE3P9W8ZA", **WHERE)


async def test_an_error_tells_no_initiator(asking: DynamicMpesaClient, twin: Twin):
    def echo(request: Any) -> None:
        said_back = twin.bodies[0]["SecurityCredential"]
        answer(400, f'{{"errorCode": "400.002.02", "errorMessage": "{said_back}"}}'.encode())(
            request
        )

    twin.plan("status", echo)
    with pytest.raises(DarajaRefused) as caught:
        await asking.apayment_status("UCE3P9W8ZA", **WHERE)
    report = told(caught.value)
    for secret in (twin.bodies[0]["SecurityCredential"][:40], INITIATOR["initiator_password"]):
        assert secret not in report


# --- C2B ------------------------------------------------------------------------------------


def test_addresses_are_registered(asking: DynamicMpesaClient, twin: Twin):
    found = asking.register_urls(CONFIRM, VALIDATE)
    assert found.originator_conversation_id == "eb92-4588-a5a7-840b97cdf5141667929"
    assert twin.bodies == [document("c2b_register.request")]


async def test_an_older_app_registers_under_version_1(asking: DynamicMpesaClient, twin: Twin):
    await asking.aregister_urls(CONFIRM, VALIDATE, "Cancelled", "v1")
    assert (twin.calls("register_v1"), twin.bodies[0]["ResponseType"]) == (1, "Cancelled")


@pytest.mark.parametrize(
    "body",
    [
        b'{"ConversationID": "", "OriginatorCoversationID": "", "ResponseDescription": "success"}',
        b'{"OriginatorConversationID": "1-2-3", "ResponseCode": "00000000"}',
    ],
)
async def test_older_answers_to_a_registration_are_taken(
    asking: DynamicMpesaClient, twin: Twin, body: bytes
):
    twin.plan("register", answer(200, body))
    assert await asking.aregister_urls(CONFIRM, VALIDATE)


@pytest.mark.parametrize("name", ["already_registered", "duplicate_notification"])
async def test_a_second_registration_is_a_definite_no(
    asking: DynamicMpesaClient, twin: Twin, name: str
):
    twin.plan("register", said(f"c2b_register.error.{name}", 500))
    with pytest.raises(DarajaRefused):
        await asking.aregister_urls(CONFIRM, VALIDATE)


async def test_a_dead_back_end_registers_nothing_for_sure(asking: DynamicMpesaClient, twin: Twin):
    twin.plan("register", said("gateway.fault.soap_envelope", 500))
    with pytest.raises(DarajaSilent):
        await asking.aregister_urls(CONFIRM, VALIDATE)


@pytest.mark.parametrize("wrong", [("completed", "v2"), ("Completed", "v3")])
async def test_a_registration_that_there_is_not_is_not_sent(
    asking: DynamicMpesaClient, twin: Twin, wrong: tuple[str, str]
):
    with pytest.raises(ValueError, match=r"completed|version"):
        await asking.aregister_urls(CONFIRM, VALIDATE, *wrong)
    assert twin.headers == []


# --- Pull -----------------------------------------------------------------------------------


def test_what_was_missed_is_pulled_in_nairobi_time(asking: DynamicMpesaClient, twin: Twin):
    page = asking.pull(START, END)
    assert twin.bodies == [document("pull_query.request")]
    assert [(row.trans_id, row.amount) for row in page.rows] == [
        ("UCE3P9W8ZA", Decimal(500)),
        ("UCE5K7Q2XD", Decimal(150)),
    ]
    assert page.next_offset == 2


async def test_the_last_page_is_the_empty_one(asking: DynamicMpesaClient, twin: Twin):
    twin.plan("pull", said("pull_query.response"), said("pull_query.response.empty"))
    first = await asking.apull(START, END)
    last = await asking.apull(START, END, first.next_offset or 0)
    assert twin.bodies[1]["OffSetValue"] == "2"
    assert (last.rows, last.next_offset) == ((), None)


async def test_a_page_of_thousands_is_read_whole(asking: DynamicMpesaClient, twin: Twin):
    row = payload("pull_query.response").partition(b"[")[2].strip()[1:].partition(b"}")[0] + b"}"
    body = b'{"ResponseCode": "1000", "Response": [[' + b",".join([row] * 5_000) + b"]]}"
    twin.plan("pull", answer(200, body))
    page = await asking.apull(START, END, 100)
    assert (len(page.rows), page.next_offset) == (5_000, 5_100)


@pytest.mark.parametrize(
    ("start", "end", "offset"),
    [
        (END, START, 0),
        (START, START, 0),
        (START, END, -1),
        (START.replace(tzinfo=None), END, 0),
    ],
)
async def test_a_window_that_is_none_is_not_pulled(
    asking: DynamicMpesaClient, twin: Twin, start: datetime, end: datetime, offset: int
):
    with pytest.raises(ValueError, match=r"pull"):
        await asking.apull(start, end, offset)
    assert twin.headers == []


def test_pull_is_switched_on(asking: DynamicMpesaClient, twin: Twin):
    found = asking.register_pull("0700 000 123", "https://pay.example.com/hooks/d/pull/600984")
    assert twin.bodies == [document("pull_register.request")]
    assert not found.already


async def test_pull_may_be_on_already(asking: DynamicMpesaClient, twin: Twin):
    twin.plan("register_pull", said("pull_register.response.spaced_keys"))
    found = await asking.aregister_pull("254700000123", "https://pay.example.com/pull")
    assert (found.already, found.text) == (True, "ShortCode already Registered")


async def test_a_nominated_number_that_is_none_is_not_sent(asking: DynamicMpesaClient, twin: Twin):
    with pytest.raises(InvalidPhone):
        await asking.aregister_pull("0202222222", "https://pay.example.com/pull")
    assert twin.headers == []


@pytest.mark.parametrize("call", ["status", "register", "pull", "register_pull"])
async def test_each_question_replays_once_with_a_fresh_token(
    asking: DynamicMpesaClient, twin: Twin, call: str
):
    twin.plan(call, said("c2b_register.error.invalid_access_token", 400))
    questions = {
        "status": lambda: asking.apayment_status("UCE3P9W8ZA", **WHERE),
        "register": lambda: asking.aregister_urls(CONFIRM, VALIDATE),
        "pull": lambda: asking.apull(START, END),
        "register_pull": lambda: asking.aregister_pull("254700000123", CONFIRM),
    }
    with pytest.raises(DarajaRefused, match="fresh access token"):
        await questions[call]()
    assert twin.calls(call) == 2
