"""Pull: short codes side by side, and none of them in two workers' hands."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from django.utils import timezone

from milango.flows import pulls
from milango.models import CredentialState, MpesaCredential
from tests.people import make_credential, make_merchant

from .conftest import at_once

pytestmark = pytest.mark.django_db(transaction=True)

SHORT_CODES = ("600101", "600102", "600103")


@pytest.fixture
def credentials() -> list[MpesaCredential]:
    merchant = make_merchant("Duka")
    return [
        make_credential(merchant, environment="production", short_code=code, pull=True)
        for code in SHORT_CODES
    ]


def test_short_codes_are_pulled_side_by_side(credentials, monkeypatch: pytest.MonkeyPatch) -> None:
    meeting = threading.Barrier(len(SHORT_CODES))

    def pages(*window: Any) -> list[Any]:
        meeting.wait(10)
        return []

    monkeypatch.setattr(pulls, "_pages", pages)
    now = timezone.now()
    assert pulls.pull_due(now) == 0
    states = CredentialState.objects.filter(pulled_until=now, next_pull_at=now + pulls.EVERY)
    assert states.count() == len(SHORT_CODES)


@pytest.mark.postgres
def test_of_two_workers_one_pulls_for_a_short_code(
    credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def pages(credential: MpesaCredential, *window: Any) -> list[Any]:
        asked.append(credential.short_code)
        return []

    monkeypatch.setattr(pulls, "_pages", pages)
    now = timezone.now()
    at_once(*[partial(pulls.pull_due, now)] * 2)
    assert sorted(asked) == list(SHORT_CODES)
