"""STK query."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from milango.simulator import fields
from milango.simulator.errors import ERRORS, Refused
from milango.simulator.ledger import Attempt
from milango.simulator.oauth import authorise
from milango.simulator.push import prove_short_code
from milango.simulator.results import RESULTS, STILL_PENDING, Result
from milango.simulator.wire import Answer, Call, json_answer

if TYPE_CHECKING:
    from milango.simulator.world import World

_CHECKS: dict[str, fields.Check] = {
    "BusinessShortCode": fields.is_short_code,
    "Password": fields.is_password,
    "Timestamp": fields.is_timestamp,
    "CheckoutRequestID": bool,
}


async def query(world: World, call: Call) -> Answer:
    """POST /mpesa/stkpushquery/v1/query"""
    body = fields.read_json(call)
    authorise(world, call, "query_token")
    if world.settings.query_delay_ms:
        await asyncio.sleep(world.settings.query_delay_ms / 1000)
    given = fields.checked(body, _CHECKS)
    prove_short_code(world, call.consumer_key, given)
    attempt = world.ledger.get(given["CheckoutRequestID"])
    if attempt is None or attempt.push.business_short_code != given["BusinessShortCode"]:
        raise Refused("not_exist")
    ended = attempt.result
    result = _ended(world, attempt, ended) if ended else _pending(attempt)
    code, text = result.in_query()
    return json_answer(
        {
            "ResponseCode": "0",
            "ResponseDescription": "The service request has been accepted successsfully",
            "MerchantRequestID": attempt.merchant_request_id,
            "CheckoutRequestID": attempt.checkout_request_id,
            "ResultCode": code,
            "ResultDesc": text,
        }
    )


def _pending(attempt: Attempt) -> Result:
    ways = attempt.story.pending
    attempt.queries += 1
    return _spoken(ways[(attempt.queries - 1) % len(ways)])


def _ended(world: World, attempt: Attempt, truth: Result) -> Result:
    """The truth, once the story has had its say."""
    attempt.queries_after_end += 1
    said = attempt.story.first_queries
    if attempt.queries_after_end <= len(said):
        return _spoken(said[attempt.queries_after_end - 1])
    if world.happens(world.settings.blank_query_share):
        raise Refused("blank")
    return truth


def _spoken(way: str) -> Result:
    """A row of `results.py`, 4999, or an error of `errors.py`, which is raised."""
    if way in ERRORS:
        raise Refused(way)
    return STILL_PENDING if way == STILL_PENDING.code else RESULTS[way]
