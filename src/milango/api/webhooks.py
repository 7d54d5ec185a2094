"""The doors to a merchant's webhook endpoints: each reads its request and calls one flow."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from milango.core import filters, webhook_inputs
from milango.core.answers import document_answer
from milango.flows import hours, webhooks

from . import webhook_operations as operations
from .answers import response_of
from .door import Door
from .requests import caller_in, json_in, json_or_nothing_in, key_in, query_in


def _said(document: dict[str, Any], status: int = 200) -> HttpResponse:
    return response_of(document_answer(document, status))


class EndpointListView(Door):
    """GET and POST /api/v1/webhook-endpoints: the addresses that are told, and another one."""

    methods = ("GET", "POST")

    @extend_schema(operation=operations.LIST)
    def get(self, request: Request) -> HttpResponse:
        """One page, newest first."""
        caller = caller_in(request._request)
        caller.require_secret("read")
        page = filters.read_page(query_in(request._request), filters.ENDPOINTS)
        return _said(webhooks.page_of(caller, page))

    @extend_schema(operation=operations.ADD)
    def post(self, request: Request) -> HttpResponse:
        """Add one. Checked in this order: type, size, key, scope, fields."""
        asked = request._request
        body, caller = json_in(asked), caller_in(asked)
        caller.require("manage")
        wish = webhook_inputs.read_new(body)
        return _said(webhooks.add(caller, wish, idempotency_key=key_in(asked)), 201)


class EndpointView(Door):
    """GET, PATCH and DELETE /api/v1/webhook-endpoints/<id>: one of them."""

    methods = ("GET", "PATCH", "DELETE")

    @extend_schema(operation=operations.ONE)
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """The endpoint, and how it does."""
        return _said(webhooks.one(caller_in(request._request), endpoint_id))

    @extend_schema(operation=operations.CHANGE)
    def patch(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Change what the body names."""
        body, caller = json_in(request._request), caller_in(request._request)
        caller.require("manage")
        fields = webhook_inputs.read_change(body)
        return _said(webhooks.change(caller, endpoint_id, fields))

    @extend_schema(operation=operations.REMOVE)
    def delete(self, request: Request, endpoint_id: str) -> HttpResponse:
        """Remove it; its deliveries stay on record."""
        return _said(webhooks.remove(caller_in(request._request), endpoint_id))


class RotateView(Door):
    """POST /api/v1/webhook-endpoints/<id>/rotate: a new secret."""

    methods = ("POST",)

    @extend_schema(operation=operations.ROTATE)
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """The secret is in this answer alone."""
        asked = request._request
        body, caller = json_or_nothing_in(asked), caller_in(asked)
        caller.require("manage")
        rotation = webhook_inputs.read_rotation(body)
        key = key_in(asked)
        return _said(webhooks.rotate(caller, endpoint_id, rotation, idempotency_key=key))


class TestEventView(Door):
    """POST /api/v1/webhook-endpoints/<id>/test: a test event."""

    methods = ("POST",)

    @extend_schema(operation=operations.TEST)
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """A delivery that is due now."""
        body, caller = json_or_nothing_in(request._request), caller_in(request._request)
        caller.require("manage")
        event_type = webhook_inputs.read_test(body)
        return _said(webhooks.test(caller, endpoint_id, event_type), 202)


class ReplaySpanView(Door):
    """POST /api/v1/webhook-endpoints/<id>/replay: a span of time is told again."""

    methods = ("POST",)

    @extend_schema(operation=operations.REPLAY_SPAN)
    def post(self, request: Request, endpoint_id: str) -> HttpResponse:
        """How many deliveries are due again."""
        body, caller = json_in(request._request), caller_in(request._request)
        caller.require("manage")
        span = webhook_inputs.read_span(body, hours.now())
        return _said(webhooks.replay_span(caller, endpoint_id, span), 202)


class DeliveryListView(Door):
    """GET /api/v1/webhook-endpoints/<id>/deliveries: what it was told, and what waits."""

    @extend_schema(operation=operations.DELIVERIES)
    def get(self, request: Request, endpoint_id: str) -> HttpResponse:
        """One page, the newest event first."""
        caller = caller_in(request._request)
        caller.require_secret("read")
        page = filters.read_page(query_in(request._request), filters.DELIVERIES)
        return _said(webhooks.deliveries_of(caller, endpoint_id, page))


class DeliveryView(Door):
    """GET /api/v1/webhook-deliveries/<id>: one delivery with its log."""

    @extend_schema(operation=operations.DELIVERY)
    def get(self, request: Request, delivery_id: str) -> HttpResponse:
        """What was tried, and what came of it."""
        return _said(webhooks.delivery_of(caller_in(request._request), delivery_id))


class ReplayView(Door):
    """POST /api/v1/webhook-deliveries/<id>/replay: deliver it once more."""

    methods = ("POST",)

    @extend_schema(operation=operations.REPLAY)
    def post(self, request: Request, delivery_id: str) -> HttpResponse:
        """The delivery, due again."""
        return _said(webhooks.replay(caller_in(request._request), delivery_id), 202)
