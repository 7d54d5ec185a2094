"""Stored callbacks, doubts, and the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from milango.flows import audit
from milango.models import AuditEntry, Doubt, InboundCallback, StatementImport

from .base import MerchantFilter, ReadOnlyAdmin, ScopedAdmin, actor_of


def shown_body(row: InboundCallback, *, allowed: bool) -> str:
    """A callback's bytes as text; the page escapes it. They hold the payer's number."""
    if not allowed:
        return "for superusers"
    return "" if row.body is None else bytes(row.body).decode("utf-8", "replace")[:4_000]


@admin.register(InboundCallback)
class InboundCallbackAdmin(ReadOnlyAdmin):
    """What was posted to us, as it was posted."""

    list_display = ("received_at", "kind", "verdict", "peer", "repeats", "merchant")
    list_filter = (MerchantFilter, "verdict")
    list_select_related = ("merchant",)
    fields = ("received_at", "kind", "verdict", "peer", "repeats", "merchant", "payment", "bytes")
    readonly_fields = ("bytes",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Remember who looks."""
        self.superuser = request.user.is_superuser
        return super().get_queryset(request)

    @admin.display(description="body")
    def bytes(self, row: InboundCallback) -> str:
        """The body, for superusers."""
        return shown_body(row, allowed=self.superuser)


class ResolutionForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """How a doubt was resolved: a note is the least that money asks for."""

    resolution = forms.CharField(max_length=255, help_text="What you found, and what you did.")

    class Meta:
        model = Doubt
        fields = ("resolution",)


@admin.register(Doubt)
class DoubtAdmin(ScopedAdmin):
    """Contradictions and refunds that wait for a person. Resolving one moves no money."""

    form = ResolutionForm
    list_display = ("raised_at", "kind", "amount", "owner", "merchant", "resolved_at")
    list_filter = (MerchantFilter, "kind")
    list_select_related = ("merchant",)
    fields = ("kind", "amount", "owner", "merchant", "payment", "raised_at", "resolution")
    readonly_fields = ("kind", "amount", "owner", "merchant", "payment", "raised_at")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Doubts come from evidence."""
        return False

    def save_model(self, request: HttpRequest, obj: Doubt, form: Any, change: bool) -> None:
        """Close it, and write down who did."""
        obj.resolved_at = timezone.now()
        obj.save(update_fields=["resolution", "resolved_at"])
        audit.record(
            actor_of(request),
            "doubt.resolved",
            obj.public_id,
            merchant=obj.merchant,
            kind=obj.kind,
            resolution=obj.resolution,
        )


class StatementForm(ResolutionForm):
    """What became of a statement that does not add up."""

    class Meta:
        model = StatementImport
        fields = ("resolution",)


@admin.register(StatementImport)
class StatementImportAdmin(ScopedAdmin):
    """Statements that were imported. Those with an owner and no resolution wait for a person."""

    form = StatementForm
    list_display = ("imported_at", "credential", "problem", "owner", "merchant", "resolved_at")
    list_filter = (MerchantFilter, "problem")
    list_select_related = ("merchant", "credential")
    readonly_fields = (
        *("merchant", "credential", "sha256", "uploader", "short_code", "since", "until"),
        *("lines", "payments", "counts", "problem", "problem_row", "imported_at", "owner"),
    )
    fields = (*readonly_fields, "resolution")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from the command line."""
        return False

    def save_model(
        self, request: HttpRequest, obj: StatementImport, form: Any, change: bool
    ) -> None:
        """Close it, and write down who did. It proves no more than before."""
        obj.resolved_at = timezone.now()
        obj.save(update_fields=["resolution", "resolved_at"])
        audit.record(
            actor_of(request),
            "statement.resolved",
            obj.public_id,
            merchant=obj.merchant,
            problem=obj.problem,
            resolution=obj.resolution,
        )


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    """Who changed what."""

    list_display = ("at", "actor", "action", "subject", "merchant")
    list_filter = (MerchantFilter, "action")
    list_select_related = ("merchant",)
