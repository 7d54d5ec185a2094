"""Merchants, their short codes, and their keys."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.admin import TabularInline

from milango.core.errors import InvalidRequest
from milango.flows import callers, credentials
from milango.models import ApiKey, Customer, Membership, Merchant, MerchantOrigin, MpesaCredential

from .base import MerchantFilter, ReadOnlyAdmin, ScopedAdmin, SeenForm, actor_of


class OriginInline(TabularInline):  # type: ignore[misc]
    """The pages that may use the merchant's publishable keys."""

    model = MerchantOrigin
    extra = 0


class MembershipInline(TabularInline):  # type: ignore[misc]
    """Who looks after the merchant. Only a superuser decides that."""

    model = Membership
    extra = 0

    def _superuser(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.is_superuser)

    has_add_permission = has_change_permission = _superuser
    has_view_permission = has_delete_permission = _superuser


@admin.register(Merchant)
class MerchantAdmin(ScopedAdmin):
    """The tenants."""

    form = SeenForm
    list_display = ("name", "public_id", "active", "created_at")
    search_fields = ("name",)
    list_filter = ("active",)
    readonly_fields = ("public_id", "created_at")
    inlines = (OriginInline, MembershipInline)

    def scoped(self, rows: QuerySet[Any], merchants: QuerySet[Merchant]) -> QuerySet[Any]:
        """A merchant belongs to itself."""
        return rows.filter(pk__in=merchants.values("pk"))


class CredentialForm(SeenForm):
    """A short code, checked as the command line checks it."""

    class Meta:
        model = MpesaCredential
        fields = (
            "merchant",
            "kind",
            "short_code",
            "store_number",
            "environment",
            "consumer_key",
            "consumer_secret",
            "passkey",
            "initiator_name",
            "initiator_password",
            "initiator_certificate",
            "pull",
            "checked_references",
            "confirm_above",
            "active",
        )

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            credentials.check(self.instance)
        except InvalidRequest as error:
            field = "short_code" if error.field == "shortcode" else error.field
            self.add_error(field if field in self.fields else None, str(error))


@admin.register(MpesaCredential)
class MpesaCredentialAdmin(ScopedAdmin):
    """Tills and paybills. Secrets are typed in and never shown; blank keeps them."""

    form = CredentialForm
    list_display = ("short_code", "kind", "merchant", "environment", "active", "version")
    list_filter = (MerchantFilter, "environment", "kind", "active")
    search_fields = ("short_code", "store_number")
    list_select_related = ("merchant",)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """A short code stays with its merchant: its secrets are bound to both."""
        return ("merchant", "version") if obj else ()

    def save_model(
        self, request: HttpRequest, obj: MpesaCredential, form: Any, change: bool
    ) -> None:
        """Every change is a version, audited, and announced to the merchant."""
        names = [name for name in form.changed_data if name in form.fields and name != "seen"]
        given = {name: getattr(obj, name) for name in names}
        if change:
            credentials.change_credential(obj, actor=actor_of(request), **given)
        else:
            credentials.store_credential(obj, actor=actor_of(request))


@admin.register(Customer)
class CustomerAdmin(ReadOnlyAdmin):
    """Who has paid."""

    list_display = ("phone", "merchant", "created_at")
    list_filter = (MerchantFilter,)
    search_fields = ("=phone",)
    list_select_related = ("merchant",)


class ApiKeyForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A new key."""

    scopes = forms.MultipleChoiceField(
        choices=ApiKey.Scope.choices,
        initial=["read", "charge"],
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="Secret keys only.",
    )

    class Meta:
        model = ApiKey
        fields = ("merchant", "kind", "name", "scopes", "open_amount")


@admin.register(ApiKey)
class ApiKeyAdmin(ScopedAdmin):
    """Keys of our own API. A key is shown once, when it is made."""

    form = ApiKeyForm
    list_display = ("hint", "kind", "merchant", "name", "last_used_at", "revoked_at")
    list_filter = (MerchantFilter, "kind")
    list_select_related = ("merchant",)
    actions = ("revoke",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """The list offers revoking; a key itself is replaced, not changed."""
        return obj is None and super().has_change_permission(request, obj)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Make the key through the flow, and keep it for the one answer that shows it."""
        row, plain = callers.create_key(
            obj.merchant,
            obj.kind,
            actor=actor_of(request),
            name=obj.name,
            scopes=obj.scopes,
            open_amount=obj.open_amount,
        )
        obj.__dict__.update(row.__dict__)
        request.milango_new_key = plain  # type: ignore[attr-defined]

    def response_add(
        self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None
    ) -> HttpResponse:
        """A page of its own, which no cache keeps."""
        context = {
            **self.admin_site.each_context(request),
            "title": "Copy the key now: it is not shown again",
            "key": request.milango_new_key,  # type: ignore[attr-defined]
            "opts": self.opts,
        }
        answer = TemplateResponse(request, "milango/admin/new_key.html", context)
        answer["Cache-Control"] = "no-store"
        return answer

    @admin.action(description="Revoke the chosen keys", permissions=["change"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        """They are useless from now on."""
        for key in queryset:
            callers.revoke_key(key, actor=actor_of(request))
        messages.success(request, "Revoked. Requests with these keys are refused from now on.")
