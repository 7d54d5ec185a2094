"""A real `milango demo` in a process of its own, and a real browser on its page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.demos import Demo, begun

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

SCREENSHOTS = Path(__file__).resolve().parents[2] / "build" / "screenshots"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    """One demo for all tests of the page."""
    running = Demo(begun(tmp_path_factory.mktemp("demo") / "demo"))
    yield running
    code, out, err = running.stop()
    assert (code, out, err) == (0, "", "")


@pytest.fixture
def desk(browser: Browser, demo: Demo) -> Iterator[Page]:
    """The page on a desktop, with the payer's phone beside it."""
    page = browser.new_page(viewport={"width": 1280, "height": 800}, base_url=demo.base_url)
    with no_complaints(page):
        yield page
    page.close()


@pytest.fixture
def pocket(browser: Browser, demo: Demo) -> Iterator[Page]:
    """The page on a phone."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844},
        device_scale_factor=2,
        is_mobile=True,
        has_touch=True,
        base_url=demo.base_url,
    )
    page = context.new_page()
    with no_complaints(page):
        yield page
    context.close()


@contextmanager
def no_complaints(page: Page) -> Iterator[None]:
    """Fails when the page's scripts threw, or when the browser refused something on it."""
    heard: list[str] = []
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
    yield
    assert heard == []


def picture(page: Page, name: str) -> None:
    """Keep a screenshot as build output."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")
