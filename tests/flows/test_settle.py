"""The one room in which a payment changes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from milango.core.payments import Evidence, Outcome, Source
from milango.flows import reconcile
from milango.flows.settle import settle_many
from milango.models import (
    AccessGrant,
    Customer,
    Doubt,
    InboundCallback,
    Merchant,
    Payment,
    PaymentEvent,
    Receipt,
    WebhookDelivery,
    WebhookEndpoint,
)
from tests.people import OTHER_PAYER, PAYER, make_credential, make_merchant

from .conftest import accepted, asked_daraja, failed, make_payment, original, paid

pytestmark = pytest.mark.django_db


def events(payment: Payment) -> list[str]:
    return list(payment.events.order_by("seq").values_list("type", flat=True))


def test_a_listed_callback_settles_a_payment_that_daraja_named(pay) -> None:
    payment = pay()
    settle_many([accepted(payment)])
    (settled,) = settle_many([paid(payment)])
    payment.refresh_from_db()
    assert settled.verdict == "settled"
    assert payment.status == "Success"
    assert payment.receipt_number == "UCE5K7Q2XD"
    assert payment.amount_paid == Decimal(50)
    assert payment.result_code == "0"
    assert payment.customer.phone == PAYER
    assert not payment.prompt_open
    assert events(payment) == ["payment.prompted", "payment.succeeded"]
    assert Receipt.objects.get().payment == payment


def test_a_callback_that_outruns_the_push_answer_settles_when_the_answer_comes(pay) -> None:
    payment = pay()
    settle_many([paid(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Pending", True)
    settle_many([accepted(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Success", False)
    assert Receipt.objects.get().payment == payment


def test_a_repeated_callback_changes_nothing_and_is_counted(pay) -> None:
    payment = pay()
    first = paid(payment, original=original(payment, b"{}"))
    settle_many([accepted(payment), first])
    before = Payment.objects.values().get()
    settled = settle_many([first, first])
    after = Payment.objects.values().get()
    assert [item.verdict for item in settled] == ["duplicate", "duplicate"]
    assert before | {"updated_at": None} == after | {"updated_at": None}
    assert InboundCallback.objects.get().repeats == 2


def test_a_failing_callback_fails_the_payment_with_a_reason(pay) -> None:
    payment = pay(prompt_open=True)
    settle_many([accepted(payment), failed(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.reason, payment.result_code) == ("Failed", "cancelled", "1032")
    assert not payment.prompt_open


def test_money_wins_a_success_after_a_failure_is_late_and_somebody_is_told(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), failed(payment, "1037")])
    settle_many([paid(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.late, payment.reason) == ("Success", True, "")
    assert list(Doubt.objects.values_list("kind", "amount")) == [("refund_due", Decimal(50))]
    assert payment.events.get(type="payment.succeeded").data["late"] is True


def test_a_failure_after_a_success_is_noted_and_changes_nothing(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment)])
    (settled,) = settle_many([failed(payment)])
    payment.refresh_from_db()
    assert settled.verdict == "noted"
    assert (payment.status, payment.reason, payment.late) == ("Success", "", False)


@pytest.mark.parametrize(
    ("change", "doubt"),
    [
        ({"amount": Decimal(1)}, "other_amount"),
        ({"checkout_request_id": "ws_CO_other"}, "other_checkout_id"),
        ({"paid_at": timezone.now() - timedelta(days=2)}, "before_request"),
        ({"problem": "duplicate_keys"}, "duplicate_keys"),
    ],
)
def test_evidence_that_disagrees_is_kept_for_a_person_and_credits_nothing(
    pay, change, doubt
) -> None:
    payment = pay()
    settle_many([accepted(payment)])
    (settled,) = settle_many([paid(payment, original=original(payment, b"x"), **change)])
    payment.refresh_from_db()
    assert settled.verdict == f"doubt:{doubt}"
    assert (payment.status, payment.receipt_number) == ("Pending", "")
    row = Doubt.objects.get()
    assert (row.kind, row.amount, row.owner, row.resolved_at) == (doubt, 50, "merchant", None)
    assert bytes(InboundCallback.objects.get().body or b"") == b"x"
    assert not Receipt.objects.exists()


def test_one_receipt_settles_one_payment(pay) -> None:
    first, second = pay(), pay(phone=OTHER_PAYER)
    settle_many([accepted(first), paid(first), accepted(second)])
    (settled,) = settle_many([paid(second)])
    second.refresh_from_db()
    assert settled.verdict == "doubt:receipt_taken"
    assert second.status == "Pending"
    assert Receipt.objects.get().payment == first


def test_one_receipt_twice_in_one_batch_settles_the_first_payment_only(pay) -> None:
    first, second = pay(), pay(phone=OTHER_PAYER)
    settle_many([accepted(first), accepted(second)])
    settle_many([paid(second), paid(first)])
    first.refresh_from_db()
    second.refresh_from_db()
    assert sorted([first.status, second.status]) == ["Pending", "Success"]
    assert Doubt.objects.get().kind == "receipt_taken"


def test_another_merchants_receipt_of_the_same_text_burns_nothing(pay) -> None:
    elsewhere = make_credential(make_merchant("Elsewhere"), environment="production")
    sandbox = make_credential(make_merchant("Duka"), environment="sandbox")
    others = [make_payment(elsewhere), make_payment(sandbox)]
    payment = pay()
    everyone = [*others, payment]
    settle_many([accepted(p) for p in everyone])
    settle_many([paid(p) for p in everyone])
    assert set(Payment.objects.values_list("status", flat=True)) == {"Success"}


def test_a_checkout_request_id_belongs_to_one_payment_of_a_credential(pay) -> None:
    first, second = pay(), pay(phone=OTHER_PAYER)
    settle_many([accepted(first, "ws_CO_same")])
    settle_many([accepted(second, "ws_CO_same")])
    second.refresh_from_db()
    assert second.checkout_request_id is None
    assert Doubt.objects.get().payment == second


def test_an_unlisted_success_waits_for_the_query_that_proves_it(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, listed=False)])
    payment.refresh_from_db()
    assert (payment.status, payment.confirming) == ("Pending", True)
    assert payment.next_check_at is not None
    assert not Receipt.objects.exists(), "a claim reserves no receipt"
    settle_many([asked_daraja(payment, Outcome.PAID, code="0")])
    payment.refresh_from_db()
    assert (payment.status, payment.receipt_number) == ("Success", "UCE5K7Q2XD")
    assert payment.next_check_at is None


def test_a_claimed_receipt_that_another_payment_proved_meanwhile_is_not_taken_along(pay) -> None:
    first, second = pay(), pay(phone=OTHER_PAYER)
    settle_many([accepted(first), paid(first, listed=False), accepted(second)])
    settle_many([paid(second)])
    settle_many([asked_daraja(first, Outcome.PAID)])
    first.refresh_from_db()
    assert (first.status, first.receipt_number) == ("Success", "")
    assert Doubt.objects.get(payment=first).kind == "receipt_taken"


def test_a_reversal_cuts_the_grant_and_bars_the_receipt(pay) -> None:
    payment, other = pay(service_type="captive_portal"), pay(phone=OTHER_PAYER)
    settle_many([accepted(payment), paid(payment), accepted(other)])
    reversal = asked_daraja(payment, Outcome.REVERSED)
    settle_many([_by(reversal, Source.TRANSACTION_STATUS)])
    payment.refresh_from_db()
    assert payment.status == "Reversed"
    assert AccessGrant.objects.get().revoked_at is not None
    settle_many([paid(other)])
    other.refresh_from_db()
    assert other.status == "Pending"


def test_a_reversal_before_the_success_absorbs_it(pay) -> None:
    payment = pay(service_type="captive_portal")
    settle_many([_by(asked_daraja(payment, Outcome.REVERSED), Source.TRANSACTION_STATUS)])
    settle_many([accepted(payment), paid(payment)])
    payment.refresh_from_db()
    assert payment.status == "Reversed"
    assert not AccessGrant.objects.filter(revoked_at=None).exists()


def _by(evidence, source):
    import msgspec

    return msgspec.structs.replace(evidence, source=source)


def test_a_captive_portal_success_buys_minutes_from_the_instant_of_settlement(pay) -> None:
    payment = pay(service_type="captive_portal")
    at = timezone.now()
    early = at - timedelta(seconds=50)
    settle_many([accepted(payment), paid(payment, observed_at=at, paid_at=early)])
    payment.refresh_from_db()
    assert (payment.access_duration_minutes, payment.start_time) == (120, at)
    grant = AccessGrant.objects.get()
    assert (grant.minutes, grant.starts_at, grant.livemode) == (120, at, True)
    assert grant.ends_at == at + timedelta(minutes=120)


def test_an_ordinary_payment_buys_no_time(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment)])
    payment.refresh_from_db()
    assert payment.access_duration_minutes is None
    assert not AccessGrant.objects.exists()


def test_a_merchants_own_tariff_decides_the_minutes(pay, merchant) -> None:
    from milango.core.tariffs import Plan, Tariff

    merchant.tariff = Tariff(plans=(Plan(price=50, minutes=7),)).to_json()
    merchant.save()
    payment = pay(service_type="captive_portal")
    settle_many([accepted(payment), paid(payment)])
    payment.refresh_from_db()
    assert payment.access_duration_minutes == 7


def test_an_unreadable_tariff_never_stops_the_money(pay, merchant) -> None:
    Merchant.objects.update(tariff={"plans": "none"})
    payment = pay(service_type="captive_portal")
    settle_many([accepted(payment), paid(payment)])
    payment.refresh_from_db()
    assert (payment.status, payment.access_duration_minutes) == ("Success", None)
    assert Doubt.objects.get().kind == "tariff_unreadable"


def test_an_unreadable_tariff_cannot_be_saved(merchant) -> None:
    merchant.tariff = {"plans": "none"}
    with pytest.raises(ValidationError, match="tariff"):
        merchant.save()


@pytest.mark.parametrize("environment", ["sandbox", "simulator"])
def test_without_real_money_a_claim_suffices_and_no_live_grant_is_made(
    merchant, environment
) -> None:
    credential = make_credential(merchant, environment=environment)
    payment = make_payment(credential, service_type="captive_portal")
    settle_many([paid(payment, listed=False)])
    payment.refresh_from_db()
    assert (payment.status, payment.livemode) == ("Success", False)
    assert AccessGrant.objects.get().livemode is False


def test_a_second_success_of_one_order_is_a_duplicate_that_is_due_back(pay) -> None:
    """The payer's first prompt is called failed, a second one is paid, then the first is too."""
    first = pay(order_id="order-7", service_type="captive_portal")
    settle_many([accepted(first), failed(first, "1037")])
    second = pay(order_id="order-7", service_type="captive_portal")
    settle_many([accepted(second), paid(second, "UCE3P9W8ZA")])
    settle_many([paid(first)])
    first.refresh_from_db()
    assert (first.status, first.late, first.duplicate_of) == ("Success", True, second)
    assert list(Doubt.objects.values_list("kind", "payment")) == [("refund_due", first.pk)]
    assert AccessGrant.objects.get().payment == second


