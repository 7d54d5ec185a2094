"""The admin's lists on a desktop and on a phone: nothing is wider than the screen, or cut off."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from milango.flows import errands, words
from milango.flows.settle import settle_many
from milango.models import Payment, Receipt
from tests.flows.conftest import accepted, make_payment, paid
from tests.flows.test_traces import CODE, told
from tests.people import make_credential, make_merchant
from tests.statement_files import Entry, as_csv, receipt_of, rows

from .conftest import picture

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

LISTS = ("receipt", "operatorword", "inboundcallback", "errand", "statementimport")
TOO_WIDE = """() => [document.documentElement, ...document.querySelectorAll("#result_list td")]
    .filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.textContent.trim())"""
CUT_OFF = """() => [...document.querySelectorAll("#result_list td")]
    .filter(each => each.scrollHeight > each.clientHeight + 1)
    .map(each => each.textContent.trim())"""


@pytest.fixture
def full() -> None:
    """Something in every list."""
    merchant = make_merchant("Mama Mboga Fresh Vegetables Ltd")
    credential = make_credential(merchant, environment="production")
    make_payment(credential, prompt_open=True)
    make_payment(credential)
    told(credential)
    told(credential, TransID="UCE7777777", TransAmount="125000.00")
    large = make_payment(credential, amount=9_000)
    reason = "The payer showed me the message, and the till slip of 3 March names the same receipt"
    words.speak(large, "paid", reason=reason, actor="admin:wanjiru.kamau", receipt="UCE1234567")
    errands.upload_statement(
        credential, b"a,b\n", filename=f"ORG_{'9' * 60}.csv", actor="admin:wanjiru.kamau"
    )


@pytest.fixture(params=[(1280, 800), (390, 844)], ids=["desktop", "phone"])
def page(request: Any, browser: Browser, live_server: Any, full: None) -> Iterator[Page]:
    width, height = request.param
    small = width < 800
    context = browser.new_context(
        viewport={"width": width, "height": height}, is_mobile=small, has_touch=small
    )
    client = Client()
    client.force_login(User.objects.create_superuser("wanjiru.kamau"))
    session = client.cookies["sessionid"].value
    context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
    page = context.new_page()
    yield page
    context.close()


def visit(page: Page, live_server: Any, name: str, what: str = "changelist") -> None:
    page.goto(live_server.url + reverse(f"admin:milango_{name}_{what}"))


def test_no_list_is_wider_than_the_screen_and_nothing_in_it_is_cut_off(
    page: Page, live_server: Any
) -> None:
    for name in LISTS:
        visit(page, live_server, name)
        assert page.evaluate(TOO_WIDE) == [], name
        assert page.evaluate(CUT_OFF) == [], name
        picture(page, f"admin-{name}-{page.viewport_size['width']}")  # type: ignore[index]
    visit(page, live_server, "statementimport", "add")
    page.get_by_role("button", name="Import and compare").wait_for()
    assert page.evaluate(TOO_WIDE) == []


def test_money_is_matched_in_the_list(page: Page, live_server: Any) -> None:
    visit(page, live_server, "receipt")
    waiting = page.locator("#result_list tr", has_text="waits for its payment")
    waiting.locator("input.action-select").check(force=True)
    page.get_by_label("Select action to run").select_option("match")
    whose = page.get_by_label("Its payment: pay_…")
    inputs = [whose, page.get_by_label("How you know"), page.get_by_role("button", name="Run")]
    boxes = [each.bounding_box() for each in inputs]
    assert all(box and box["width"] > 40 for box in boxes)
    payment = Payment.objects.filter(amount=50, status="Pending").latest("pk")
    whose.fill(payment.public_id)
    inputs[1].fill("the till slip")
    inputs[2].click()
    page.get_by_text("It counts: the payment is Success.").wait_for()
    assert Receipt.objects.get(code=CODE).payment == payment


def test_what_a_statement_finds_about_words_fits_the_screen(page: Page, live_server: Any) -> None:
    now = timezone.now().replace(microsecond=0)
    merchant = make_merchant("Duka")
    credential = make_credential(merchant, environment="production", short_code="600777")
    wrong, _, kept = (make_payment(credential, phone=f"25470000000{n}") for n in range(3))
    codes = [receipt_of(now, n) for n in (1, 2)]
    settle_many([accepted(kept), paid(kept, codes[1], paid_at=now)])
    for payment, says, code in ((wrong, "paid", codes[0]), (kept, "reversed", "")):
        words.speak(payment, says, reason="so I heard", actor="admin:wanjiru.kamau", receipt=code)
    entries = [
        Entry(codes[0], now, 50, phone="254700***001"),
        Entry(codes[1], now, 50, phone="254700***002"),
        Entry(receipt_of(now, 9), now + timedelta(hours=1), 75, phone="254799***999"),
    ]
    content = as_csv(rows(credential.short_code, entries))
    errand = errands.upload_statement(
        credential, content, filename="utility.csv", actor="admin:wanjiru.kamau"
    )
    errands.run(errand.pk)
    page.goto(live_server.url + reverse("admin:milango_errand_change", args=[errand.pk]))
    for said in ("Another payment's, by its payer", "Reversed here by a word, not there"):
        page.get_by_text(said).first.wait_for()
    assert page.evaluate(TOO_WIDE) == []
    hidden = "each => each.parentElement.scrollWidth - each.parentElement.clientWidth"
    assert page.get_by_test_id("counts").evaluate(hidden) == 0, "how many is the answer"
    picture(page, f"admin-statement-words-{page.viewport_size['width']}")  # type: ignore[index]
