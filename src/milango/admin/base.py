"""What every admin page of ours shares: it is scoped to the person's merchants, and keeps secrets.

One class does it all, so that no page can forget a part: rows, choices of foreign keys, filters,
searches and lookups in the address.
"""

from __future__ import annotations

import hashlib
from typing import Any, ClassVar
from uuid import UUID

from django import forms
from django.contrib.admin import SimpleListFilter
from django.db import connection
from django.db.models import ForeignKey, Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin, TabularInline
from unfold.widgets import INPUT_CLASSES

from milango.flows.audit import LONGEST_ACTOR
from milango.models import Membership, Merchant, Payment
from milango.models.fields import encrypted_fields

HIDDEN = ("hash", "mac", "callback_token_hash", "standing")
"""Columns that are nobody's business: neither shown nor searched."""


BARE = (forms.TextInput, forms.URLInput, forms.PasswordInput)
"""Unfold dresses the widgets that it chooses itself. One of these, from a field that a form
declares, would have no border, and nobody would see that there is anything to type into."""


def dress(form: type[forms.ModelForm[Any]]) -> None:
    """Make every input of a form visible."""
    for field in form.base_fields.values():
        if type(field.widget) in BARE:
            field.widget.attrs.setdefault("class", " ".join(INPUT_CLASSES))


def long(text: str) -> SafeString:
    """A text that has no spaces, broken where a narrow screen ends."""
    return format_html('<span style="overflow-wrap: anywhere">{}</span>', text)


LINK = "text-primary-600 dark:text-primary-500"
"""How Unfold shows its own links to rows."""


def link_to(model: type[Model], pk: object, text: str) -> SafeString:
    """A link to the page of a row."""
    name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
    page = reverse(name, args=[pk])
    return format_html('<a href="{}" class="{}">{}</a>', page, LINK, long(text))


def payment_link(payment_id: UUID | None) -> SafeString | None:
    """A link to a payment's page; None where a row has no payment."""
    return link_to(Payment, payment_id, f"pay_{payment_id.hex}") if payment_id else None


def merchants_of(request: HttpRequest) -> QuerySet[Merchant]:
    """The merchants that the person looks after; a superuser looks after all."""
    everything = Merchant.objects.all()
    if request.user.is_superuser:
        return everything
    mine = Membership.objects.filter(user=request.user).values("merchant_id")  # type: ignore[misc]  # people here are logged in
    return everything.filter(pk__in=mine)


def actor_of(request: HttpRequest) -> str:
    """How the audit trail names the person, as far as a name fits there."""
    return f"admin:{request.user.get_username()}"[:LONGEST_ACTOR]


