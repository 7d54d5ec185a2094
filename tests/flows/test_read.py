"""Payments that many readers name at the same moment: each is shown its own alone."""

from __future__ import annotations

from typing import Any

import pytest

from milango.flows import read
from milango.flows.callers import owner_of
from milango.models import Payment
from tests.people import OTHER_PAYER, make_credential, make_merchant

from .conftest import make_payment

pytestmark = pytest.mark.django_db

SHARED = "ws_CO_27112026110000000708374149"


@pytest.fixture
def own(credential):
    return make_payment(credential, checkout_request_id=SHARED)


@pytest.fixture
def foreign(own):
    """Another merchant's payment of the same name: on a shared test short code that happens."""
    other = make_credential(make_merchant("Other"))
    return make_payment(other, checkout_request_id=SHARED, phone=OTHER_PAYER)


def names(reader, name: str) -> read.Named:
    by = read.by_public_id if name.startswith("pay_") else read.by_checkout_id
    named = by(reader, name)
    assert named is not None
    return named


def test_merchants_who_ask_for_the_same_name_at_once_see_their_own(own, foreign) -> None:
    mine, theirs = (names(owner_of(payment.merchant), SHARED) for payment in (own, foreign))
    assert read.find([mine, theirs]) == {mine: own, theirs: foreign}


def test_nobody_finds_anothers_payment_by_any_of_its_names(own, foreign) -> None:
    reader = owner_of(own.merchant)
    wanted = [
        names(who, name)
        for who in (reader, own.pk)
        for name in (foreign.checkout_id, foreign.public_id)
    ]
    assert read.find(wanted) == {}


def test_anothers_payment_is_not_even_read(own, foreign, monkeypatch) -> None:
    """What takes longer where a payment exists tells that it does."""
    built: list[Payment] = []
    from_db = Payment.from_db

    def build(*row: Any) -> Payment:
        built.append(from_db(*row))
        return built[-1]

    monkeypatch.setattr(Payment, "from_db", build)
    reader, foreigner = owner_of(own.merchant), owner_of(foreign.merchant)
    for who, name in ((reader, foreign.public_id), (own.pk, foreign.checkout_id)):
        assert read.find([names(who, name)]) == {}
    assert read.find([names(foreigner, own.public_id)]) == {}
    assert built == []


def test_many_names_cost_a_query_a_column(own, foreign, django_assert_num_queries) -> None:
    wanted = [
        names(owner_of(payment.merchant), name)
        for payment in (own, foreign)
        for name in (payment.checkout_id, SHARED, payment.public_id)
    ]
    with django_assert_num_queries(3):
        found = read.find(wanted)
    assert [found[name] for name in wanted] == [own] * 3 + [foreign] * 3


def test_of_several_payments_of_one_name_the_newest_is_meant(own, merchant) -> None:
    second = make_credential(merchant)
    newer = make_payment(second, checkout_request_id=SHARED, phone=OTHER_PAYER)
    named = names(owner_of(own.merchant), SHARED)
    assert read.find([named]) == {named: newer}


@pytest.mark.parametrize("name", ["co_" + "0" * 31 + "\0", "x" * 200, "", "co_", SHARED])
def test_a_ticket_names_nothing_but_an_id_of_ours(own, name: str) -> None:
    assert read.by_checkout_id(own.pk, name) is None
