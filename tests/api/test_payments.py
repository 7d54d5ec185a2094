"""The payment resource: one, its timeline, and pages of them. One merchant's own, always."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from milango.flows import notify
from milango.models import Merchant, MpesaCredential, Payment, Receipt
from tests.flows.conftest import make_payment
from tests.people import OTHER_PAYER, make_credential, make_key

from .conftest import Api, problem
from .test_status import ticket_for

pytestmark = pytest.mark.django_db


@pytest.fixture
def payment(credential: MpesaCredential) -> Payment:
    return make_payment(credential)


@pytest.fixture
def foreign(other_credential: MpesaCredential) -> Payment:
    return make_payment(other_credential)


def make_in_order(credential: MpesaCredential, count: int) -> list[Payment]:
    """Ids are ordered by the millisecond, so each payment gets one of its own."""
    made = []
    for _ in range(count):
        time.sleep(0.002)
        made.append(make_payment(credential))
    return made


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.content
    return [payment["id"] for payment in answer.json()["data"]]


def test_one_payment(api: Api, payment: Payment):
    document = api.get(f"payments/{payment.public_id}").json()
    assert document["id"] == payment.public_id
    assert document["object"] == "payment"
    assert document["phone_number"] == payment.phone


def test_foreign_unknown_and_malformed_ids_have_the_same_bytes(
    api: Api, payment: Payment, foreign: Payment
):
    nobodys = f"pay_{'0' * 32}"
    names = (foreign.public_id, nobodys, "pay_x", "x", payment.public_id.upper(), "pay_%00")
    for tail in ("", "/events"):
        answers = [api.get(f"payments/{name}{tail}") for name in names]
        problem(answers[0], 404, "not_found")
        assert len({answer.content for answer in answers}) == 1
        assert len({str(answer.headers) for answer in answers}) == 1


def test_the_timeline_is_in_order(api: Api, stranger: Api, payment: Payment):
    now = timezone.now()
    kinds = ["payment.created", "payment.prompted", "payment.failed"]
    notify.write([notify.next_event(payment, kind, now) for kind in kinds])
    by_key = api.get(f"payments/{payment.public_id}/events")
    by_ticket = stranger.get(f"payments/{payment.public_id}/events", ticket=ticket_for(payment))
    assert by_key.content == by_ticket.content
    assert by_key.json()["object"] == "list"
    found = [(event["seq"], event["type"]) for event in by_key.json()["data"]]
    assert found == [(1, kinds[0]), (2, kinds[1]), (3, kinds[2])]


def test_a_ticket_reads_no_other_timeline(stranger: Api, payment: Payment, foreign: Payment):
    answer = stranger.get(f"payments/{foreign.public_id}/events", ticket=ticket_for(payment))
    problem(answer, 404, "not_found")


def test_a_ticket_is_no_key_for_anything_else(stranger: Api, payment: Payment):
    ticket = ticket_for(payment)
    problem(stranger.get(f"payments/{payment.public_id}", ticket=ticket), 401, "unauthenticated")
    problem(stranger.get("payments", ticket=ticket), 401, "unauthenticated")


@pytest.mark.parametrize("path", ["payments", "payments/{id}", "payments/{id}/events"])
def test_a_page_reads_none_of_this(path: str, page: Api, payment: Payment):
    answer = page.get(path.format(id=payment.public_id))
    problem(answer, 403, "secret_key_required")


@pytest.mark.parametrize("path", ["payments", "payments/{id}", "payments/{id}/events"])
def test_reading_takes_the_scope(path: str, merchant: Merchant, payment: Payment):
    charger = Api(make_key(merchant, scopes=["charge"])[1])
    problem(charger.get(path.format(id=payment.public_id)), 403, "wrong_scope")
    bad = charger.get(path.format(id=payment.public_id), limit="x")
    problem(bad, 403, "wrong_scope")


# --- pages -----------------------------------------------------------------------------------


def test_pages_are_newest_first_and_complete(
    api: Api, credential: MpesaCredential, foreign: Payment
):
    made = [payment.public_id for payment in make_in_order(credential, 5)]
    seen: list[str] = []
    query: dict[str, str] = {"limit": "2"}
    for more in (True, True, False):
        answer = api.get("payments", **query)
        assert answer.json()["object"] == "list"
        assert answer.json()["has_more"] is more
        seen += ids(answer)
        query["starting_after"] = seen[-1]
    assert seen == made[::-1]


def test_a_page_has_20_unless_told(api: Api, credential: MpesaCredential):
    for _ in range(21):
        make_payment(credential)
    assert len(ids(api.get("payments"))) == 20
    assert len(ids(api.get("payments", limit="100"))) == 21


def test_a_new_payment_does_not_shift_the_next_page(api: Api, credential: MpesaCredential):
    first, second = (payment.public_id for payment in make_in_order(credential, 2))
    assert ids(api.get("payments", limit="1")) == [second]
    make_in_order(credential, 1)
    assert ids(api.get("payments", limit="1", starting_after=second)) == [first]


def test_another_merchants_payment_is_no_place_to_look_into(
    api: Api, payment: Payment, foreign: Payment
):
    assert ids(api.get("payments", starting_after=foreign.public_id)) == [payment.public_id]
    assert ids(api.get("payments", phone_number=foreign.phone)) == [payment.public_id]


def test_filters_find_what_they_name(api: Api, merchant: Merchant, credential: MpesaCredential):
    (plain,) = make_in_order(credential, 1)
    now = timezone.now()
    special = make_payment(
        make_credential(merchant),
        status="Success",
        phone=OTHER_PAYER,
        receipt_number="UCE5K7Q2XD",
        order_id="A-1",
        account_reference="TABLE 7",
        service_type="captive_portal",
        created_at=now + timedelta(hours=2),
    )
    Receipt.objects.create(
        environment=special.environment,
        short_code=special.party_b,
        code=special.receipt_number,
        payment=special,
        source="callback",
    )
    wanted = {
        "status": "Success",
        "phone_number": "0110000123",
        "shortcode": special.short_code,
        "receipt_number": "uce5k7q2xd",
        "order_id": "A-1",
        "account_reference": "TABLE 7",
        "service_type": "captive_portal",
        "created_after": (now + timedelta(hours=1)).isoformat(),
    }
    for name, value in wanted.items():
        assert ids(api.get("payments", **{name: value})) == [special.public_id], name
    assert ids(api.get("payments", **wanted)) == [special.public_id]
    before = wanted["created_after"].replace("+00:00", "Z")
    assert ids(api.get("payments", created_before=before)) == [plain.public_id]


def test_created_after_includes_and_created_before_excludes(api: Api, payment: Payment):
    moment = payment.created_at.isoformat()
    assert ids(api.get("payments", created_after=moment)) == [payment.public_id]
    assert ids(api.get("payments", created_before=moment)) == []


BAD = [
    ("limit", "0"),
    ("limit", "101"),
    ("limit", "-1"),
    ("limit", "ten"),
    ("limit", "٣"),
    ("limit", ""),
    ("starting_after", "pay_1"),
    ("starting_after", ""),
    ("status", "success"),
    ("status", "Success\0"),
    ("phone_number", "0202345678"),
    ("phone_number", "\0"),
    ("shortcode", "12"),
    ("receipt_number", "a b"),
    ("order_id", "\0"),
    ("account_reference", "🙂"),
    ("service_type", "WiFi"),
    ("created_after", "yesterday"),
    ("created_after", "2026-03-01"),
    ("created_before", "2026-03-01T00:00:00"),
    ("created_before", "9999-12-31T23:59:59-23:00"),
    ("page", "2"),
    ("ordering", "amount"),
    ("merchant__name", "Hoteli"),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_bad_filter_is_named(name: str, value: str, api: Api):
    problem(api.get("payments", **{name: value}), 400, "invalid_filter", name)


def test_a_filter_twice_is_refused(api: Api):
    answer = api.client.get("/api/v1/payments?status=Success&status=Failed", headers=api.headers)
    problem(answer, 400, "invalid_filter", "status")
