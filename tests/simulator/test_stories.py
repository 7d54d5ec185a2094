from __future__ import annotations

import aiohttp
import pytest

from milango.simulator import magic
from milango.simulator.answers import ANSWERS
from milango.simulator.callbacks import LIES
from milango.simulator.errors import ERRORS
from milango.simulator.results import RESULTS
from milango.simulator.stories import STORIES, Callback, End, Person, Story

from .conftest import Merchant

PAYER = "254711000001"
FAILURES = {
    name: RESULTS[name]
    for name, story in STORIES.items()
    if any(isinstance(step, End) and step.result == name for step in story.steps)
    and not RESULTS[name].paid
}


@pytest.mark.parametrize("story", STORIES.values(), ids=str)
def test_the_tables_know_what_a_story_names(story: Story) -> None:
    assert story.answer in ANSWERS
    assert not story.then or story.then in STORIES
    spoken = set(story.pending) | set(story.first_queries)
    assert spoken <= ERRORS.keys() | RESULTS.keys() | {"4999"}
    for step in story.steps:
        if isinstance(step, End):
            assert step.result in RESULTS
        if isinstance(step, Callback):
            assert step.says in LIES.keys() | RESULTS.keys() | {"truth", "garbled"}


@pytest.mark.parametrize("story", STORIES.values(), ids=str)
def test_a_story_ends_once_if_and_only_if_it_prompts(story: Story) -> None:
    ends = [step for step in story.steps if isinstance(step, (End, Person))]
    assert len(ends) == (1 if ANSWERS[story.answer].prompts else 0)


def test_magic_names_stories_only() -> None:
    assert set(magic.PHONES.values()) | set(magic.AMOUNTS.values()) <= STORIES.keys()


def test_a_magic_amount_is_the_code_that_it_brings() -> None:
    ends = {amount: name for amount, name in magic.AMOUNTS.items() if name in RESULTS}
    assert all(RESULTS[name].code == str(amount) for amount, name in ends.items())


async def test_a_magic_phone_pays_by_itself(merchant: Merchant) -> None:
    checkout = await merchant.pushed("254708374149")
    await merchant.settle()
    assert (await merchant.truth(checkout))["state"] == "paid"


async def test_a_magic_amount_speaks_for_any_phone(merchant: Merchant) -> None:
    checkout = await merchant.pushed(PAYER, Amount=1032)
    await merchant.settle()
    assert (await merchant.truth(checkout))["result_code"] == "1032"


@pytest.mark.parametrize("story", FAILURES)
async def test_a_failure_is_told_without_details(merchant: Merchant, story: str) -> None:
    row = await merchant.play(story)
    code = FAILURES[story].code
    assert (row["state"], row["result_code"], row["receipt"]) == ("failed", code, None)
    (said,) = merchant.listener.heard
    assert said["ResultCode"] == (int(code) if code.isdigit() else code)
    assert said["ResultDesc"] == FAILURES[story].said
    assert "CallbackMetadata" not in said


async def _heard(merchant: Merchant, story: str) -> list[int]:
    row = await merchant.play(story)
    assert row["state"] == "paid"
    return [said["ResultCode"] for said in merchant.listener.heard]


@pytest.mark.parametrize(
    ("story", "codes"),
    [
        ("paid", [0]),
        ("callback_lost", []),
        ("callback_late", [0]),
        ("callback_overtaken", [0]),
        ("callback_twice", [0, 0]),
        ("callback_twice_at_once", [0, 0]),
        ("out_of_order", [0, 1037]),
        ("false_failure", [1037, 0]),
        ("before_answer", [0]),
        ("text_code", ["0"]),
        ("vanished", []),
    ],
)
async def test_what_the_merchant_hears_of_a_paid_one(
    merchant: Merchant, story: str, codes: list[int | str]
) -> None:
    assert await _heard(merchant, story) == codes


async def test_both_copies_of_a_callback_are_the_same_bytes(merchant: Merchant) -> None:
    await merchant.play("callback_twice")
    assert merchant.listener.raw[0] == merchant.listener.raw[1]


async def test_a_callback_can_come_before_the_push_is_answered(merchant: Merchant) -> None:
    await merchant.control("POST", "stories", {"phone": PAYER, "story": "before_answer"})
    checkout = await merchant.pushed(PAYER)
    assert [said["CheckoutRequestID"] for said in merchant.listener.heard] == [checkout]


