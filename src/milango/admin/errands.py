"""What people started here and workers do: how far it is, and what came of it."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.safestring import SafeString

from milango.flows import reports
from milango.flows.statements import Kind
from milango.models import Errand
from milango.models.ids import parse_public_id

from .base import MerchantFilter, ReadOnlyAdmin, long


def page_of(*errands: Errand) -> HttpResponse:
    """On to the errand; of several, to their list."""
    if len(errands) == 1:
        return HttpResponseRedirect(reverse("admin:milango_errand_change", args=[errands[0].pk]))
    return HttpResponseRedirect(reverse("admin:milango_errand_changelist"))


@admin.register(Errand)
class ErrandAdmin(ReadOnlyAdmin):
    """Imports and replays. An errand's page looks again by itself until it has ended."""

    list_display = ("created_at", "kind", "what", "state", "actor", "merchant")
    list_filter = (MerchantFilter, "kind", "state")
    list_select_related = ("merchant",)

    @admin.display(description="what")
    def what(self, errand: Errand) -> SafeString:
        """A file's name, or how many of what."""
        return long(errand.name)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the files."""
        return super().get_queryset(request).defer("content")

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """A page of its own: what was asked, how far it is, what was found."""
        errand = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, errand):
            raise PermissionDenied
        if errand is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[no-any-return]
        context = {
            **self.admin_site.each_context(request),
            "title": errand.get_kind_display().capitalize(),
            "errand": errand,
            "percent": min(100, 100 * errand.done // errand.total) if errand.total else None,
            "opts": self.opts,
            "original": errand,
            **(_statement(errand.result) if errand.kind == Errand.Kind.STATEMENT else {}),
        }
        answer = TemplateResponse(request, "milango/admin/errand.html", context)
        answer["Cache-Control"] = "no-store"
        return answer


def _statement(result: dict[str, Any]) -> dict[str, Any]:
    """What a comparison found, in words and by kind."""
    if not result:
        return {}
    known = parse_public_id(result["statement"], "stm")
    return {
        "kinds": [_kind(kind, word, result) for kind, word in reports.WORDS.items()],
        "most": reports.SHOWN,
        "problem": reports.problem_of(result["problem"], result["problem_row"]),
        "import_url": reverse("admin:milango_statementimport_change", args=[known]),
    }


def _kind(kind: Kind, word: str, result: dict[str, Any]) -> dict[str, Any]:
    found = [_row(each) for each in result["differences"] if each["kind"] == kind.value]
    return {
        "word": word,
        "count": result["counts"].get(kind.value, 0),
        "agrees": kind in reports.AGREED,
        "found": found,
        "has_there": any(each["amount"] for each in found),
        "has_here": any(each["payment"] for each in found),
    }


def _row(found: dict[str, Any]) -> dict[str, Any]:
    known = parse_public_id(found["payment"] or "", "pay")
    url = reverse("admin:milango_payment_change", args=[known]) if known else ""
    return {**found, "url": url}
