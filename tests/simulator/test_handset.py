from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, async_playwright, expect

from milango.simulator import magic

from .conftest import Merchant

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PAYER = "254711000001"


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = await browser.new_page(viewport={"width": 390, "height": 844})
        yield page
        await browser.close()


@pytest.mark.browser
async def test_a_person_pays_wrongly_cancels_and_pays(merchant: Merchant, page: Page) -> None:
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    await page.goto(merchant.address)
    await page.get_by_test_id("handset-phone").fill("0711 000 001")
    await page.get_by_test_id("handset-phone").press("Enter")
    await expect(page.get_by_test_id("handset-phone")).to_have_value(PAYER)
    for act, code in (("4321", "2001"), ("", "1032"), ("1234", "0")):
        checkout = await merchant.pushed(PAYER)
        await expect(page.get_by_test_id("prompt")).to_contain_text(
            "Pay KES 150 to Business 600100 account INV-20931"
        )
        if act:
            await page.get_by_test_id("pin").fill(act)
            await page.get_by_test_id("send").click()
        else:
            await page.get_by_test_id("cancel").click()
        await expect(page.get_by_test_id("prompt")).to_be_hidden()
        await merchant.settle()
        assert (await merchant.truth(checkout))["result_code"] == code
    await expect(page.get_by_test_id("message")).to_have_count(3)
    await expect(page.get_by_test_id("message").first).to_contain_text("confirmed")
    assert complaints == []


@pytest.mark.browser
async def test_a_person_pays_a_bill_without_a_prompt(merchant: Merchant, page: Page) -> None:
    await page.goto(f"{merchant.address}/handset?phone={PAYER}")
    await page.get_by_test_id("bill").locator("summary").click()
    for field, text in (("number", "600100"), ("account", "ORDER 7"), ("amount", "70")):
        await page.get_by_test_id(f"bill-{field}").fill(text)
    await page.get_by_test_id("bill-send").click()
    said = page.get_by_test_id("message")
    await expect(said).to_contain_text("KES 70.00 sent to Business 600100 for account ORDER 7")


@pytest.mark.browser
async def test_the_address_chooses_the_phone_and_the_page_fits(
    merchant: Merchant, page: Page
) -> None:
    await merchant.pushed(PAYER)
    await page.goto(f"{merchant.address}/handset?phone={PAYER}")
    await expect(page.get_by_test_id("prompt")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth") == 390
    await expect(page.get_by_test_id("send")).to_be_in_viewport()


@pytest.mark.browser
async def test_texts_of_merchants_are_texts(merchant: Merchant, page: Page) -> None:
    await merchant.pushed(PAYER, AccountReference="<b>x</b>")
    await page.goto(f"{merchant.address}/handset?phone={PAYER}")
    await expect(page.get_by_test_id("prompt-text")).to_contain_text("account <b>x</b>")


async def _get(merchant: Merchant, path: str) -> tuple[int, str]:
    async with merchant.http.get(merchant.address + path) as answer:
        return answer.status, await answer.text()


async def test_the_magic_page_shows_the_whole_table(merchant: Merchant) -> None:
    status, page = await _get(merchant, "/magic")
    assert status == 200
    assert all(value in page and name in page for _, value, name, _ in magic.rows())


async def test_an_unreachable_phone_shows_nothing(merchant: Merchant) -> None:
    await merchant.control("PATCH", "settings", {"answer_delay": [600, 600]})
    await merchant.pushed("254708374153")
    assert await merchant.control("GET", "prompts?phone=254708374153") == []


async def test_the_handset_asks_for_a_real_number(merchant: Merchant) -> None:
    assert (await _get(merchant, "/handset/state?phone=12"))[0] == 400
