"""Stored callbacks, doubts, and the audit trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString
from unfold.widgets import UnfoldAdminFileFieldWidget

from milango.core.doubts import meaning_of
from milango.core.errors import InvalidRequest
from milango.flows import doubts, errands, traces
from milango.models import (
    AuditEntry,
    Doubt,
    InboundCallback,
    Merchant,
    StatementImport,
)

from .base import (
    MerchantFilter,
    ReadOnlyAdmin,
    ScopedAdmin,
    WaitsFilter,
    actor_of,
    long,
    payment_link,
)
from .errands import page_of


def shown_body(row: InboundCallback, *, allowed: bool) -> str:
    """A callback's bytes as escaped text. They hold the payer's number."""
    if not allowed:
        return "for superusers"
    return "" if row.body is None else long(bytes(row.body).decode("utf-8", "replace")[:4_000])


@admin.register(InboundCallback)
class InboundCallbackAdmin(ReadOnlyAdmin):
    """What was posted to us, as it was posted."""

    list_display = ("received_at", "kind", "verdict", "about", "peer", "repeats", "merchant")
    list_filter = (MerchantFilter, "kind", "verdict")
    list_select_related = ("merchant",)
    search_fields = ("=receipt",)
    search_help_text = "The whole receipt of a C2B confirmation."
    fields = (
        *("public_id", "received_at", "kind", "verdict", "peer", "repeats", "merchant", "about"),
        *("receipt", "bytes"),
    )
    readonly_fields = ("about", "bytes")
    actions = ("replay",)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Django's right to change callbacks, which nobody can, stands for processing them."""
        return bool(request.user.has_perm("milango.change_inboundcallback"))

    @admin.action(description="Process the chosen ones again", permissions=["replay"])
    def replay(
        self, request: HttpRequest, queryset: QuerySet[InboundCallback]
    ) -> HttpResponse | None:
        """From the bytes as they arrived. What is settled already stays as it is."""
        rows = queryset.filter(body__isnull=False).order_by("pk")
        ids = list(rows.values_list("pk", "merchant_id")[: errands.MOST_CALLBACKS + 1])
        whose = {merchant_id for _, merchant_id in ids}
        # Of several merchants it is nobody's, and for superusers to see.
        only = whose.pop() if len(whose) == 1 else None
        merchant = Merchant.objects.get(pk=only) if only else None
        try:
            errand = errands.replay_callbacks(
                [pk for pk, _ in ids], merchant=merchant, actor=actor_of(request)
            )
        except InvalidRequest as error:
            messages.error(request, str(error))
            return None
        return page_of(errand)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Remember who looks."""
        self.superuser = request.user.is_superuser
        return traces.traced(super().get_queryset(request))

    @admin.display(description="payment", empty_value="none")
    def about(self, row: Any) -> SafeString | None:
        """The one that it tells of, also where only its receipt leads there."""
        return payment_link(row.about)

    @admin.display(description="body")
    def bytes(self, row: InboundCallback) -> str:
        """The body, for superusers."""
        return shown_body(row, allowed=self.superuser)


class ResolutionForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """How something was resolved: a note is the least that money asks for."""

    resolution = forms.CharField(max_length=255, help_text="What you found, and what you did.")


class ResolvableAdmin(ScopedAdmin):
    """What waits for a person, who closes it with a note, by the command line's own flow."""

    form = ResolutionForm
    resolve: ClassVar[Callable[..., Any]]
    """Takes the row's id, `actor` and `reason`."""

    def waits(self, row: Any) -> bool:
        """Whether it is still to be resolved: what was said once stays."""
        return row.resolved_at is None

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Of what waits."""
        open_ = obj is None or self.waits(obj)
        return open_ and bool(super().has_change_permission(request, obj))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """Close it; the flow writes down who did."""
        note = form.cleaned_data["resolution"]
        try:
            type(self).resolve(obj.pk, actor=actor_of(request), reason=note)
        except InvalidRequest as error:  # somebody else was faster
            messages.error(request, str(error))


@admin.register(Doubt)
class DoubtAdmin(ResolvableAdmin):
    """Contradictions and refunds that wait for a person. Resolving one moves no money."""

    resolve = staticmethod(doubts.resolve)
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

    @admin.display(description="what it means")
    def means(self, row: Doubt) -> str:
        """For the money."""
        return meaning_of(row.kind).means

    @admin.display(description="what to do")
    def do_next(self, row: Doubt) -> str:
        """Before it is resolved."""
        return meaning_of(row.kind).do


class UploadForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A statement file of one of the person's short codes."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text="As the M-Pesa organisation portal gave it: CSV or Excel, "
        f"{errands.MOST_BYTES >> 20} MB at most.",
    )

    class Meta:
        model = StatementImport
        fields = ("credential",)
        labels: ClassVar[dict[str, str]] = {"credential": "Short code"}

    def clean_file(self) -> bytes:
        """Its bytes, if they may be a statement."""
        file = self.cleaned_data["file"]
        if file.size > errands.MOST_BYTES:
            raise forms.ValidationError(errands.too_large())
        self.filename = str(file.name)
        content: bytes = file.read()
        try:
            errands.check_upload(content)
        except InvalidRequest as error:
            raise forms.ValidationError(str(error)) from None
        return content


@admin.register(StatementImport)
class StatementImportAdmin(ResolvableAdmin):
    """Statements that were imported. Those with an owner and no resolution wait for a person."""

    resolve = staticmethod(doubts.resolve_statement)
    list_display = ("imported_at", "credential", "problem", "owner", "merchant", "resolved_at")
    list_filter = (WaitsFilter, MerchantFilter, "problem")
    list_select_related = ("merchant", "credential")
    readonly_fields = (
        *("public_id", "merchant", "credential", "file", "uploader", "short_code", "since"),
        *("until", "lines", "payments", "counts", "problem", "problem_row", "imported_at"),
        *("owner", "resolved_at"),
    )
    fields = (*readonly_fields, "resolution")

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """To add one is to upload a file."""
        if obj is not None:
            return super().get_form(request, obj, **kwargs)
        form = super().get_form(request, obj, **kwargs | {"form": UploadForm})
        widget = form.base_fields["credential"].widget
        widget.can_add_related = widget.can_change_related = widget.can_view_related = False
        return form

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One button: there is nothing to continue with here."""
        only = {"show_save_and_add_another": False, "show_save_and_continue": False}
        context = {"title": "Import a statement", **only, **(extra_context or {})}
        return super().add_view(request, form_url, context)  # type: ignore[no-any-return]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Of a file that is uploaded, only whose it is."""
        return super().get_fields(request, obj) if obj else ["credential", "file"]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """What the import found is not edited."""
        return self.readonly_fields if obj else ()

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> None:
        """The errand's flow writes down who uploaded what; the row is the worker's to make."""

    def response_add(
        self, request: HttpRequest, obj: Any, post_url_continue: str | None = None
    ) -> HttpResponse:
        """On to the page that tells how far it is, and what was found."""
        return page_of(request.milango_errand)  # type: ignore[attr-defined]

    def waits(self, row: StatementImport) -> bool:
        """There is something to resolve while a person has it."""
        return row.owner != "" and super().waits(row)

    @admin.display(description="SHA-256 of the file")
    def file(self, row: StatementImport) -> str:
        """Which file it was."""
        return long(row.sha256)

    def save_model(
        self, request: HttpRequest, obj: StatementImport, form: Any, change: bool
    ) -> None:
        """Have an uploaded file compared, or close one that waits for a person."""
        if change:
            super().save_model(request, obj, form, change)
            return
        request.milango_errand = errands.upload_statement(  # type: ignore[attr-defined]
            obj.credential,
            form.cleaned_data["file"],
            filename=form.filename,
            actor=actor_of(request),
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
