"""Stored callbacks, doubts, and the audit trail."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone

from milango.core.doubts import meaning_of
from milango.flows import audit, doubts
from milango.models import AuditEntry, Doubt, InboundCallback, StatementImport

from .base import MerchantFilter, ReadOnlyAdmin, ScopedAdmin, WaitsFilter, actor_of, long


def shown_body(row: InboundCallback, *, allowed: bool) -> str:
    """A callback's bytes as escaped text. They hold the payer's number."""
    if not allowed:
        return "for superusers"
    return "" if row.body is None else long(bytes(row.body).decode("utf-8", "replace")[:4_000])


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
    """How it was resolved: a note is the least that money asks for."""

    resolution = forms.CharField(max_length=255, help_text="What you found, and what you did.")

    class Meta:
        model = Doubt
        fields = ("resolution",)


@admin.register(Doubt)
class DoubtAdmin(ScopedAdmin):
    """Contradictions and refunds that wait for a person. Resolving one moves no money."""

    form = ResolutionForm
    list_display = ("raised_at", "kind", "amount", "owner", "merchant", "resolved_at")
    list_filter = (WaitsFilter, MerchantFilter, "kind")
    list_select_related = ("merchant",)
    readonly_fields = (
        *("public_id", "kind", "means", "do_next", "amount", "owner", "merchant", "payment"),
        *("raised_at", "resolved_at"),
    )
    fields = (*readonly_fields, "resolution")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Doubts come from evidence."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """What is resolved stays as it was written down."""
        is_open = obj is None or obj.resolved_at is None
        return is_open and super().has_change_permission(request, obj)

    @admin.display(description="what it means")
    def means(self, row: Doubt) -> str:
        """For the money."""
        return meaning_of(row.kind).means

    @admin.display(description="what to do")
    def do_next(self, row: Doubt) -> str:
        """Before it is resolved."""
        return meaning_of(row.kind).do

    def save_model(self, request: HttpRequest, obj: Doubt, form: Any, change: bool) -> None:
        """Close it, and write down who did."""
        closed = doubts.resolve(obj.pk, actor=actor_of(request), reason=obj.resolution)
        obj.resolved_at = closed.resolved_at


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
    list_filter = (WaitsFilter, MerchantFilter, "problem")
    list_select_related = ("merchant", "credential")
    readonly_fields = (
        *("public_id", "merchant", "credential", "file", "uploader", "short_code", "since"),
        *("until", "lines", "payments", "counts", "problem", "problem_row", "imported_at"),
        *("owner", "resolved_at"),
    )
    fields = (*readonly_fields, "resolution")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """They come from the command line."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """There is something to resolve while a person has it."""
        waits = obj is None or (obj.owner != "" and obj.resolved_at is None)
        return waits and super().has_change_permission(request, obj)

    @admin.display(description="SHA-256 of the file")
    def file(self, row: StatementImport) -> str:
        """Which file it was."""
        return long(row.sha256)

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

    list_display = ("at", "actor", "action", "what", "merchant")
    list_filter = (MerchantFilter, "action")
    list_select_related = ("merchant",)
    fields = ("number", "at", "actor", "action", "what", "merchant", "detail")

    @admin.display(description="subject")
    def what(self, row: AuditEntry) -> str:
        """What it was done to."""
        return long(row.subject)
