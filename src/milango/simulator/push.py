"""STK push."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from milango.simulator import fields
from milango.simulator.answers import ANSWERS, PushAnswer
from milango.simulator.apps import SANDBOX_SHORT_CODE, TRANSACTION_TYPES, ShortCode, password_fits
from milango.simulator.errors import Refused
from milango.simulator.ledger import Attempt, Push
from milango.simulator.oauth import authorise
from milango.simulator.stories import STORIES, Story
from milango.simulator.wire import Answer, Call, error_answer, json_answer

if TYPE_CHECKING:
    from milango.simulator.world import World

_ACCEPTED = "Success. Request accepted for processing"


async def process_request(world: World, call: Call) -> Answer:
    """POST /mpesa/stkpush/v1/processrequest"""
    body = fields.read_json(call)
    token = authorise(world, call, "push_token")
    if world.settings.push_delay_ms:
        await asyncio.sleep(world.settings.push_delay_ms / 1000)
    world.count_call(call.consumer_key)
    push, permitted = _admit(world, call.consumer_key, body)
    story = _forced(world, push, permitted) or world.choose(push)
    answer = ANSWERS[story.answer]
    if not answer.prompts:
        if answer.steals_token:
            world.tokens.revoke(token)
        return _refusal(world, answer)
    if world.settings.one_prompt_per_phone and world.ledger.has_open(push.phone):
        raise Refused("locked")
    attempt, playing = world.stage.begin(push, story)
    if story.answer_last:
        await asyncio.wait({playing})
    if answer.after:
        await world.sleep(answer.after)
    return _acceptance(world, answer, attempt)


def _admit(world: World, consumer_key: str, body: dict[str, Any]) -> tuple[Push, bool]:
    """Check in the order that Daraja seems to; also says whether type and PartyB fit."""
    given = fields.checked(body, _checks(world))
    short_code, kind = given["BusinessShortCode"], given["TransactionType"]
    if short_code == SANDBOX_SHORT_CODE and kind != TRANSACTION_TYPES["paybill"]:
        raise Refused("invalid_field", "TransactionType")
    if int(given["Amount"]) > fields.MAX_AMOUNT and world.settings.over_limit == "refuse":
        raise Refused("invalid_field", "Amount")
    code = prove_short_code(world, consumer_key, given)
    push = Push(
        consumer_key=consumer_key,
        business_short_code=short_code,
        party_b=given["PartyB"],
        transaction_type=kind,
        phone=given["PhoneNumber"],
        amount=int(given["Amount"]),
        account_reference=given["AccountReference"],
        callback_url=given["CallBackURL"],
        business_name=world.apps.business_name(consumer_key, code, given["PartyB"]),
    )
    return push, _permitted(push, code)


def prove_short_code(world: World, consumer_key: str, given: dict[str, str]) -> ShortCode | None:
    """Short code and Password of a push or a query; None while no app is registered."""
    short_code = given["BusinessShortCode"]
    code = world.apps.short_code(consumer_key, short_code)
    if code is None and not world.apps.open:
        raise Refused("no_merchant")
    passkey = code.passkey if code else None
    if not password_fits(given["Password"], short_code, given["Timestamp"], passkey):
        raise Refused("wrong_credentials")
    return code


def _checks(world: World) -> dict[str, fields.Check]:
    return {
        "BusinessShortCode": fields.is_short_code,
        "Password": fields.is_password,
        "Timestamp": fields.is_timestamp,
        "TransactionType": fields.is_transaction_type,
        "Amount": fields.is_amount,
        "PartyA": fields.is_phone,
        "PartyB": fields.is_short_code,
        "PhoneNumber": fields.is_phone,
        "CallBackURL": partial(fields.is_callback_url, plain_http=world.settings.plain_http),
        "AccountReference": fields.is_reference,
        "TransactionDesc": fields.is_description,
    }


def _permitted(push: Push, code: ShortCode | None) -> bool:
    """In open mode only a pay bill can be told: it pays itself."""
    if code is not None:
        return code.receives(push.transaction_type, push.party_b)
    pays_bill = push.transaction_type == TRANSACTION_TYPES["paybill"]
    return not pays_bill or push.party_b == push.business_short_code


def _forced(world: World, push: Push, permitted: bool) -> Story | None:
    """Endings that no story can prevent. No prompt is shown for them."""
    if not permitted:
        return STORIES["not_permitted"]
    if push.amount > fields.MAX_AMOUNT:
        return STORIES["above_maximum"]
    window = world.settings.duplicate_window_s * world.settings.time_scale
    if world.ledger.paid_within(push, window):
        return STORIES["rule_limited"]
    return None


def _refusal(world: World, answer: PushAnswer) -> Answer:
    return answer.raw or error_answer(world, Refused(answer.error))


def _acceptance(world: World, answer: PushAnswer, attempt: Attempt) -> Answer:
    if answer.raw or answer.error:
        return _refusal(world, answer)
    accepted = json_answer(
        {
            "MerchantRequestID": attempt.merchant_request_id,
            "CheckoutRequestID": attempt.checkout_request_id,
            "ResponseCode": "0",
            "ResponseDescription": _ACCEPTED,
            "CustomerMessage": _ACCEPTED,
        }
    )
    if answer.halved:
        return Answer(200, accepted.body[: len(accepted.body) // 2])
    return accepted