def test_the_payers_own_number_picks_the_customer(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), paid(payment, phone=OTHER_PAYER)])
    settle_many([asked_daraja(payment, Outcome.PAID)])
    payment.refresh_from_db()
    assert payment.customer.phone == OTHER_PAYER
    assert Customer.objects.count() == 1


def test_two_payments_of_one_payer_have_one_customer(pay) -> None:
    first, second = pay(), pay()
    settle_many([accepted(first), accepted(second)])
    settle_many([paid(first), paid(second, "UCE3P9W8ZA")])
    assert Customer.objects.count() == 1


def test_subscribed_endpoints_get_one_delivery_row_for_each_event(pay, merchant) -> None:
    WebhookEndpoint.objects.create(merchant=merchant, url="https://a.example", secret="s")
    WebhookEndpoint.objects.create(
        merchant=merchant, url="https://b.example", secret="s", event_types=["payment.failed"]
    )
    WebhookEndpoint.objects.create(
        merchant=make_merchant("Elsewhere"), url="https://c.example", secret="s"
    )
    payment = pay()
    settle_many([accepted(payment), paid(payment)])
    told = WebhookDelivery.objects.values_list("endpoint__url", "event_type", "state")
    assert sorted(told) == [
        ("https://a.example", "payment.prompted", "due"),
        ("https://a.example", "payment.succeeded", "due"),
    ]


