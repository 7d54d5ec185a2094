"""What a letter says beside the payment."""

from __future__ import annotations

import pytest

from milango.flows import notify
from tests.flows.conftest import accepted, make_payment
from tests.webhooks.test_deliver import settle

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_request_that_asked_for_the_payment_is_named(
    credential, endpoint, shop, worker
) -> None:
    payment = make_payment(credential)
    created = notify.next_event(
        payment, "payment.created", payment.created_at, {"request_id": "req-1"}
    )
    payment.save(update_fields=["event_count"])
    notify.write([created])
    settle(payment, accepted(payment))
    shop.wait(1)
    assert shop.documents[0]["data"]["request_id"] == "req-1"
