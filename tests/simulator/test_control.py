from __future__ import annotations

import asyncio
from typing import Any

import pytest

from milango.simulator.app import create_app

from .conftest import Merchant

PAYER = "254711000001"
APP = {
    "consumer_key": "a-key",
    "consumer_secret": "a-secret",
    "name": "Two Doors",
    "shortcodes": [{"shortcode": "600100", "passkey": "a-passkey-of-our-own"}],
}


async def test_apps_are_shown_without_secrets(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", APP)
    assert await merchant.control("GET", "apps") == [
        {
            "consumer_key": "a-key",
            "name": "Two Doors",
            "shortcodes": [
                {
                    "shortcode": "600100",
                    "kind": "paybill",
                    "party_b": "600100",
                    "name": "Two Doors",
                }
            ],
        }
    ]


async def test_the_ledger_is_the_truth_oldest_first(merchant: Merchant) -> None:
    first = await merchant.pushed("254708374149")
    second = await merchant.pushed("254708374150")
    await merchant.settle()
    rows = await merchant.control("GET", "ledger")
    assert [row["checkout_request_id"] for row in rows] == [first, second]
    assert rows[0] == await merchant.truth(first)
    assert {name: rows[0][name] for name in ("consumer_key", "story", "state", "result_code")} == {
        "consumer_key": "a-key",
        "story": "paid",
        "state": "paid",
        "result_code": "0",
    }
    assert (rows[1]["state"], rows[1]["result_code"]) == ("failed", "1032")


async def test_the_ledger_can_be_filtered(merchant: Merchant) -> None:
    await merchant.pushed("254708374149")
    await merchant.pushed("254708374150")
    await merchant.settle()
    rows = await merchant.control("GET", "ledger?state=failed&phone=254708374150")
    assert [row["story"] for row in rows] == ["cancelled"]
    assert await merchant.control("GET", "ledger?consumer_key=stranger") == []


async def test_a_story_lasts_so_many_pushes(merchant: Merchant) -> None:
    await merchant.control("POST", "stories", {"phone": "0711000001", "story": "busy", "times": 2})
    statuses = [(await merchant.push(PAYER))[0] for _ in range(3)]
    assert statuses == [500, 500, 200]


async def test_stories_can_be_forgotten(merchant: Merchant) -> None:
    await merchant.control("POST", "stories", {"phone": PAYER, "story": "busy"})
    await merchant.control("DELETE", "stories")
    assert (await merchant.push(PAYER))[0] == 200


async def _random_run(merchant: Merchant) -> list[str]:
    await merchant.control("POST", "reset")
    wish = {"seed": 7, "weights": {"paid": 2, "cancelled": 1, "wrong_pin": 1}}
    await merchant.control("POST", "random", wish)
    for n in range(20):
        await merchant.pushed(f"2547110001{n:02d}")
    await merchant.settle()
    return [row["story"] for row in await merchant.control("GET", "ledger")]


async def test_chance_repeats_itself_for_a_seed(merchant: Merchant) -> None:
    first = await _random_run(merchant)
    assert first == await _random_run(merchant)
    assert set(first) == {"paid", "cancelled", "wrong_pin"}


@pytest.mark.parametrize(
    ("answer", "state", "code"),
    [
        ({"pin": "1234"}, "paid", "0"),
        ({"pin": "4321"}, "failed", "2001"),
        ({"cancel": True}, "failed", "1032"),
    ],
)
async def test_a_person_answers(
    merchant: Merchant, answer: dict[str, Any], state: str, code: str
) -> None:
    checkout = await merchant.pushed(PAYER, AccountReference="TABLE7")
    (prompt,) = await merchant.control("GET", f"prompts?phone={PAYER}")
    assert prompt["text"] == "Pay KES 150 to Business 600100 account TABLE7"
    await merchant.control("POST", f"prompts/{prompt['id']}/answer", answer)
    assert await merchant.control("GET", "prompts") == [], "what is answered is on no screen"
    await merchant.settle()
    row = await merchant.truth(checkout)
    assert (row["state"], row["result_code"], len(row["callbacks"])) == (state, code, 1)


async def test_an_ignored_prompt_lapses_as_1037(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"prompt_life_s": 1})
    checkout = await merchant.pushed(PAYER)
    for _ in range(100):
        row = await merchant.truth(checkout)
        if row["callbacks"] and row["callbacks"][0]["status"]:
            break
        await asyncio.sleep(0.02)
    assert row["result_code"] == "1037"
    assert merchant.listener.heard[0]["ResultDesc"] == "No response from user."