def test_a_callback_whose_payment_is_gone_is_kept_as_an_orphan(pay) -> None:
    payment = pay()
    callback = paid(payment, original=original(payment, b"orphan"))
    Payment.objects.all().delete()
    (settled,) = settle_many([callback])
    assert settled.verdict == "orphan"
    assert InboundCallback.objects.get().payment_id is None


def test_a_token_of_ours_with_other_random_bits_settles_nothing(pay) -> None:
    payment = pay()
    settle_many([accepted(payment)])
    payment.callback_token_hash = "f" * 64
    (settled,) = settle_many([paid(payment, original=original(payment, b"x"))])
    payment.refresh_from_db()
    assert (settled.verdict, payment.status) == ("orphan", "Pending")


def test_a_failure_that_nobody_vouches_for_closes_nothing_and_is_asked_about(pay) -> None:
    payment = pay(prompt_open=True)
    settle_many([accepted(payment), failed(payment, listed=False)])
    payment.refresh_from_db()
    assert (payment.status, payment.prompt_open) == ("Pending", True)
    assert reconcile.notice(payment.prompt_until) == 1
    assert "payment.failed" not in events(payment)
    settle_many([paid(payment)])
    payment.refresh_from_db()
    assert payment.status == "Success"


def test_the_events_of_a_payment_are_numbered_without_gaps(pay) -> None:
    payment = pay()
    settle_many([accepted(payment), failed(payment)])
    settle_many([paid(payment)])
    numbers = list(PaymentEvent.objects.order_by("seq").values_list("seq", flat=True))
    assert numbers == list(range(1, len(numbers) + 1))


