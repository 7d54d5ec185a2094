"""The books, held to every invariant: clean after realistic payments, and each break is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from milango.core.payments import Outcome, Source
from milango.flows import check as books
from milango.flows.invariants import INVARIANTS, NAMED, TABLES
from milango.flows.receive import receive_stk
from milango.flows.settle import settle_many
from milango.models import (
    AccessGrant,
    CheckRun,
    Doubt,
    InboundCallback,
    Merchant,
    OpenPrompt,
    Payment,
    PaymentEvent,
    Receipt,
    Reversal,
    SettledOrder,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.people import OTHER_PAYER, make_credential, make_merchant

from .conftest import accepted, asked_daraja, failed, make_payment, paid
from .test_receive import LISTED, STRANGER, body, with_token

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def receipts() -> Callable[[], str]:
    """Receipts that are all different."""
    numbers = iter(range(10_000))
    return lambda: f"UCE{next(numbers):07}"


PLAN: dict[str, dict[str, Any]] = {
    "paid": {},
    "wifi": {"service_type": "captive_portal", "amount": 100},
    "cancelled": {},
    "late": {},
    "first": {"order_id": "A-1"},
    "second": {"order_id": "A-1"},
    "reversed": {"order_id": "A-2", "service_type": "captive_portal"},
    "queried": {},
    "claimed": {"amount": 30_000},
    "waiting": {},
}
"""What becomes of them, and how they were asked."""


@pytest.fixture
def lived(merchant: Merchant, credential) -> dict[str, Payment]:
    """A merchant's day: all that payments can become, told to a merchant who listens."""
    receipt = receipts()
    WebhookEndpoint.objects.create(merchant=merchant, url="https://shop.example/a", secret="x")
    only = WebhookEndpoint(merchant=merchant, url="https://shop.example/b", secret="x")
    only.event_types = ["payment.succeeded"]
    only.save()
    made = [
        make_payment(
            credential, prompt_open=name == "waiting", phone=f"2547083741{number:02}", **more
        )
        for number, (name, more) in enumerate(PLAN.items())
    ]
    paid_, wifi, cancelled, late, first, second, reversed_, queried, claimed, waiting = made
    settle_many([accepted(p) for p in Payment.objects.exclude(pk=waiting.pk)])
    settle_many([paid(p, receipt()) for p in (paid_, wifi, first, second)])
    settle_many([failed(cancelled), failed(late, "1037")])
    settle_many([paid(late, receipt())])
    undone = {"source": Source.TRANSACTION_STATUS, "outcome": Outcome.REVERSED}
    settle_many([paid(reversed_, receipt()), paid(reversed_, None, **undone)])
    settle_many([asked_daraja(queried, Outcome.PAID, code="0")])
    settle_many([paid(claimed, receipt())])
    other, token = with_token(credential, phone=OTHER_PAYER)
    settle_many([accepted(other)])
    receive_stk(token, body(other, receipt()), {}, LISTED)
    for payment in made:
        payment.refresh_from_db()
    return dict(zip(PLAN, made, strict=True))


def broken(**how: Any) -> dict[str, int]:
    return {name: found.count for name, found in books.check(**how).broken.items()}


def test_it_works(lived) -> None:
    report = books.check()
    assert report.broken == {}
    assert report.payments == 11
    assert {p.status for p in lived.values()} == {"Success", "Failed", "Reversed", "Pending"}
    assert lived["claimed"].confirming


def test_an_event_keeps_how_many_endpoints_were_subscribed(lived) -> None:
    told = dict(lived["paid"].events.values_list("type", "told"))
    assert told == {"payment.prompted": 1, "payment.succeeded": 2}
    assert WebhookDelivery.objects.filter(payment=lived["paid"]).count() == 3


def test_a_refund_that_is_due_is_an_event_too(lived) -> None:
    for name in ("late", "second"):
        flag, last = lived[name].events.order_by("-seq")[:2][::-1]
        assert (flag.type, flag.data) == ("payment.flagged", {"doubt": "refund_due"})
        assert last.type == "payment.succeeded"
    settle_many([asked_daraja(lived["late"], Outcome.PAID, code="0")])
    assert lived["late"].events.filter(type="payment.flagged").count() == 1


def _update(rows: Any, **to: Any) -> bool:
    assert rows.update(**to)
    return True