async def test_a_prompt_is_answered_once(merchant: Merchant) -> None:
    checkout = await merchant.pushed(PAYER)
    path = f"prompts/{checkout}/answer"
    statuses = [(await merchant.try_control("POST", path, {"pin": "1234"}))[0] for _ in range(2)]
    assert statuses == [200, 409]


async def test_a_story_of_its_own_takes_no_answer(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"time_scale": 1})
    checkout = await merchant.pushed("254708374149")
    path = f"prompts/{checkout}/answer"
    assert (await merchant.try_control("POST", path, {"pin": "1234"}))[0] == 409


async def test_idle_waits_for_callbacks_and_not_for_people(merchant: Merchant) -> None:
    await merchant.pushed(PAYER)
    await merchant.pushed("254708374162")
    counts = await merchant.settle()
    assert counts == {
        "idle": True,
        "waiting_for_people": 1,
        "pushes": 2,
        "open": 1,
        "paid": 1,
        "failed": 0,
        "callbacks": 2,
    }


async def test_idle_gives_up(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"time_scale": 1})
    await merchant.pushed("254708374191")
    assert (await merchant.control("POST", "idle", {"timeout_s": 0.05}))["idle"] is False


async def test_requests_are_logged_with_their_key(merchant: Merchant) -> None:
    await merchant.push("254708374181")
    calls = await merchant.control("GET", "requests?consumer_key=a-key")
    assert [(call["path"], call["status"], call["error_code"]) for call in calls] == [
        ("/oauth/v1/generate", 200, ""),
        ("/mpesa/stkpush/v1/processrequest", 500, "500.003.02"),
    ]


async def test_reset_forgets_all_but_what_is_kept(merchant: Merchant) -> None:
    await merchant.control("POST", "apps", APP)
    await merchant.control("PATCH", "settings", {"max_tps": 5})
    await merchant.pushed(PAYER)
    await merchant.control("POST", "reset", {"keep_apps": True})
    assert await merchant.control("GET", "ledger") == []
    assert len(await merchant.control("GET", "apps")) == 1
    settings = await merchant.control("GET", "settings")
    assert (settings["max_tps"], settings["time_scale"]) == (0, 0.02)


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", "settings", {"nothing": 1}),
        ("PATCH", "settings", {"token_life_s": -1}),
        ("PATCH", "settings", {"over_limit": "maybe"}),
        ("POST", "stories", {"phone": PAYER, "story": "unheard"}),
        ("POST", "stories", {"phone": "12", "story": "paid"}),
        ("POST", "stories", {"phone": PAYER, "story": "paid", "times": 0}),
        ("POST", "random", {"weights": {"paid": -1}}),
        ("POST", "random", {"weights": {"paid": 0}}),
        ("POST", "apps", {"consumer_key": "a"}),
        ("POST", "apps", {**APP, "shortcodes": [{"shortcode": "12", "passkey": "x"}]}),
        ("GET", "prompts?phone=12", None),
    ],
)
async def test_nonsense_is_told_and_changes_nothing(
    merchant: Merchant, method: str, path: str, body: Any
) -> None:
    before = await merchant.control("GET", "settings"), await merchant.control("GET", "stories")
    status, answer = await merchant.try_control(method, path, body)
    assert status == 400
    assert answer["error"]
    after = await merchant.control("GET", "settings"), await merchant.control("GET", "stories")
    assert before == after


async def test_unknown_payments_are_404(merchant: Merchant) -> None:
    assert (await merchant.try_control("GET", "ledger/ws_CO_1"))[0] == 404
    assert (await merchant.try_control("POST", "prompts/ws_CO_1/answer", {"pin": "1234"}))[0] == 404


def test_an_unknown_setting_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError, match="nothing"):
        create_app(nothing=1)


def test_the_import_string_of_a_server_works() -> None:
    import milango.simulator.app as module

    assert module.app is module.app
