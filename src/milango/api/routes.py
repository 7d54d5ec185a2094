"""The addresses of the API (design: one table, read by Django and by the OpenAPI document)."""

from __future__ import annotations

from typing import Final

from django.urls import path

from . import views

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
]
"""What the OpenAPI document describes."""
