"""Webhook endpoints, what is due to be sent to them, and what they said."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from milango.core.errors import Declined, InvalidRequest
from milango.core.webhooks import EVENTS
from milango.flows import endpoints, errands, hours
from milango.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

from .base import (
    MerchantFilter,
    ReadOnlyAdmin,
    ReadOnlyInline,
    ScopedAdmin,
    SeenForm,
    actor_of,
    long,
)
from .errands import page_of

LEFT_BLANK = "Leave blank for a good one, which is shown once."


class EndpointForm(SeenForm):
    """An endpoint, checked as the command line checks it."""

    url = forms.URLField(max_length=500, assume_scheme="https")
    event_types = forms.MultipleChoiceField(
        choices=[(name, f"{name}: {meaning.replace('`', '')}") for name, meaning in EVENTS.items()],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all of them.",
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("merchant", "url", "event_types", "full_phone", "secret")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "secret" in self.fields:
            self.fields["secret"].required = False
            self.fields["secret"].help_text = LEFT_BLANK if self.instance._state.adding else ""

    def clean_secret(self) -> str:
        """Blank is fine: one is made, or the one before is kept."""
        given: str = self.cleaned_data["secret"]
        try:
            return endpoints.check_secret(given) if given else given
        except InvalidRequest as error:
            raise forms.ValidationError(str(error)) from None

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            endpoints.check(self.instance)
        except (Declined, InvalidRequest) as error:
            self.add_error(error.field if error.field in self.fields else None, str(error))


class SpanForm(forms.Form):
    """From when to when, and which events."""

    since = forms.SplitDateTimeField(label="From, UTC", widget=UnfoldAdminSplitDateTimeWidget)
    until = forms.SplitDateTimeField(label="To, UTC", widget=UnfoldAdminSplitDateTimeWidget)
    events = forms.MultipleChoiceField(
        choices=[(name, name) for name in EVENTS],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None: all that the endpoint wants.",
    )

    def clean(self) -> dict[str, Any]:
        """The span must not end before it begins."""
        said: dict[str, Any] = super().clean() or {}
        if said.get("since") and said.get("until") and said["since"] >= said["until"]:
            self.add_error("until", "The span must end after it begins.")
        return said


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ScopedAdmin):
    """Addresses that want to be told. A secret is shown once, when it is made."""

    form = EndpointForm
    list_display = ("url", "merchant", "active", "failing_since", "disabled_reason", "created_at")
    list_filter = (MerchantFilter, "active")
    list_select_related = ("merchant",)
    actions = ("enable", "disable", "replay")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """An endpoint stays with its merchant: its secret is bound to both."""
        return KNOWN if obj else ()

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        """Changes are audited, by the names of the fields."""
        actor = actor_of(request)
        if not change:
            made = not obj.secret
            endpoints.store(obj, actor=actor)
            request.milango_new_secret = obj.secret if made else ""  # type: ignore[attr-defined]
            return
        if form.changed_data:
            endpoints.change(obj, form.changed_data, actor=actor)

    def response_add(
        self, request: HttpRequest, obj: WebhookEndpoint, post_url_continue: str | None = None
    ) -> HttpResponse:
        """A secret that we made gets a page of its own, which no cache keeps."""
        secret = request.milango_new_secret  # type: ignore[attr-defined]
        if not secret:
            return super().response_add(request, obj, post_url_continue)  # type: ignore[no-any-return]
        context = {
            **self.admin_site.each_context(request),
            "title": "Copy the secret now: it is not shown again",
            "secret": secret,
            "opts": self.opts,
        }
        answer = TemplateResponse(request, "milango/admin/new_secret.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.action(description="Tell the chosen endpoints again", permissions=["change"])
    def enable(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        """Beginning with what has waited."""
        for endpoint in queryset.select_related("merchant"):
            try:
                endpoints.enable(endpoint, actor=actor_of(request))
            except Declined as refusal:
                messages.error(request, f"{endpoint.url}: {refusal}")
                return
        messages.success(request, "They are told again, beginning with what has waited.")

    @admin.action(description="Tell the chosen endpoints nothing more", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]) -> None:
        """What is due for them waits."""
        for endpoint in queryset.select_related("merchant"):
            endpoints.disable(endpoint, actor=actor_of(request))
        messages.success(request, "They are told nothing any more. What is due for them waits.")

    @admin.action(description="Deliver a span of time again", permissions=["change"])
    def replay(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint]
    ) -> HttpResponse | None:
        """Also what the endpoints were never told. Asks for the span first."""
        asked = "replay" in request.POST
        form = SpanForm(request.POST if asked else None, initial={"until": hours.heard()})
        if not (asked and form.is_valid()):
            return self._ask_for_a_span(request, form, queryset)
        span = form.cleaned_data
        started = [
            errands.replay_webhooks(
                endpoint,
                span["since"],
                span["until"],
                types=span["events"],
                actor=actor_of(request),
            )
            for endpoint in queryset.select_related("merchant")
        ]
        return page_of(*started)

    def _ask_for_a_span(
        self, request: HttpRequest, form: SpanForm, queryset: QuerySet[WebhookEndpoint]
    ) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": "Deliver a span of time again",
            "form": form,
            "endpoints": queryset.select_related("merchant"),
            "opts": self.opts,
        }
        return TemplateResponse(request, "milango/admin/replay.html", context)


KNOWN = ("public_id", "merchant", "active", "failing_since", "disabled_reason", "created_at")
"""What a page says of an endpoint that is there, and nobody types."""


class AttemptInline(ReadOnlyInline):
    """The log of one delivery. What an endpoint answered is its own word, shown as text."""

    model = WebhookAttempt
    fields = ("at", "status", "ms", "error", "answered")
    readonly_fields = fields
    ordering = ("id",)

    @admin.display(description="answer")
    def answered(self, row: WebhookAttempt) -> str:
        """The beginning of it."""
        return long(row.answer)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ReadOnlyAdmin):
    """What is due, delivered or given up, each with its log."""

    list_display = ("created_at", "event_type", "endpoint", "state", "attempts", "merchant")
    list_filter = (MerchantFilter, "state", "event_type")
    list_select_related = ("merchant", "endpoint")
    readonly_fields = fields = (
        *("public_id", "event_type", "state", "endpoint", "merchant", "payment", "event"),
        *("attempts", "next_attempt_at", "created_at"),
    )
    inlines = (AttemptInline,)
    actions = ("replay",)

    @admin.display(description="event id")
    def event(self, row: WebhookDelivery) -> str:
        """As the endpoint reads it in `webhook-id`."""
        return f"evt_{row.event_id.hex}"

    def has_replay_permission(self, request: HttpRequest) -> bool:
        """Who may change the endpoint may have it told again."""
        return bool(request.user.has_perm("milango.change_webhookendpoint"))

    @admin.action(description="Deliver the chosen ones again", permissions=["replay"])
    def replay(self, request: HttpRequest, queryset: QuerySet[WebhookDelivery]) -> None:
        """With the same ids, and the payments as they are now."""
        rows = queryset.select_related("endpoint__merchant").order_by("endpoint_id")
        count = 0
        for _, group in groupby(rows, key=lambda row: row.endpoint_id):
            chosen = list(group)
            mine = WebhookDelivery.objects.filter(pk__in=[row.pk for row in chosen])
            count += endpoints.replay_all(mine, chosen[0].endpoint, actor=actor_of(request))
        messages.success(request, f"{count} are due again.")