def _delete(rows: Any) -> bool:
    """As somebody would who writes to the database by hand."""
    assert rows._raw_delete(rows.db)
    return True


def _payment(lived: dict[str, Payment], name: str, **to: Any) -> bool:
    return _update(Payment.objects.filter(pk=lived[name].pk), **to)


def _of(model: Any, lived: dict[str, Payment], name: str) -> Any:
    return model.objects.filter(payment=lived[name])


def _stranger() -> Merchant:
    return make_merchant("Somebody else")


def _long_ago() -> dict[str, Any]:
    return {"created_at": timezone.now() - DAY}


def _orphan_of(lived: dict[str, Payment]) -> None:
    """A callback whose payment came back with a backup."""
    InboundCallback.objects.create(
        body=b"{}",
        body_sha256="0" * 64,
        verdict="orphan",
        received_at=timezone.now(),
        named_id=lived["waiting"].pk,
        token_hash=lived["waiting"].callback_token_hash,
    )


def _orphan_of_nobody(lived: dict[str, Payment]) -> None:
    payment, token = with_token(lived["paid"].credential, phone="254708374200")
    Payment.objects.filter(pk=payment.pk).delete()
    receive_stk(token, body(payment, "UCE9999999"), {}, LISTED)


HANDS: dict[str, list[Callable[[dict[str, Payment]], Any]]] = {
    "status_has_evidence": [
        lambda it: _payment(it, "cancelled", status="Success"),
        lambda it: _payment(it, "paid", amount_paid=Decimal(5)),
        lambda it: _payment(it, "paid", settled_at=None),
        lambda it: _payment(it, "paid", standing=""),
        lambda it: _payment(it, "paid", confirming=True),
        lambda it: _payment(it, "queried", status="Pending"),
        lambda it: _payment(it, "cancelled", result_code="1"),
        lambda it: _payment(it, "cancelled", receipt_number="UCE1"),
    ],
    "receipt_has_row": [
        lambda it: _delete(_of(Receipt, it, "paid")),
        lambda it: _update(_of(Receipt, it, "paid"), payment=it["cancelled"]),
    ],
    "sums_agree": [lambda it: _update(_of(Receipt, it, "paid"), amount=Decimal(49))],
    "doubt_has_row": [
        lambda it: (
            settle_many([paid(it["waiting"], amount=Decimal(1))]),
            _delete(_of(Doubt, it, "waiting")),
        )
    ],
    "events_are_whole": [
        lambda it: _delete(_of(PaymentEvent, it, "paid").filter(seq=1)),
        lambda it: _payment(it, "paid", event_count=3),
    ],
    "outcome_has_event": [
        lambda it: _update(_of(PaymentEvent, it, "paid"), type="payment.prompted"),
    ],
    "event_has_deliveries": [
        lambda it: _delete(_of(WebhookDelivery, it, "paid").filter(event_type__endswith="ed")),
    ],
    "merchants_never_meet": [
        lambda it: _update(_of(PaymentEvent, it, "paid"), merchant=_stranger()),
        lambda it: _update(_of(AccessGrant, it, "wifi"), merchant=_stranger()),
        lambda it: _update(_of(Doubt, it, "late"), merchant=_stranger()),
        lambda it: _update(InboundCallback.objects.all(), merchant=_stranger()),
        lambda it: _payment(it, "cancelled", credential=make_credential(_stranger())),
    ],
    "wifi_is_granted": [lambda it: _delete(_of(AccessGrant, it, "wifi"))],
    "grant_is_paid": [
        lambda it: _update(_of(AccessGrant, it, "wifi"), payment=it["cancelled"]),
        lambda it: _update(_of(AccessGrant, it, "wifi"), minutes=9_999),
        lambda it: _update(_of(AccessGrant, it, "reversed"), revoked_at=None),
    ],
    "refund_is_listed": [
        lambda it: _delete(_of(Doubt, it, "late")),
        lambda it: _delete(_of(Doubt, it, "second")),
    ],
    "order_is_settled": [
        lambda it: _delete(SettledOrder.objects.filter(order_id="A-1")),
        lambda it: SettledOrder.objects.create(
            merchant=it["reversed"].merchant, order_id="A-2", payment=it["reversed"]
        ),
    ],
    "nothing_is_forgotten": [
        lambda it: (
            _payment(it, "waiting", **_long_ago()),
            _delete(_of(OpenPrompt, it, "waiting")),
        ),
        lambda it: _payment(it, "claimed", next_check_at=None, **_long_ago()),
        lambda it: _payment(
            it, "claimed", next_check_at=timezone.now() - timedelta(hours=7), **_long_ago()
        ),
        lambda it: _payment(it, "waiting", sending_at=None, **_long_ago()),
    ],
    "receipt_settles_one": [
        lambda it: _update(_of(Receipt, it, "paid"), payment=it["cancelled"]),
        lambda it: _update(_of(Receipt, it, "paid"), payment_id=uuid4()),
        lambda it: _update(_of(Receipt, it, "paid"), short_code="1"),
        lambda it: Receipt.objects.create(
            environment="production",
            short_code=it["paid"].party_b,
            code="UCE8888888",
            payment=it["paid"],
            amount=50,
        ),
    ],
    "money_has_owner": [
        lambda it: _update(
            _of(Receipt, it, "paid"),
            payment=None,
            credential=it["paid"].credential,
            created_at=timezone.now() - 4 * DAY,
        )
    ],
    "reversal_has_payment": [
        lambda it: Reversal.objects.create(
            merchant=it["paid"].merchant,
            credential=it["paid"].credential,
            code="UCE8888888",
            source="pull",
            amount=50,
            reversed_at=timezone.now(),
            created_at=timezone.now() - 4 * DAY,
        )
    ],
    "callback_is_processed": [
        lambda it: _update(InboundCallback.objects.all(), verdict="poisoned"),
        lambda it: _update(InboundCallback.objects.all(), verdict=""),
        _orphan_of,
    ],
    "orphan_is_booked": [_orphan_of_nobody],
    "grant_has_payment": [lambda it: _update(_of(AccessGrant, it, "wifi"), payment_id=uuid4())],
    "order_has_payment": [
        lambda it: SettledOrder.objects.create(
            merchant=it["paid"].merchant, order_id="B", payment_id=uuid4()
        )
    ],
    "doubt_is_looked_at": [
        lambda it: _update(Doubt.objects.all(), raised_at=timezone.now() - 4 * DAY)
    ],
    "prompt_ends": [
        lambda it: OpenPrompt.objects.create(
            payment=it["paid"],
            credential=it["paid"].credential,
            phone=it["paid"].phone,
            until=timezone.now() + DAY,
        ),
        lambda it: _update(OpenPrompt.objects.all(), until=timezone.now() - DAY),
    ],
}


