"""What Daraja posts to us, at Django's door: one door for each kind of callback.

200 only once the bytes are committed, whatever they say; 503 while the database is away.
"""

from __future__ import annotations

from django.http import HttpRequest

from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.flows import confirmations, questions, receive
from milango.seen import requests

from .door import plain_door
from .requests import peer_in, read_body


def _read(request: HttpRequest) -> tuple[bytes, dict[str, str], str]:
    """The body, the headers that are kept with it, and where it came from."""
    requests.begin_if(request.headers.get(requests.HEADER))
    body = read_body(request, receive.BODY_LIMIT)
    kept = {name: request.headers[name] for name in receive.KEPT_HEADERS if name in request.headers}
    return body, kept, peer_in(request)


def _require(known: object) -> None:
    """Before the body is read: a token that is not ours is answered from memory."""
    if known is None:
        raise Declined("not_found", "There is nothing at this address.")


@plain_door("POST")
def mpesa_callback(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/stk/<token>: Daraja tells how a prompt ended."""
    _require(receive.payment_of(token))
    receive.receive_stk(token, *_read(request))
    return document_answer(receive.TAKEN)


@plain_door("POST")
def c2b_confirmation(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/confirm: money reached the short code."""
    _require(confirmations.owner_of(token))
    confirmations.receive_confirmation(token, *_read(request))
    return document_answer(receive.CONFIRMED)


@plain_door("POST")
def c2b_validation(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/validate: M-Pesa asks whether it may take a payment."""
    _require(confirmations.owner_of(token))
    body, _, peer = _read(request)
    return document_answer(confirmations.validate(token, body, peer) or {})


@plain_door("POST")
def status_result(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/result/<token>: Transaction Status answers."""
    _require(questions.question_of(token))
    questions.receive_answer(token, *_read(request), timed_out=False)
    return document_answer(receive.TAKEN)


@plain_door("POST")
def status_timeout(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/result/<token>/timeout: Transaction Status gave up."""
    _require(questions.question_of(token))
    questions.receive_answer(token, *_read(request), timed_out=True)
    return document_answer(receive.TAKEN)
