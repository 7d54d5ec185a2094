"""A person pays on the demo's page, and answers (or not) on the simulator's phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import picture
from tests.demos import Demo

if TYPE_CHECKING:
    from playwright.sync_api import FrameLocator, Page

# Together: each process that has one of them runs a demo and a browser.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("page")]

KINDS = ["paybill", "till"]
RECEIPT = re.compile(r"^[A-Z0-9]{10}$")

_numbers = count(712_000_001)


@pytest.fixture
def phone() -> str:
    """A phone that no other test has used."""
    return f"0{next(_numbers)}"


@pytest.fixture
def impatient(demo: Demo) -> Iterator[None]:
    """Prompts that lapse after three seconds."""
    demo.control("PATCH", "settings", {"prompt_life_s": 3})
    yield
    demo.control("PATCH", "settings", {"prompt_life_s": 60})


def order(page: Page, kind: str, phone: str, amount: int, service: str = "payment") -> None:
    page.goto("/")
    page.get_by_test_id(f"merchant-{kind}").check()
    page.get_by_test_id(f"service-{service}").check()
    page.get_by_test_id("phone").fill(phone)
    page.get_by_test_id("amount").fill(str(amount))
    page.get_by_test_id("pay").click()


def handset(page: Page) -> FrameLocator:
    """The simulated phone beside the page, with a prompt on it."""
    phone = page.frame_locator("[data-testid=handset]")
    phone.get_by_test_id("prompt").wait_for()
    return phone


def type_pin(phone: FrameLocator, pin: str) -> None:
    phone.get_by_test_id("pin").fill(pin)
    phone.get_by_test_id("send").click()


def test_the_page_hears_of_it_through_the_event_stream(desk: Page, demo: Demo, phone: str) -> None:
    # Polling never says anything but what was first said; only the stream brings the page to ask.
    asked: list[str] = []
    desk.on("request", lambda request: asked.append(request.url))
    order(desk, "till", phone, 60)
    type_pin(handset(desk), "1234")
    assert "Paid" in verdict(desk)
    (stream,) = [url for url in asked if "/events?ticket=" in url]
    polls = [url for url in asked if "/payments/status/" in url]
    assert stream
    assert len(polls) <= 3, "news came by themselves"


def verdict(page: Page) -> str:
    page.get_by_test_id("result").wait_for()
    return page.get_by_test_id("verdict").inner_text()


@pytest.mark.parametrize("kind", KINDS)
def test_the_right_pin_pays(desk: Page, demo: Demo, phone: str, kind: str) -> None:
    order(desk, kind, phone, 50)
    on_phone = handset(desk)
    assert "KES 50" in on_phone.get_by_test_id("prompt-text").inner_text()
    picture(desk, f"{kind}-prompt")
    type_pin(on_phone, "1234")
    assert "Paid" in verdict(desk)
    receipt = desk.get_by_test_id("receipt").inner_text()
    assert RECEIPT.match(receipt)
    picture(desk, f"{kind}-paid")
    (row,) = demo.control("GET", f"ledger?phone=254{phone[1:]}")
    assert (row["receipt"], row["state"]) == (receipt, "paid")


@pytest.mark.parametrize("kind", KINDS)
def test_cancelling_is_said_and_may_be_retried(desk: Page, phone: str, kind: str) -> None:
    order(desk, kind, phone, 20)
    handset(desk).get_by_test_id("cancel").click()
    assert "cancel" in verdict(desk).lower()
    picture(desk, f"{kind}-cancelled")
    desk.get_by_test_id("retry").click()
    type_pin(handset(desk), "1234")
    desk.get_by_test_id("receipt").wait_for()


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_pin_is_said(desk: Page, phone: str, kind: str) -> None:
    order(desk, kind, phone, 20)
    type_pin(handset(desk), "9999")
    assert "PIN" in verdict(desk)
    assert desk.get_by_test_id("retry").is_visible()
    picture(desk, f"{kind}-wrong-pin")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.usefixtures("impatient")
def test_an_ignored_prompt_is_not_paid(desk: Page, phone: str, kind: str) -> None:
    order(desk, kind, phone, 20)
    handset(desk)
    assert verdict(desk)
    assert desk.get_by_test_id("end-title").inner_text() == "Not paid"
    assert desk.get_by_test_id("retry").is_visible()
    picture(desk, f"{kind}-ignored")


def test_wifi_shows_its_minutes_and_until_when(desk: Page, phone: str) -> None:
    order(desk, "till", phone, 50, "wifi")
    type_pin(handset(desk), "1234")
    desk.get_by_test_id("result").wait_for()
    assert desk.get_by_test_id("wifiTime").inner_text() == "120 minutes"
    assert re.fullmatch(r".*\d\d:\d\d", desk.get_by_test_id("until").inner_text())
    picture(desk, "till-wifi")


def test_a_phone_pays_with_the_handset_in_another_tab(pocket: Page, phone: str) -> None:
    order(pocket, "till", phone, 50, "wifi")
    link = pocket.get_by_test_id("handset-link")
    link.wait_for()
    picture(pocket, "pocket-waiting")
    with pocket.context.expect_page() as opened:
        link.click()
    on_phone = opened.value
    on_phone.get_by_test_id("pin").fill("1234")
    on_phone.get_by_test_id("send").click()
    pocket.get_by_test_id("receipt").wait_for()
    picture(pocket, "pocket-paid")


def test_the_page_fits_a_phone(pocket: Page) -> None:
    pocket.goto("/")
    picture(pocket, "pocket")
    wider = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    assert pocket.evaluate(wider) is False


def test_everything_is_said_in_swahili_too(desk: Page, phone: str) -> None:
    desk.goto("/")
    desk.get_by_test_id("lang-sw").click()
    assert desk.get_by_test_id("pay").inner_text() == "Lipa KES 50"
    order(desk, "paybill", phone, 20)
    type_pin(handset(desk), "1234")
    assert "Malipo" in verdict(desk)
    picture(desk, "swahili-paid")


def test_what_cannot_be_asked_for_is_said_at_its_field(desk: Page, demo: Demo) -> None:
    before = demo.control("GET", "ledger")
    order(desk, "paybill", "0201234567", 0)
    assert "Kenyan" in desk.get_by_test_id("phone-error").inner_text()
    assert "250,000" in desk.get_by_test_id("amount-error").inner_text()
    picture(desk, "refused")
    assert demo.control("GET", "ledger") == before


def test_a_callback_that_never_comes_does_not_keep_the_page_from_paid(
    desk: Page, demo: Demo, phone: str
) -> None:
    demo.control("POST", "stories", {"phone": phone, "story": "callback_lost", "times": 1})
    order(desk, "paybill", phone, 20)
    assert "Paid" in verdict(desk)


@pytest.fixture
def unconfirmed(demo: Demo) -> Iterator[None]:
    """No confirmation arrives either."""
    demo.control("PATCH", "settings", {"confirmation_faults": {"drop": 1}})
    yield
    demo.control("PATCH", "settings", {"confirmation_faults": {}})


@pytest.mark.usefixtures("unconfirmed")
def test_a_lost_callback_leaves_the_payer_waiting_not_failed(
    desk: Page, demo: Demo, phone: str
) -> None:
    demo.control("POST", "stories", {"phone": phone, "story": "callback_lost", "times": 1})
    order(desk, "paybill", phone, 20)
    desk.get_by_test_id("step-pin").wait_for()
    demo.control("POST", "idle", {})
    desk.wait_for_timeout(1500)
    assert desk.get_by_test_id("result").is_hidden()
    assert desk.get_by_test_id("retry").is_hidden()
