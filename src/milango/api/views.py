"""The doors of the API. Each reads its request, calls one flow, and renders what came of it."""

from __future__ import annotations

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from milango.core import inputs
from milango.core.answers import Answer, document_answer
from milango.core.errors import Declined
from milango.core.filters import read_page
from milango.flows import read
from milango.flows.charge import charge
from milango.flows.present import payment_document

from . import operations
from .answers import answer_of, response_of
from .callbacks import mpesa_callback as mpesa_callback
from .door import Door, plain_door
from .requests import caller_in, json_in, key_in, origin_in, peer_in, query_in


def _reader(request: HttpRequest) -> read.Reader:
    return read.reader_of(
        request.headers.get("Authorization"), origin_in(request), request.GET.get("ticket")
    )


class STKPushAPIView(Door):
    """POST /api/v1/stk-push: ask a payer for money."""

    methods = ("POST",)

    @extend_schema(operation=operations.PUSH)
    def post(self, request: Request) -> HttpResponse:
        """Send one prompt. Checked in this order: type, size, key, scope, fields."""
        asked = request._request
        body = json_in(asked)
        caller = caller_in(asked)
        caller.require("charge")
        push = inputs.read_push(body)
        payment = charge(caller, push, idempotency_key=key_in(asked), peer=peer_in(asked))
        document = payment_document(payment, secret=not caller.publishable)
        return response_of(document_answer(document, 202))


class PaymentStatusView(Door):
    """GET /api/v1/payments/status/<checkout_id>: what a waiting page asks."""

    @extend_schema(operation=operations.STATUS)
    def get(self, request: Request, checkout_id: str) -> HttpResponse:
        """The status; an id that is not the caller's is Pending."""
        document = read.status_of(_reader(request._request), checkout_id)
        return response_of(document_answer(document))


class PaymentListView(Door):
    """GET /api/v1/payments: the merchant's payments, a page at a time."""

    @extend_schema(operation=operations.LIST)
    def get(self, request: Request) -> HttpResponse:
        """One page, newest first."""
        caller = caller_in(request._request)
        caller.require_secret("read")
        page = read_page(query_in(request._request))
        return response_of(document_answer(read.page_of(caller, page)))


class PaymentView(Door):
    """GET /api/v1/payments/<id>: one payment."""

    @extend_schema(operation=operations.ONE)
    def get(self, request: Request, payment_id: str) -> HttpResponse:
        """The whole payment."""
        caller = caller_in(request._request)
        return response_of(document_answer(read.payment_of(caller, payment_id)))


class PaymentEventsView(Door):
    """GET /api/v1/payments/<id>/events: what happened to one payment."""

    @extend_schema(operation=operations.EVENTS)
    def get(self, request: Request, payment_id: str) -> HttpResponse:
        """The timeline, oldest first."""
        return response_of(document_answer(read.events_of(_reader(request._request), payment_id)))


@plain_door("GET", "HEAD")
def healthz(request: HttpRequest) -> Answer:
    """GET /healthz: this process answers. It asks nobody else."""
    return document_answer({"status": "ok"})


@plain_door()
def nowhere(request: HttpRequest, path: str = "") -> Answer:
    """Any other address below /api/v1/ and /callbacks/."""
    raise Declined("not_found", "There is nothing at this address.")


OURS: Final = ("/api/v1/", "/callbacks/")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """`handler400` of the ready server: what Django refuses before any view, such as a strange
    `Host`, as a problem below our own addresses."""
    if request.path.startswith(OURS):
        return response_of(answer_of(exception))
    return defaults.bad_request(request, exception)