class MerchantFilter(SimpleListFilter):
    """Filter by merchant, offering and accepting only the person's own."""

    title = "merchant"
    parameter_name = "of"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The person's merchants."""
        return [(merchant.id.hex, merchant.name) for merchant in merchants_of(request)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Rows of the chosen one; a foreign or malformed id chooses nothing."""
        if self.value() is None:
            return queryset
        known = {merchant.id.hex: merchant.pk for merchant in merchants_of(request)}
        chosen = known.get(str(self.value()))
        return queryset.filter(merchant_id=chosen) if chosen else queryset.none()


class WaitsFilter(SimpleListFilter):
    """What waits for a person, apart from what one has resolved."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The two of them."""
        return [("open", "waits for a person"), ("resolved", "resolved")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Rows of the chosen state."""
        if self.value() == "open":
            return queryset.filter(resolved_at=None).exclude(owner="")
        if self.value() == "resolved":
            return queryset.exclude(resolved_at=None)
        return queryset


class SeenForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Refuses what was typed into a page that is older than somebody else's change."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput, label="")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._now = "" if self.instance._state.adding else _digest(self.instance)
        self.initial["seen"] = self._now

    def clean(self) -> dict[str, Any] | None:
        """What the page showed has to be what is there."""
        cleaned = super().clean()
        if self._now and self.cleaned_data.get("seen") != self._now:
            message = (
                "Somebody has changed this since you opened the page. Nothing was saved. Open it "
                "again, and look at what is there now."
            )
            raise forms.ValidationError(message)
        return cleaned


def _digest(row: Model) -> str:
    """Of all that may be shown: whether it is still the same row."""
    secret = {field.name for field in encrypted_fields(type(row))} | set(HIDDEN)
    fields = [field for field in row._meta.concrete_fields if field.name not in secret]
    shown = [(field.name, str(field.value_from_object(row))) for field in fields]
    return hashlib.sha256(repr(shown).encode()).hexdigest()


class ScopedAdmin(ModelAdmin):  # type: ignore[misc]
    """Rows of the person's merchants only. Nothing that money hangs on can be deleted."""

    list_per_page = 50
    show_full_result_count = False
    list_filter_submit = False
    shown_lookups: ClassVar[tuple[str, ...]] = ()
    """Lookups in the address that are allowed besides the filters."""

    class Media:
        """What is amiss with Unfold's lists on a phone."""

        css: ClassVar = {"all": ["milango/admin.css"]}

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """With every input dressed."""
        form = super().get_form(request, obj, **kwargs)
        dress(form)
        return form

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Another merchant's row is as absent as one that never was."""
        rows: QuerySet[Any] = super().get_queryset(request)
        if request.user.is_superuser:
            return rows
        return self.scoped(rows, merchants_of(request))

    def scoped(self, rows: QuerySet[Any], merchants: QuerySet[Merchant]) -> QuerySet[Any]:
        """The rows that belong to these merchants."""
        return rows.filter(merchant_id__in=merchants.values("pk"))

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        """Who may only look has nothing to compare."""
        names = super().get_fields(request, obj)
        may = self.has_change_permission(request, obj)
        return [name for name in names if name != "seen" or may]

    def get_object(self, request: HttpRequest, object_id: str, from_field: Any = None) -> Any:
        """The row; locked while it is changed, so that of two changes one sees the other."""
        found = super().get_object(request, object_id, from_field)
        if found is None or request.method != "POST" or not connection.in_atomic_block:
            return found
        list(self.model._base_manager.select_for_update(no_key=True).filter(pk=found.pk))
        return super().get_object(request, object_id, from_field)

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Choices are scoped as rows are."""
        related = db_field.related_model
        if related is Merchant:
            kwargs["queryset"] = merchants_of(request)
        elif isinstance(related, type) and _has_merchant(related):
            mine = merchants_of(request).values("pk")
            kwargs["queryset"] = related._default_manager.filter(merchant_id__in=mine)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """No probing of columns through the address, one character at a time."""
        names = {name for name in self.list_filter if isinstance(name, str)}
        names |= {getattr(each, "parameter_name", "") for each in self.list_filter}
        field = lookup.split("__", 1)[0]
        return field in names | set(self.shown_lookups) and field not in HIDDEN

    def get_exclude(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        """Secrets are for typing in: who may only look does not get them shown."""
        hidden = [name for name in HIDDEN if _has(self.model, name)]
        if not self.has_change_permission(request, obj):
            hidden += [field.name for field in encrypted_fields(self.model)]
        return hidden

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Payments, receipts and what belongs to them stay for seven years."""
        return False


class ReadOnlyAdmin(ScopedAdmin):
    """To be looked at."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only flows write these."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only flows write these."""
        return False


class ReadOnlyInline(TabularInline):  # type: ignore[misc]
    """Rows below another row, to be looked at. Its parent is scoped already."""

    extra = 0
    can_delete = False
    show_change_link = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only flows write these."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Only flows write these."""
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Who sees the row above sees these."""
        return True


def _has(model: type[Model], name: str) -> bool:
    return any(field.name == name for field in model._meta.get_fields())


def _has_merchant(model: type[Model]) -> bool:
    return _has(model, "merchant")
