"""One callback of each kind, as Daraja would post it, and what it ends in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.utils import timezone

from milango import sealing
from milango.core import signing
from milango.flows import confirmations, questions
from milango.models import MpesaCredential, Payment, StatusQuestion
from milango.models.ids import uuid7

from .conftest import Prompted


class Posted(NamedTuple):
    """Where it is posted to, its bytes, and whether it was taken in."""

    path: str
    body: bytes
    is_settled: Callable[[], bool]


def stk(credential: MpesaCredential) -> Posted:
    one = Prompted(credential, phone=f"2547{secrets.randbelow(10**8):08}")
    return Posted(one.path, one.callback(), lambda: one.now().status == "Success")


def c2b(credential: MpesaCredential) -> Posted:
    receipt = f"U{secrets.token_hex(4)}C".upper()
    said = {
        "TransID": receipt,
        "TransAmount": "75.00",
        "TransTime": "20260314113005",
        "BusinessShortCode": credential.short_code,
        "BillRefNumber": "HSE-14B",
        "MSISDN": "2547 ***** 149",
    }
    path = urlsplit(confirmations.address_of(credential, "confirm")).path
    won = Payment.objects.filter(status="Success", receipt_number=receipt)
    return Posted(path, json.dumps(said).encode(), won.all().exists)


def _asked(credential: MpesaCredential) -> tuple[StatusQuestion, str]:
    question_id, kid = uuid7(), sealing.current_key_id()
    key = sealing.derive(questions.PURPOSE, kid)
    token = signing.make_callback_token(question_id, kid, key, secrets.token_bytes(16))
    question = StatusQuestion.objects.create(
        id=question_id,
        credential=credential,
        receipt=f"U{secrets.token_hex(4)}R".upper(),
        token_hash=signing.token_hash(token),
        asked_at=timezone.now(),
    )
    return question, f"/callbacks/result/{token}"


def result(credential: MpesaCredential) -> Posted:
    question, path = _asked(credential)
    values = {
        "ReceiptNo": question.receipt,
        "Amount": "85.00",
        "TransactionStatus": "Completed",
        "FinalisedTime": "20260314113005",
        "CreditPartyName": f"{credential.short_code} - DUKA",
    }
    parameters = [{"Key": key, "Value": value} for key, value in values.items()]
    said: dict[str, Any] = {"ResultType": 0, "ResultCode": 0, "ConversationID": "AG_1"}
    said["ResultParameters"] = {"ResultParameter": parameters}
    won = Payment.objects.filter(status="Success", receipt_number=question.receipt)
    return Posted(path, json.dumps({"Result": said}).encode(), won.all().exists)


def timeout(credential: MpesaCredential) -> Posted:
    """Nobody has published its body; this one cannot be read at all."""
    question, path = _asked(credential)
    heard = StatusQuestion.objects.filter(pk=question.pk, verdict="timeout")
    return Posted(f"{path}/timeout", f"timed out {question.receipt}".encode(), heard.all().exists)


KINDS = {made.__name__: made for made in (stk, c2b, result, timeout)}