@pytest.mark.parametrize(
    ("name", "number"),
    [(name, number) for name, hands in HANDS.items() for number in range(len(hands))],
)
def test_what_somebody_breaks_by_hand_is_told(lived, name: str, number: int) -> None:
    HANDS[name][number](lived)
    report = books.check()
    assert name in report.broken
    example = report.broken[name].examples[0]
    assert example.name
    assert example.merchant.startswith("mer_") or name in {
        "orphan_is_booked",
        "receipt_settles_one",
    }


def test_every_invariant_is_broken_by_some_hand() -> None:
    assert set(HANDS) == {invariant.name for invariant in INVARIANTS} == set(NAMED)


def test_no_phone_number_is_told(lived) -> None:
    several = "status_has_evidence doubt_is_looked_at orphan_is_booked nothing_is_forgotten".split()
    for name in several:
        HANDS[name][0](lived)
    report = books.check()
    told = str(books.document(report))
    assert set(several) <= set(report.broken)
    assert "254708" not in told
    assert "Duka" not in told


def test_a_lower_limit_for_claims_accuses_no_payment_of_before(lived, credential) -> None:
    credential.confirm_above = 10
    credential.save()
    assert broken() == {}
    _payment(lived, "cancelled", status="Success", amount_paid=50)
    assert "status_has_evidence" in broken()


def test_pages_find_what_one_page_finds(lived, monkeypatch) -> None:
    monkeypatch.setattr(books, "SIZE", 2)
    assert broken() == {}
    _update(Receipt.objects.all(), amount=Decimal(1))
    HANDS["grant_is_paid"][0](lived)
    by_two = broken()
    monkeypatch.setattr(books, "SIZE", 5_000)
    at_once = broken()
    assert by_two.pop("sums_agree") >= at_once.pop("sums_agree")
    assert by_two == at_once


