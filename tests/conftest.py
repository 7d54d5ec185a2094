"""What every test can count on: its database, a browser, and that a skip is never silent."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

from tests import databases

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# A deadline for one example measures the machine, not the code.
hypothesis.settings.register_profile("milango", deadline=None, print_blob=True)
hypothesis.settings.load_profile("milango")

STRICT = os.environ.get("MILANGO_TEST_STRICT") == "1"
_SKIPS_ARE_ERRORS = "MILANGO_TEST_STRICT=1 allows no skip, and this was skipped: "

_LONGEST_ID = 100

_CHROMIUMS = ("chromium", "chromium-browser", "google-chrome")
_NO_BROWSER = "browser tests need, installed by root: apt-get install chromium libatomic1"
_CHROMIUM_FLAGS = [
    "--no-sandbox",  # Chromium's own sandbox refuses to start for root; the pages are ours
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
]

_DATABASE_FIXTURES = {
    "db",
    "transactional_db",
    "django_db_reset_sequences",
    "django_db_serialized_rollback",
    "django_db_setup",
    "live_server",
}


def _meets_the_database(item: pytest.Item) -> bool:
    from django.test import TransactionTestCase

    cls = getattr(item, "cls", None)
    return (
        item.get_closest_marker("django_db") is not None
        or not _DATABASE_FIXTURES.isdisjoint(getattr(item, "fixturenames", ()))
        or (cls is not None and issubclass(cls, TransactionTestCase))
    )


def _belongs_to_this_run(item: pytest.Item) -> bool:
    if not databases.is_postgres():
        return item.get_closest_marker("postgres") is None
    elsewhere = item.get_closest_marker("browser") or item.get_closest_marker("once")
    return _meets_the_database(item) and elsewhere is None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves to each run its own: what meets no database need not meet PostgreSQL either.

    Slow ones come first: one that begins last would keep the other processes waiting.
    """
    others = [item for item in items if not _belongs_to_this_run(item)]
    items[:] = [item for item in items if _belongs_to_this_run(item)]
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    config.hook.pytest_deselected(items=others)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Names a long value by how it begins: names travel between processes, and stand in reports."""
    if not isinstance(val, str | bytes) or len(val) <= _LONGEST_ID:
        return None
    return f"{val[:_LONGEST_ID]!r} of {len(val)}"


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if STRICT and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.longrepr = f"{_SKIPS_ARE_ERRORS}{reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Makes a skipped test a failure where every test must run."""
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """The same for a file that skips itself while it is imported."""
    report = yield
    _forbid_skip(report)
    return report


@cache
def _chromium() -> str:
    """The path of a Chromium that playwright can drive here, or an empty text."""
    names = (os.environ.get("MILANGO_CHROMIUM", ""), *_CHROMIUMS)
    found = next((path for name in names if name and (path := shutil.which(name))), "")
    driver = [sys.executable, "-m", "playwright", "--version"]
    return found if found and not subprocess.run(driver, capture_output=True).returncode else ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips the tests that are marked `browser` where there is none."""
    if item.get_closest_marker("browser") and not _chromium():
        pytest.skip(_NO_BROWSER)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The test database is found, not made. It goes with the folder that it is in."""
    return True


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings: None, django_db_blocker: Any
) -> Iterator[None]:
    """The test database of this process: how it comes to its tables, and how it loses its rows."""
    from django.test import TransactionTestCase

    with django_db_blocker.unblock():
        databases.copy_tables()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda test: databases.empty())
        yield


@pytest.fixture(autouse=True)
def _nothing_remembered() -> None:
    """Rows vanish between tests without a word to those who remember them."""
    from milango.flows import caches, tokens

    caches.forget_everything()
    tokens.forget()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium that playwright can drive; skips where there is none."""
    return _chromium() or pytest.skip(_NO_BROWSER)


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """A real browser without a window. Mark its tests with `browser`; screenshots go to build/."""
    from playwright.sync_api import sync_playwright

    # Playwright keeps an event loop running under the tests' feet. So it lives no longer than its
    # module, where async tests would find the place taken, and Django is told that we know.
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=chromium, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()
