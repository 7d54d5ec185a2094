"""A request's id goes from the header through the row to the answer and the timeline."""

from __future__ import annotations

from typing import Any

import pytest

from milango.flows import notify
from milango.models import InboundCallback, PaymentEvent
from tests.people import OTHER_PAYER, PAYER
from tests.whole.conftest import Daraja

from .conftest import Api
from .test_callback import Prompted, paid

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_callers_id_reaches_the_timeline_and_so_the_webhook(
    api: Api, daraja: Daraja, credential: Any, wish: dict[str, Any]
) -> None:
    daraja.register(credential)
    answer = api.push(wish, **{"X-Request-ID": "order-1001.try-1"})
    assert answer.status_code == 202, answer.content
    assert answer.headers["X-Request-ID"] == "order-1001.try-1"
    event = PaymentEvent.objects.get(type="payment.created")
    assert event.data == {"request_id": "order-1001.try-1"}
    assert notify.of_payments([], [event.payment_id]).requests == {
        event.payment_id: "order-1001.try-1"
    }


def test_without_one_each_payment_gets_its_own(
    api: Api, daraja: Daraja, credential: Any, wish: dict[str, Any]
) -> None:
    daraja.register(credential)
    for phone in (PAYER, OTHER_PAYER):
        assert "X-Request-ID" not in api.push(wish | {"phone_number": phone}).headers
    first, second = PaymentEvent.objects.filter(type="payment.created")
    assert first.data["request_id"].startswith("req_")
    assert first.data != second.data


def test_a_refusal_has_an_id_too(stranger: Api) -> None:
    answer = stranger.push(b"{}", X_Request_ID="mine")
    assert answer.status_code == 401
    assert answer.headers["X-Request-ID"] == "mine"


def test_a_callback_keeps_the_id_that_the_proxy_gave_it(credential: Any) -> None:
    prompted = Prompted(credential)
    prompted.post(paid(prompted.payment), headers={"X-Request-ID": "edge-7"})
    assert InboundCallback.objects.get().headers["x-request-id"] == "edge-7"


def test_a_push_is_timed_by_its_credential(
    api: Api, daraja: Daraja, credential: Any, wish: dict[str, Any]
) -> None:
    from milango.seen import metrics

    daraja.register(credential)
    api.push(wish)
    for call in ("token", "push"):
        labels = {
            "call": call,
            "environment": credential.environment,
            "short_code": credential.short_code,
        }
        count = metrics.REGISTRY.get_sample_value("milango_daraja_request_seconds_count", labels)
        assert count == 1, call
