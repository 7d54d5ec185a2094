"""Webhook endpoints, and what is due to be sent to them."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from milango.flows import audit
from milango.models import WebhookDelivery, WebhookEndpoint

from .base import MerchantFilter, ReadOnlyAdmin, ScopedAdmin, actor_of


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ScopedAdmin):
    """Addresses that want to be told. The secret is typed in and never shown."""

    list_display = ("url", "merchant", "active", "created_at")
    list_filter = (MerchantFilter, "active")
    list_select_related = ("merchant",)
    fields = ("merchant", "url", "event_types", "secret", "active")

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """An address without a scheme means https."""
        if db_field.name == "url":
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """An endpoint stays with its merchant: its secret is bound to both."""
        return ("merchant",) if obj else ()

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        """Changes are audited, by the names of the fields."""
        super().save_model(request, obj, form, change)
        audit.record(
            actor_of(request),
            "webhook.changed" if change else "webhook.added",
            obj.public_id,
            merchant=obj.merchant,
            fields=sorted(form.changed_data),
        )


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What is due, delivered or given up."""

    list_display = ("created_at", "event_type", "endpoint", "state", "attempts", "merchant")
    list_filter = (MerchantFilter, "state")
    list_select_related = ("merchant", "endpoint")