def test_a_look_that_was_cut_off_goes_on_where_it_was(lived, monkeypatch) -> None:
    monkeypatch.setattr(books, "SIZE", 2)
    _payment(lived, "paid", status="Failed")
    looked: list[str] = []

    def cut_off(table: str, rows: int) -> None:
        looked.append(table)
        if looked.count("payments") == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        books.check(progress=cut_off)
    seen: list[int] = []
    report = books.check(
        resume=True, progress=lambda table, rows: seen.append(rows) if table == "payments" else None
    )
    assert sum(seen) == 11 - 4  # the third page was not written down
    assert report.payments == 11
    assert report.broken["status_has_evidence"].count == 1
    assert CheckRun.objects.filter(kind="all", finished_at=None).count() == 0


def test_since_looks_at_what_began_since_then(lived) -> None:
    HANDS["events_are_whole"][0](lived)
    HANDS["receipt_settles_one"][0](lived)
    assert "receipt_settles_one" in broken(since=timezone.now() - DAY)
    assert broken(since=timezone.now() + timedelta(seconds=1)) == {}


def test_receipts_since_an_instant_are_found_by_their_number(lived) -> None:
    ids = list(Receipt.objects.order_by("pk").values_list("pk", flat=True))
    _update(Receipt.objects.filter(pk__in=ids[:3]), created_at=timezone.now() - 9 * DAY)
    border = books._border(TABLES["receipts"], timezone.now() - DAY)
    assert int(border) == ids[2]


def test_a_night_looks_at_the_recent_and_goes_on_with_the_older(lived, monkeypatch, caplog) -> None:
    monkeypatch.setattr(books, "RECENT", timedelta(0))  # all of it is older
    monkeypatch.setattr(books, "SIZE", 2)
    monkeypatch.setattr(books, "BUDGET", 0.0)
    first, second = books.nightly(), books.nightly()
    marks = list(CheckRun.objects.order_by("pk").values_list("mark", flat=True))
    assert (first.payments, second.payments) == (2, 2)
    assert marks[0] < marks[1]
    monkeypatch.setattr(books, "BUDGET", 60.0)
    assert books.nightly().payments == 7
    assert CheckRun.objects.latest("pk").mark == ""
    assert books.last_runs() == [CheckRun.objects.latest("pk")]


def test_a_night_tells_of_open_doubts_once_for_each_merchant(lived, caplog) -> None:
    books.nightly()
    lines = [record.getMessage() for record in caplog.records if "open doubts" in record.msg]
    assert len(lines) == 1
    assert lines[0].startswith(f"mer_{lived['paid'].merchant_id.hex}: 3 open doubts about KES 150")


def test_a_stranger_s_orphan_that_names_no_money_is_no_matter(lived) -> None:
    payment, token = with_token(lived["paid"].credential, phone="254708374200")
    Payment.objects.filter(pk=payment.pk).delete()
    receive_stk(token, body(payment, code=1032), {}, STRANGER)
    assert broken() == {}


@pytest.mark.django_db(transaction=True)
def test_payments_that_are_settled_meanwhile_give_no_false_alarm() -> None:
    credential = make_credential(make_merchant(), environment="production")
    WebhookEndpoint.objects.create(
        merchant=credential.merchant, url="https://shop.example/a", secret="x"
    )
    done, enough = threading.Event(), threading.Event()
    errors: list[BaseException] = []
    made: list[Payment] = []

    def live() -> None:
        receipt = receipts()
        try:
            # However slow the looks are, some fall into the middle of this.
            while len(made) < 120 or not enough.is_set():
                number = len(made)
                kinds = {"service_type": "captive_portal", "order_id": f"O-{number // 4}"}
                pair = [
                    make_payment(credential, phone=f"2547{number + n:08}", **kinds)
                    for n in range(2)
                ]
                settle_many([accepted(payment) for payment in pair])
                settle_many([failed(pair[0], "1037"), paid(pair[1], receipt())])
                settle_many([paid(pair[0], receipt())])
                made.extend(pair)
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()
            connection.close()

    thread = threading.Thread(target=live)
    thread.start()
    looks = 0
    while not done.is_set():
        assert broken() == {}
        looks += 1
        if looks > 2:
            enough.set()
    thread.join()
    assert not errors
    assert looks > 2
    assert books.check().payments == len(made)
