"""Transaction Status: answered at once, told later at ResultURL."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from milango.simulator import fields
from milango.simulator.answers import ANSWERS
from milango.simulator.book import Transaction, party
from milango.simulator.deliveries import Delivery
from milango.simulator.faults import draw
from milango.simulator.ids import no_receipt, now, wire_time
from milango.simulator.ledger import Attempt
from milango.simulator.oauth import authorise
from milango.simulator.results import OPERATOR_RESULTS, Result
from milango.simulator.wire import Answer, Call, json_answer

if TYPE_CHECKING:
    from milango.simulator.world import World

_SHAPES = ("plain", "texts", "single")

_ENDED_AS: dict[str, str] = {"1032": "Cancelled", "1019": "Expired", "1037": "Expired"}
"""TransactionStatus of pushes that failed, by result code; all others were declined."""

_COMPLETED: dict[str, str] = {"completed": "Completed", "declined": "Declined"}


@dataclass(slots=True, repr=False)
class Inquiry:
    """One accepted request, and what was told about it."""

    consumer_key: str
    party_a: str
    asked: str
    result_url: str
    timeout_url: str
    occasion: str
    originator_conversation_id: str
    conversation_id: str
    at: datetime
    result: Result | None = None
    status: str = ""
    timed_out: bool = False
    deliveries: list[Delivery] = field(default_factory=list)

    def view(self) -> dict[str, Any]:
        return {
            "at": self.at.isoformat(),
            "consumer_key": self.consumer_key,
            "party_a": self.party_a,
            "asked": self.asked,
            "originator_conversation_id": self.originator_conversation_id,
            "conversation_id": self.conversation_id,
            "result_code": self.result.code if self.result else None,
            "transaction_status": self.status or None,
            "timed_out": self.timed_out,
            "deliveries": [delivery.view() for delivery in self.deliveries],
        }


async def query(world: World, call: Call) -> Answer:
    """POST /mpesa/transactionstatus/v1/query"""
    body = fields.read_json(call)
    authorise(world, call, "query_token")
    given = fields.checked(body, _checks(world))
    key = call.consumer_key
    refusal = world.initiators.verdict(
        world.apps, key, given["PartyA"], given["Initiator"], given["SecurityCredential"]
    )
    inquiry = _begin(world, key, given)
    world.inquiries.append(inquiry)
    world.stage.go(_tell(world, inquiry, given, refusal))
    if world.happens(world.settings.status_answer_lost):
        return ANSWERS["gateway_timeout"].raw or Answer(504, b"")
    return json_answer(
        {
            "OriginatorConversationID": inquiry.originator_conversation_id,
            "ConversationID": inquiry.conversation_id,
            "ResponseCode": "0",
            "ResponseDescription": "Accept the service request successfully.",
        }
    )


def _checks(world: World) -> dict[str, fields.Check]:
    is_url = partial(fields.is_callback_url, plain_http=world.settings.plain_http)
    return {
        "Initiator": bool,
        "SecurityCredential": bool,
        "CommandID": lambda value: value == "TransactionStatusQuery",
        "TransactionID": fields.is_anything,
        "OriginalConversationID": fields.is_anything,
        "OriginatorConversationID": fields.is_anything,
        "PartyA": fields.is_short_code,
        "IdentifierType": lambda value: value in ("1", "2", "4"),
        "ResultURL": is_url,
        "QueueTimeOutURL": is_url,
        "Remarks": fields.is_remark,
        "Occasion": fields.is_remark,
    }


def _begin(world: World, consumer_key: str, given: dict[str, str]) -> Inquiry:
    at = now()
    return Inquiry(
        consumer_key=consumer_key,
        party_a=given["PartyA"],
        asked=given["TransactionID"] or _original(given),
        result_url=given["ResultURL"],
        timeout_url=given["QueueTimeOutURL"],
        occasion=given["Occasion"],
        originator_conversation_id=world.ids.request_id(),
        conversation_id=world.ids.conversation_id(at),
        at=at,
    )


def _original(given: dict[str, str]) -> str:
    """The documents name one field and several clients send the other; both are understood."""
    return given["OriginalConversationID"] or given["OriginatorConversationID"]


async def _tell(world: World, inquiry: Inquiry, given: dict[str, str], refusal: str) -> None:
    settings = world.settings
    fate = draw(world.dice, settings.result_faults)
    await world.sleep(world.between(settings.result_delay) + fate.wait)
    inquiry.timed_out = world.happens(settings.queue_timeout_share)
    if inquiry.timed_out:
        url, body = inquiry.timeout_url, _timed_out(inquiry)
    else:
        url, body = inquiry.result_url, _result(world, inquiry, given, refusal)
    await world.poster.send(
        url,
        inquiry.party_a,
        msgspec.json.encode({"Result": body}),
        inquiry.deliveries,
        fate.copies,
        settings,
    )


def _timed_out(inquiry: Inquiry) -> dict[str, Any]:
    """Its body is a guess, as everyone's is: nobody has published one."""
    return {
        "ResultType": 1,
        "ResultCode": 1,
        "ResultDesc": "The service request timed out.",
        "OriginatorConversationID": inquiry.originator_conversation_id,
        "ConversationID": inquiry.conversation_id,
    }


