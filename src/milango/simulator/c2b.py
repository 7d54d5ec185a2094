"""C2B: addresses, payments at the counter, validation, confirmation."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from milango.simulator import fields
from milango.simulator.apps import SANDBOX_SHORT_CODE, TRANSACTION_TYPES
from milango.simulator.book import Account, Kind, Transaction, payer_names
from milango.simulator.deliveries import Delivery
from milango.simulator.errors import Refused
from milango.simulator.faults import Fate, draw
from milango.simulator.ids import now, wire_time
from milango.simulator.ledger import Attempt
from milango.simulator.oauth import authorise
from milango.simulator.wire import Answer, Call, json_answer

if TYPE_CHECKING:
    from milango.simulator.world import World

_NAMES = ("first", "all", "missing")


@dataclass(frozen=True, slots=True)
class Registration:
    """The addresses of one short code."""

    short_code: str
    version: str
    response_type: str
    confirmation_url: str
    validation_url: str

    def view(self) -> dict[str, str]:
        return {
            "shortcode": self.short_code,
            "version": self.version,
            "response_type": self.response_type,
            "confirmation_url": self.confirmation_url,
            "validation_url": self.validation_url,
        }


class Registrations:
    """Which short code is told where. Registered by any of its numbers, it is found by both."""

    def __init__(self) -> None:
        self._of: dict[str, Registration] = {}

    def put(self, registration: Registration) -> None:
        self._of[registration.short_code] = registration

    def remove(self, short_code: str) -> bool:
        return self._of.pop(short_code, None) is not None

    def has(self, short_code: str) -> bool:
        return short_code in self._of

    def of(self, account: Account) -> Registration | None:
        return self._of.get(account.party_b) or self._of.get(account.business_short_code)

    def view(self) -> list[dict[str, str]]:
        return [registration.view() for registration in self._of.values()]


@dataclass(frozen=True, slots=True)
class Offer:
    """A payment that M-Pesa is about to write into its book. Amount in whole KES."""

    kind: Kind
    account: Account
    phone: str
    amount: int
    account_reference: str
    receipt: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the merchant says to an offer; `delivery` is None when it was not asked."""

    accepted: bool
    third_party_id: str = ""
    delivery: Delivery | None = None


async def register(world: World, call: Call, *, version: str) -> Answer:
    """POST /mpesa/c2b/v1/registerurl, /mpesa/c2b/v2/registerurl"""
    body = fields.read_json(call)
    authorise(world, call, "query_token")
    given = fields.checked(body, _register_checks(world))
    short_code = given["ShortCode"]
    account_of(world, call.consumer_key, short_code)
    if world.settings.c2b_register_once and world.registrations.has(short_code):
        raise Refused("already_registered")
    world.registrations.put(
        Registration(
            short_code=short_code,
            version=version,
            response_type=given["ResponseType"],
            confirmation_url=given["ConfirmationURL"],
            validation_url=given["ValidationURL"],
        )
    )
    return json_answer(
        {
            "OriginatorCoversationID": world.ids.request_id(),
            "ResponseCode": "0",
            "ResponseDescription": "Success",
        }
    )


def _register_checks(world: World) -> dict[str, fields.Check]:
    settings = world.settings
    is_url = partial(
        fields.is_notification_url, plain_http=settings.plain_http, words=settings.c2b_url_words
    )
    return {
        "ShortCode": fields.is_short_code,
        "ResponseType": lambda value: value in ("Completed", "Cancelled"),
        "ConfirmationURL": is_url,
        "ValidationURL": is_url,
    }