def _details(said: dict[str, object]) -> dict[str, object]:
    metadata = said["CallbackMetadata"]
    assert isinstance(metadata, dict)
    return {item["Name"]: item.get("Value") for item in metadata["Item"]}


async def test_another_amount_is_a_lie_and_the_ledger_keeps_the_truth(merchant: Merchant) -> None:
    row = await merchant.play("other_amount")
    assert (row["state"], row["amount"]) == ("paid", 150)
    assert _details(merchant.listener.heard[0])["Amount"] == 151.0


async def test_another_id_is_nobody_s(merchant: Merchant) -> None:
    row = await merchant.play("other_id")
    assert merchant.listener.heard[0]["CheckoutRequestID"] != row["checkout_request_id"]
    assert row["callbacks"][0]["status"] == 200


async def test_a_masked_phone_is_a_text(merchant: Merchant) -> None:
    await merchant.play("masked_phone")
    assert _details(merchant.listener.heard[0])["PhoneNumber"] == "2547*****001"


async def test_a_garbled_callback_is_no_json(merchant: Merchant) -> None:
    row = await merchant.play("garbled_callback")
    assert merchant.listener.heard == []
    assert row["callbacks"][0]["body"] == merchant.listener.raw[0].decode()


async def test_a_lost_answer_is_a_504_and_the_prompt_was_sent(merchant: Merchant) -> None:
    row = await merchant.play("answer_lost")
    status, page = merchant.answer
    assert (status, row["state"]) == (504, "paid")
    assert page.startswith("<html>")
    assert merchant.listener.heard[0]["CheckoutRequestID"] == row["checkout_request_id"]


async def test_a_closed_connection_hides_a_payment(merchant: Merchant) -> None:
    await merchant.control("POST", "stories", {"phone": PAYER, "story": "answer_closed"})
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await merchant.push(PAYER)
    assert (await merchant.settle())["paid"] == 1
    assert (await merchant.control("GET", "requests"))[-1]["status"] == 0


async def test_a_truncated_answer_is_half_a_json(merchant: Merchant) -> None:
    row = await merchant.play("answer_truncated")
    status, text = merchant.answer
    assert (status, row["state"]) == (200, "paid")
    assert text.startswith('{"MerchantRequestID"')
    assert not text.endswith("}")


async def test_a_slow_answer_comes_after_the_callback(merchant: Merchant) -> None:
    row = await merchant.play("answer_slow")
    assert merchant.answer[1]["CheckoutRequestID"] == row["checkout_request_id"]
    assert row["callbacks"][0]["status"] == 200


@pytest.mark.parametrize(
    ("story", "status", "sign"),
    [
        ("busy", 500, "500.003.02"),
        ("spike_arrest", 500, "Spike Arrest Violation"),
        ("spike_arrest_429", 429, "policies.ratelimit.SpikeArrestViolation"),
        ("quota", 500, "500.003.03"),
        ("internal", 500, "500.003.1001"),
        ("forbidden", 403, "<h1>Forbidden</h1>"),
        ("soap_fault", 500, "steps.servicecallout.ExecutionFailed"),
        ("locked", 500, "Unable to lock subscriber"),
        ("no_product", 401, "401.003.01"),
    ],
)
async def test_a_refused_push_opens_no_prompt(
    merchant: Merchant, story: str, status: int, sign: str
) -> None:
    await merchant.control("POST", "stories", {"phone": PAYER, "story": story})
    answer = await merchant.push(PAYER)
    assert answer[0] == status
    assert sign in str(answer[1])
    assert await merchant.control("GET", "ledger") == []


async def test_a_stolen_token_is_dead_and_the_next_push_pays(merchant: Merchant) -> None:
    await merchant.control("POST", "stories", {"phone": PAYER, "story": "token_stolen"})
    token = await merchant.token()
    for _ in range(2):
        status, body = await merchant.push(PAYER, token=token)
        assert (status, body["errorCode"]) == (404, "404.001.03")
    checkout = await merchant.pushed(PAYER)
    await merchant.settle()
    assert (await merchant.truth(checkout))["state"] == "paid"
