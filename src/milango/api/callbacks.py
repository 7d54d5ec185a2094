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


def _answer(outcome: object, document: dict[str, object]) -> Answer:
    if outcome is None:
        raise Declined("not_found", "There is nothing at this address.")
    return document_answer(document)


@plain_door("POST")
def mpesa_callback(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/stk/<token>: Daraja tells how a prompt ended."""
    return _answer(receive.receive_stk(token, *_read(request)), receive.TAKEN)


@plain_door("POST")
def c2b_confirmation(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/confirm: money reached the short code."""
    taken = confirmations.receive_confirmation(token, *_read(request))
    return _answer(taken, receive.CONFIRMED)


@plain_door("POST")
def c2b_validation(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/c2b/<token>/validate: M-Pesa asks whether it may take a payment."""
    body, _, peer = _read(request)
    said = confirmations.validate(token, body, peer)
    return _answer(said, said or {})


@plain_door("POST")
def status_result(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/result/<token>: Transaction Status answers."""
    heard = questions.receive_answer(token, *_read(request), timed_out=False)
    return _answer(heard, receive.TAKEN)


@plain_door("POST")
def status_timeout(request: HttpRequest, token: str) -> Answer:
    """POST /callbacks/result/<token>/timeout: Transaction Status gave up."""
    heard = questions.receive_answer(token, *_read(request), timed_out=True)
    return _answer(heard, receive.TAKEN)
