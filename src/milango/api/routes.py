"""The addresses of the API (design: one table, read by Django and by the OpenAPI document)."""

from __future__ import annotations

from typing import Final

from django.urls import path

from . import views, webhooks

API: Final = [
    path("api/v1/stk-push", views.STKPushAPIView.as_view(), name="stk-push"),
    path(
        "api/v1/payments/status/<str:checkout_id>",
        views.PaymentStatusView.as_view(),
        name="payment-status",
    ),
    path("api/v1/payments", views.PaymentListView.as_view(), name="payments"),
    path("api/v1/payments/<str:payment_id>", views.PaymentView.as_view(), name="payment"),
    path(
        "api/v1/payments/<str:payment_id>/events",
        views.PaymentEventsView.as_view(),
        name="payment-events",
    ),
    path("api/v1/webhook-endpoints", webhooks.EndpointListView.as_view(), name="webhook-endpoints"),
    path(
        "api/v1/webhook-endpoints/<str:endpoint_id>",
        webhooks.EndpointView.as_view(),
        name="webhook-endpoint",
    ),
    path(
        "api/v1/webhook-endpoints/<str:endpoint_id>/rotate",
        webhooks.RotateView.as_view(),
        name="webhook-endpoint-rotate",
    ),
    path(
        "api/v1/webhook-endpoints/<str:endpoint_id>/test",
        webhooks.TestEventView.as_view(),
        name="webhook-endpoint-test",
    ),
    path(
        "api/v1/webhook-endpoints/<str:endpoint_id>/replay",
        webhooks.ReplaySpanView.as_view(),
        name="webhook-endpoint-replay",
    ),
    path(
        "api/v1/webhook-endpoints/<str:endpoint_id>/deliveries",
        webhooks.DeliveryListView.as_view(),
        name="webhook-endpoint-deliveries",
    ),
    path(
        "api/v1/webhook-deliveries/<str:delivery_id>",
        webhooks.DeliveryView.as_view(),
        name="webhook-delivery",
    ),
    path(
        "api/v1/webhook-deliveries/<str:delivery_id>/replay",
        webhooks.ReplayView.as_view(),
        name="webhook-delivery-replay",
    ),
]
"""What the OpenAPI document describes."""
