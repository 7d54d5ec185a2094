"""Payments and what hangs on them: to be looked at, never changed here."""

from __future__ import annotations

from contextlib import suppress

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from milango.core.errors import InvalidPhone
from milango.core.phones import normalise
from milango.models import AccessGrant, Doubt, InboundCallback, Payment, PaymentEvent, Receipt
from milango.models.ids import parse_public_id

from .base import MerchantFilter, ReadOnlyAdmin, ReadOnlyInline
from .evidence import shown_body


class EventInline(ReadOnlyInline):
    """The timeline."""

    model = PaymentEvent
    fields = ("seq", "type", "at", "data")
    readonly_fields = fields
    ordering = ("seq",)


class CallbackInline(ReadOnlyInline):
    """What Daraja posted."""

    model = InboundCallback
    fields = ("received_at", "verdict", "peer", "repeats", "body_shown")
    readonly_fields = fields
    verbose_name = "callback"

    def get_queryset(self, request: HttpRequest) -> object:
        """Bodies hold the payer's number: they are for superusers."""
        self.superuser = request.user.is_superuser
        return super().get_queryset(request)

    @admin.display(description="body")
    def body_shown(self, row: InboundCallback) -> str:
        """The bytes as text, escaped."""
        return shown_body(row, allowed=self.superuser)


class DoubtInline(ReadOnlyInline):
    """What a person has to look at."""

    model = Doubt
    fields = ("kind", "amount", "owner", "raised_at", "resolved_at", "resolution")
    readonly_fields = fields


class GrantInline(ReadOnlyInline):
    """The Wi-Fi time that it bought."""

    model = AccessGrant
    fields = ("minutes", "starts_at", "ends_at", "remainder", "livemode", "revoked_at")
    readonly_fields = fields


def kes(amount: object) -> SafeString:
    """An amount in KES, its digits below each other."""
    text = "" if amount is None else f"{amount:,.2f}"
    return format_html(
        '<span style="white-space: nowrap; font-variant-numeric: tabular-nums">{}</span>', text
    )


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """One request for money, with everything that was said about it."""

    list_display = (
        "created_at",
        "amount_kes",
        "status",
        "reason",
        "phone",
        "short_code",
        "account_reference",
        "receipt_number",
        "merchant",
    )
    list_filter = (MerchantFilter, "status", "environment", "service_type", "confirming", "late")
    search_fields = ("=phone", "=receipt_number", "=order_id", "=account_reference")
    search_help_text = "A whole phone number, receipt, order, account reference or pay_ id."
    list_select_related = ("merchant",)
    ordering = ("-id",)
    inlines = (EventInline, DoubtInline, GrantInline, CallbackInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "public_id",
                    ("status", "reason"),
                    ("amount", "amount_paid"),
                    "receipt_number",
                    ("confirming", "late"),
                    "duplicate_of",
                )
            },
        ),
        (
            "Asked",
            {
                "fields": (
                    ("merchant", "environment"),
                    ("short_code", "account_reference"),
                    ("phone", "customer"),
                    ("service_type", "requested_by"),
                    ("order_id", "description"),
                    "idempotency_key",
                    "metadata",
                )
            },
        ),
        (
            "Known",
            {
                "fields": (
                    ("result_code", "result_text"),
                    "transaction_date",
                    ("access_duration_minutes", "start_time"),
                    "checkout_id",
                    "checkout_request_id",
                    "merchant_request_id",
                )
            },
        ),
        (
            "Its life",
            {
                "fields": (
                    ("created_at", "sending_at"),
                    ("prompt_until", "settled_at"),
                    ("next_check_at", "checks"),
                )
            },
        ),
    )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        """Ids as they are shown everywhere, and numbers as people write them."""
        known = parse_public_id(search_term.strip(), "pay")
        if known:
            return queryset.filter(pk=known), False
        found, doubled = super().get_search_results(request, queryset, search_term)
        with suppress(InvalidPhone):
            found |= queryset.filter(phone=normalise(search_term))
        return found, doubled

    @admin.display(description="KES", ordering="amount")
    def amount_kes(self, payment: Payment) -> SafeString:
        """What was asked."""
        return kes(payment.amount)


@admin.register(AccessGrant)
class AccessGrantAdmin(ReadOnlyAdmin):
    """Wi-Fi time that was sold."""

    list_display = ("created_at", "minutes", "ends_at", "merchant", "livemode", "revoked_at")
    list_filter = (MerchantFilter, "livemode")
    list_select_related = ("merchant",)


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    """M-Pesa's transaction codes, and the payments that they settled."""

    list_display = ("code", "short_code", "environment", "payment", "created_at")
    list_filter = ("environment",)
    search_fields = ("=code",)

    def scoped(self, rows, merchants):  # type: ignore[no-untyped-def]
        """A receipt is its payment's; one without a payment is nobody's yet."""
        return rows.filter(payment__merchant_id__in=merchants.values("pk"))