async def simulate(world: World, call: Call) -> Answer:
    """POST /mpesa/c2b/v1/simulate, /mpesa/c2b/v2/simulate"""
    body = fields.read_json(call)
    authorise(world, call, "query_token")
    given = fields.checked(body, _SIMULATE_CHECKS)
    if given["ShortCode"] == SANDBOX_SHORT_CODE:
        raise Refused("invalid_field", "ShortCode")
    till = given["CommandID"] == TRANSACTION_TYPES["till"]
    if not till and not fields.is_bill_reference(given["BillRefNumber"]):
        raise Refused("invalid_field", "BillRefNumber")
    account = account_of(world, call.consumer_key, given["ShortCode"], till=till)
    originator = world.ids.request_id()
    reference = "" if till else given["BillRefNumber"]
    pay = partial(pay_at_counter, world, account, given["Msisdn"], int(given["Amount"]), reference)
    world.stage.go(_soon(world, partial(pay, originator=originator)))
    return json_answer(
        {
            "OriginatorCoversationID": originator,
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
    )


_SIMULATE_CHECKS: dict[str, fields.Check] = {
    "ShortCode": fields.is_short_code,
    "CommandID": lambda value: value in TRANSACTION_TYPES.values(),
    "Amount": lambda value: fields.is_amount(value) and int(value) <= fields.MAX_AMOUNT,
    "Msisdn": fields.is_phone,
    "BillRefNumber": fields.is_anything,
}


async def _soon(world: World, pay: Callable[[], Any]) -> None:
    await world.sleep(world.between(world.settings.answer_delay))
    await pay()


def account_of(
    world: World, consumer_key: str, number: str, *, till: bool | None = None
) -> Account:
    """The account behind a number of this app. Raises Refused if it is not this app's.

    `till` is what the caller takes it for: it must fit a registered short code, and decides while
    no app is registered.
    """
    code = world.apps.owned(consumer_key, number)
    if code is None and not world.apps.open:
        raise Refused("invalid_field", "ShortCode")
    if code is None:
        return Account(consumer_key, number, number, bool(till), f"Business {number}")
    if till is not None and till != (code.kind == "till"):
        raise Refused("invalid_field", "CommandID")
    name = world.apps.business_name(consumer_key, code, number)
    return Account(consumer_key, *code.numbers, till=code.kind == "till", name=name)


async def pay_at_counter(
    world: World,
    account: Account,
    phone: str,
    amount: int,
    reference: str,
    *,
    originator: str = "",
    ago_s: float = 0,
) -> Transaction:
    """A payer pays without having been pushed: ask the merchant, write it down, tell it."""
    at = now() - timedelta(seconds=ago_s)
    receipt = world.ids.receipt(at)
    offer = Offer("counter", account, phone, amount, reference, receipt, at)
    verdict = await ask(world, offer)
    transaction = Transaction(
        receipt=receipt,
        kind="counter",
        account=account,
        phone=phone,
        amount=amount,
        account_reference=reference,
        started_at=at,
        completed_at=at if ago_s else now(),
        originator_conversation_id=originator or world.ids.request_id(),
        conversation_id=world.ids.conversation_id(at),
        state="completed" if verdict.accepted else "declined",
        charge=world.charge_on(amount) if verdict.accepted else 0,
        third_party_id=verdict.third_party_id,
        validation=verdict.delivery,
    )
    world.ledger.book.record(transaction)
    if verdict.accepted:
        confirm(world, transaction)
    return transaction


async def end_paid(world: World, attempt: Attempt) -> None:
    """A pushed payer has typed the right PIN: ask the merchant, write the end down, tell it."""
    push, at = attempt.push, now()
    receipt = world.ids.receipt(at)
    reference = push.account_reference
    offer = Offer("push", push.account, push.phone, push.amount, reference, receipt, at)
    verdict = await ask(world, offer)
    result = "paid" if verdict.accepted else "validation_refused"
    transaction = world.ledger.end(attempt, result, receipt, world.charge_on(push.amount))
    if transaction is None:
        return
    transaction.third_party_id = verdict.third_party_id
    transaction.validation = verdict.delivery
    if verdict.accepted:
        telling = confirm(world, transaction)
        if telling is not None and world.happens(world.settings.confirmation_first):
            await asyncio.wait({telling})


async def ask(world: World, offer: Offer) -> Verdict:
    """The merchant's word on an offer, or after the deadline what it has registered for that."""
    registration = world.registrations.of(offer.account)
    if registration is None or not world.settings.c2b_validation:
        return Verdict(accepted=True)
    body = _notice(world, registration, offer, balance="")
    delivery = Delivery(at=now(), body=msgspec.json.encode(body))
    said = await world.poster.exchange(
        registration.validation_url,
        registration.short_code,
        delivery,
        world.settings.validation_timeout_s,
        world.settings,
    )
    code, third_party_id = _word(said) if delivery.status == 200 else ("", "")
    if not code:
        return Verdict(registration.response_type == "Completed", delivery=delivery)
    return Verdict(code.strip("0") == "", third_party_id, delivery)


def _word(said: bytes) -> tuple[str, str]:
    """ResultCode and ThirdPartyTransID of a reply; an empty code if it cannot be read."""
    try:
        reply = json.loads(said)
    except ValueError:
        return "", ""
    if not isinstance(reply, dict):
        return "", ""
    third = fields.as_text(reply.get("ThirdPartyTransID"))
    return fields.as_text(reply.get("ResultCode")), third


def confirm(world: World, transaction: Transaction) -> asyncio.Task[None] | None:
    """Tell the merchant of a paid transaction, if it has registered; chance may have its way."""
    registration = world.registrations.of(transaction.account)
    if registration is None:
        return None
    fate = draw(world.dice, world.settings.confirmation_faults)
    return world.stage.go(_confirm(world, registration, transaction, fate))


async def _confirm(
    world: World, registration: Registration, transaction: Transaction, fate: Fate
) -> None:
    settings = world.settings
    offer = Offer(
        transaction.kind,
        transaction.account,
        transaction.phone,
        transaction.amount,
        transaction.account_reference,
        transaction.receipt,
        transaction.completed_at,
    )
    notice = _notice(world, registration, offer, balance=f"{transaction.balance / 100:.2f}")
    notice["ThirdPartyTransID"] = transaction.third_party_id
    await world.sleep(world.between(settings.confirmation_delay) + fate.wait)
    await world.poster.send(
        registration.confirmation_url,
        registration.short_code,
        msgspec.json.encode(notice),
        transaction.confirmations,
        fate.copies,
        settings,
    )


def _notice(
    world: World, registration: Registration, offer: Offer, *, balance: str
) -> dict[str, str]:
    """Validation and confirmation look the same."""
    settings, account = world.settings, offer.account
    till = account.till
    as_store = till and settings.till_number == "store"
    return {
        "TransactionType": settings.till_transaction_type if till else "Pay Bill",
        "TransID": offer.receipt,
        "TransTime": wire_time(offer.at),
        "TransAmount": f"{offer.amount}.00",
        "BusinessShortCode": account.business_short_code if as_store else account.party_b,
        "BillRefNumber": "" if till else offer.account_reference,
        "InvoiceNumber": "",
        "OrgAccountBalance": balance,
        "ThirdPartyTransID": "",
        "MSISDN": _msisdn(settings.c2b_msisdn, registration.version, offer.phone),
        **_names(world, offer.phone),
    }


def _msisdn(mode: str, version: str, phone: str) -> str:
    way = {"v1": "hashed", "v2": "masked"}[version] if mode == "by_version" else mode
    return MSISDNS[way](phone)


MSISDNS: dict[str, Callable[[str], str]] = {
    "hashed": lambda phone: hashlib.sha256(phone.encode()).hexdigest(),
    "masked": lambda phone: f"{phone[:4]} ***** {phone[-3:]}",
    "full": lambda phone: phone,
}


def _names(world: World, phone: str) -> dict[str, str]:
    mode: str = world.settings.c2b_names
    mode = world.pick(_NAMES) if mode == "mixed" else mode
    first, last = payer_names(phone)
    if mode == "missing":
        return {"FirstName": first}
    return {"FirstName": first, "MiddleName": "", "LastName": last if mode == "all" else ""}