KINDS: dict[str, Callable[[Payment], Evidence]] = {
    "accepted": accepted,
    "paid": paid,
    "paid_unlisted": lambda p: paid(p, listed=False),
    "cancelled": failed,
    "cancelled_unlisted": lambda p: failed(p, listed=False),
    "query_paid": lambda p: asked_daraja(p, Outcome.PAID),
    "query_no_early": lambda p: asked_daraja(p, Outcome.FAILED, code="1037"),
    "query_no_late": lambda p: asked_daraja(
        p, Outcome.FAILED, code="1037", observed_at=p.prompt_until + timedelta(seconds=5)
    ),
    "query_no_later": lambda p: asked_daraja(
        p, Outcome.FAILED, code="1037", observed_at=p.prompt_until + timedelta(seconds=70)
    ),
    "reversed": lambda p: _by(asked_daraja(p, Outcome.REVERSED), Source.TRANSACTION_STATUS),
    "operator": lambda p: _by(asked_daraja(p, Outcome.PAID, approved=True), Source.OPERATOR),
}


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(
    names=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6),
    data=st.data(),
)
def test_any_order_split_and_repetition_of_evidence_ends_alike(credential, names, data) -> None:
    """Two payments hear the same evidence, each in its own order: they end alike."""
    endings = []
    for number in range(2):
        payment = make_payment(
            credential,
            checkout_request_id=None,
            service_type="captive_portal",
            phone=f"2547000000{number:02}",
        )
        settle_many([accepted(payment)])
        order = data.draw(st.permutations(names + names[:1]))
        evidence = [_said(name, payment, number) for name in order]
        cut = data.draw(st.integers(0, len(evidence)))
        settle_many(evidence[:cut])
        settle_many(evidence[cut:])
        endings.append(_ending(payment))
    assert endings[0] == endings[1]


def _said(name, payment, number):
    import msgspec

    evidence = KINDS[name](payment)
    if evidence.receipt:
        receipt = f"UCE{payment.pk.hex[-7:].upper()}"
        evidence = msgspec.structs.replace(evidence, receipt=receipt)
    return evidence


def _ending(payment: Payment):
    payment = Payment.objects.get(pk=payment.pk)
    live = AccessGrant.objects.filter(payment=payment, revoked_at=None).count()
    customer = payment.customer and payment.customer.phone == payment.phone
    return (
        payment.status,
        payment.reason,
        payment.confirming,
        bool(payment.receipt_number),
        live,
        customer,
        # These two tell of a history: what failed before it was paid, was sold before it went back.
        sorted(
            Doubt.objects.filter(payment=payment)
            .exclude(kind__in=["refund_due", "taken_back"])
            .values_list("kind")
        ),
    )
