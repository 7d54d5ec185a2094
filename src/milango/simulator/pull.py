"""Pull Transactions: what came in during the last 48 hours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from milango.simulator import fields
from milango.simulator.book import Account, Transaction
from milango.simulator.c2b import MSISDNS, account_of
from milango.simulator.errors import Refused
from milango.simulator.ids import EAT, now
from milango.simulator.oauth import authorise
from milango.simulator.wire import Answer, Call, json_answer

if TYPE_CHECKING:
    from milango.simulator.world import World

WINDOW = timedelta(hours=48)

_FIRST_TIME = ("1000", "ShortCode Registered Successfully")
_AGAIN = ("1001", "ShortCode already Registered")
_MOMENT = "%Y-%m-%d %H:%M:%S"
_OFFSET = re.compile(r"\d{1,9}", re.ASCII)


async def register(world: World, call: Call) -> Answer:
    """POST /pulltransactions/v1/register"""
    body = fields.read_json(call)
    authorise(world, call, "pull_token")
    given = fields.checked(body, _register_checks(world))
    account = _account(world, call.consumer_key, given["ShortCode"])
    again = not account.numbers.isdisjoint(world.pulled)
    world.pulled |= account.numbers
    gap = " " if world.settings.pull_spaced_keys else ""
    status, text = _AGAIN if again else _FIRST_TIME
    return json_answer(
        {
            "ResponseRefID": world.ids.uuid(),
            f"Response{gap}Status": status,
            "ShortCode": given["ShortCode"],
            f"Response{gap}Description": text,
        }
    )


def _register_checks(world: World) -> dict[str, fields.Check]:
    return {
        "ShortCode": fields.is_short_code,
        "RequestType": lambda value: value == "Pull",
        "NominatedNumber": fields.is_phone,
        "CallBackURL": partial(fields.is_callback_url, plain_http=world.settings.plain_http),
    }


async def query(world: World, call: Call) -> Answer:
    """/pulltransactions/v1/query, by POST as clients do or by GET as the documents say"""
    if call.method not in ("GET", "POST"):
        raise Refused("method", call.method)
    body = fields.read_json(call)
    authorise(world, call, "pull_token")
    given = fields.checked(body, _QUERY_CHECKS)
    account = _account(world, call.consumer_key, given["ShortCode"])
    if account.numbers.isdisjoint(world.pulled):
        raise Refused("pull_short_code")
    if world.happens(world.settings.pull_fails):
        raise Refused("internal")
    page = _page(world, given)
    return json_answer(
        {
            "ResponseRefID": world.ids.uuid(),
            "ResponseCode": "1000" if page else "1001",
            "ResponseMessage": "Success" if page else "No transactions available",
            "Response": [[_row(world, transaction) for transaction in page]],
        }
    )


def _account(world: World, consumer_key: str, short_code: str) -> Account:
    try:
        return account_of(world, consumer_key, short_code)
    except Refused:
        raise Refused("pull_short_code") from None


def _page(world: World, given: dict[str, str]) -> list[Transaction]:
    """Newest first, so that a payment made between two pages repeats a row and hides none."""
    offset = int(given["OffSetValue"])
    return list(islice(_within(world, given), offset, offset + world.settings.pull_page))


def _within(world: World, given: dict[str, str]) -> Iterator[Transaction]:
    first = max(_moment(given["StartDate"]), now() - WINDOW)
    last = _moment(given["EndDate"])
    reversals = world.settings.pull_reversals
    for transaction in reversed(world.ledger.book.of(given["ShortCode"])):
        at = transaction.completed_at.replace(microsecond=0)
        if at < first:
            return
        shown = transaction.state == "completed" and (reversals or transaction.kind != "reversal")
        if shown and at <= last:
            yield transaction


def _moment(value: str) -> datetime:
    """A moment in EAT. Raises ValueError."""
    return datetime.strptime(value, _MOMENT).replace(tzinfo=EAT)


def _is_moment(value: str) -> bool:
    try:
        _moment(value)
    except ValueError:
        return False
    return True


_QUERY_CHECKS: dict[str, fields.Check] = {
    "ShortCode": fields.is_short_code,
    "StartDate": _is_moment,
    "EndDate": _is_moment,
    "OffSetValue": lambda value: _OFFSET.fullmatch(value) is not None,
}


def _row(world: World, transaction: Transaction) -> dict[str, Any]:
    """A reversal's type and sign are a guess: no recorded one was found."""
    back = transaction.kind == "reversal"
    bought = "c2b-buy-goods-debit" if transaction.account.till else "c2b-pay-bill-debit"
    masked = world.settings.pull_msisdn == "masked"
    phone = transaction.phone
    return {
        "transactionId": transaction.receipt,
        "trxDate": transaction.completed_at.replace(microsecond=0).isoformat(),
        "msisdn": MSISDNS["masked"](phone) if masked else int(phone),
        "sender": "MPESA",
        "transactiontype": "c2b-reversal" if back else bought,
        "billreference": transaction.account_reference,
        "amount": f"{'-' if back else ''}{transaction.amount}.0",
        "organizationname": transaction.account.name,
    }