def _result(world: World, inquiry: Inquiry, given: dict[str, str], refusal: str) -> dict[str, Any]:
    """The answer is sought when it is told, so it is never older than its message."""
    found = None if refusal else _find(world, given)
    inquiry.result = OPERATOR_RESULTS[refusal or _code(inquiry, found)]
    shape: str = world.settings.result_shape
    shape = world.pick(_SHAPES) if shape == "mixed" else shape
    code, text = inquiry.result.in_callback()
    told: dict[str, Any] = {
        "ResultType": 0,
        "ResultCode": code,
        "ResultDesc": text,
        "OriginatorConversationID": inquiry.originator_conversation_id,
        "ConversationID": inquiry.conversation_id,
        "TransactionID": no_receipt(now()),
    }
    if found is not None:
        told["ResultParameters"] = {"ResultParameter": _parameters(found)}
        inquiry.status = _status(found)
    elif shape == "single":
        told["ResultParameters"] = {
            "ResultParameter": {"Key": "BOCompletedTime", "Value": int(wire_time(now()))}
        }
    occasion = {"Key": "Occasion"} | ({"Value": inquiry.occasion} if inquiry.occasion else {})
    told["ReferenceData"] = {"ReferenceItem": occasion}
    return _in_texts(told) if shape == "texts" else told


def _in_texts(told: dict[str, Any]) -> dict[str, Any]:
    """The same with every number as a text and ReferenceItem as a list."""
    texts = told | {name: str(told[name]) for name in ("ResultType", "ResultCode")}
    texts["ReferenceData"] = {"ReferenceItem": [told["ReferenceData"]["ReferenceItem"]]}
    if "ResultParameters" in told:
        items = told["ResultParameters"]["ResultParameter"]
        texts["ResultParameters"] = {"ResultParameter": [_text_item(item) for item in items]}
    return texts


def _text_item(item: dict[str, Any]) -> dict[str, Any]:
    value = item.get("Value")
    if isinstance(value, float):
        value = f"{value:.2f}"
    return item if value is None else item | {"Value": str(value)}


def _code(inquiry: Inquiry, found: Transaction | Attempt | None) -> str:
    if not inquiry.asked:
        return "bad_parameter"
    return "done" if found is not None else "not_found"


def _find(world: World, given: dict[str, str]) -> Transaction | Attempt | None:
    """Only what PartyA was party to: nobody else's receipts are told."""
    receipt = given["TransactionID"].strip().upper()
    found = world.ledger.book.find(receipt) if receipt else _of_conversation(world, given)
    if found is None:
        return None
    account = found.account if isinstance(found, Transaction) else found.push.account
    return found if given["PartyA"] in account.numbers else None


def _of_conversation(world: World, given: dict[str, str]) -> Transaction | Attempt | None:
    original = _original(given)
    attempt = world.ledger.of_merchant_request(original)
    if attempt is None:
        return world.ledger.book.find_conversation(original)
    if not world.settings.status_by_merchant_request_id:
        return None
    return world.ledger.book.find(attempt.receipt) or attempt


def _status(found: Transaction | Attempt) -> str:
    if isinstance(found, Transaction):
        return "Reversed" if found.reversed_by else _COMPLETED[found.state]
    if found.result is None:
        return "Initiated"
    return _ENDED_AS.get(found.result.code, "Declined")


def _parameters(found: Transaction | Attempt) -> list[dict[str, Any]]:
    return [_item(key, value) for key, value in _facts(found)]


def _item(key: str, value: Any) -> dict[str, Any]:
    return {"Key": key} if value is None else {"Key": key, "Value": value}


def _facts(found: Transaction | Attempt) -> Iterable[tuple[str, Any]]:
    """In the order of the documents; None is an item without Value."""
    if isinstance(found, Transaction):
        account, phone, amount = found.account, found.phone, found.amount
        began, ended = found.started_at, wire_time(found.completed_at)
        ids = found.originator_conversation_id, found.conversation_id
        receipt, reason, back = found.receipt, found.reason, found.kind == "reversal"
    else:
        account, phone, amount = found.push.account, found.push.phone, found.push.amount
        began, ended = found.created_at, wire_time(found.ended_at) if found.ended_at else ""
        ids = found.merchant_request_id, ""
        receipt, reason, back = "", "Pay Bill Online", False
    payer = party(phone)
    business = f"{account.party_b} - {account.name}"
    yield "DebitPartyName", business if back else payer
    yield "CreditPartyName", payer if back else business
    yield "OriginatorConversationID", ids[0]
    yield "InitiatedTime", int(wire_time(began))
    yield "DebitAccountType", "Utility Account" if back else "MMF Account For Customer"
    yield "DebitPartyCharges", ""
    yield "TransactionReason", None
    yield "ReasonType", reason
    yield "TransactionStatus", _status(found)
    yield "FinalisedTime", int(ended) if ended else None
    yield "Amount", float(amount)
    yield "ConversationID", ids[1]
    yield "ReceiptNo", receipt or no_receipt(began)
