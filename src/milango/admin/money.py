"""Payments and what hangs on them: to be looked at, never changed here."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.forms import ActionForm
from unfold.widgets import UnfoldAdminTextInputWidget

from milango.core.errors import Declined, InvalidPhone, InvalidRequest
from milango.core.phones import normalise
from milango.flows import matching, traces, words
from milango.models import (
    AccessGrant,
    Doubt,
    InboundCallback,
    OperatorWord,
    Payment,
    PaymentEvent,
    Receipt,
    Reversal,
)
from milango.models.ids import parse_public_id

from .base import (
    MerchantFilter,
    ReadOnlyAdmin,
    ReadOnlyInline,
    actor_of,
    link_to,
    merchants_of,
    payment_link,
)
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


class WordInline(ReadOnlyInline):
    """What people said of it, counted or not."""

    model = OperatorWord
    fields = ("spoken_at", "outcome", "receipt", "reason", "spoken_by", "state")
    readonly_fields = fields
    ordering = ("pk",)

    @admin.display(description="state")
    def state(self, row: OperatorWord) -> str:
        """What has become of it."""
        return state_of(row)


class GrantInline(ReadOnlyInline):
    """The Wi-Fi time that it bought."""

    model = AccessGrant
    fields = ("minutes", "starts_at", "ends_at", "remainder", "livemode", "revoked_at")
    readonly_fields = fields


MOST_CONFIRMATIONS: Final = 20


@admin.display(description="KES", ordering="amount")
def amount_kes(row: Any) -> SafeString:
    """The column of a row's amount: in KES, the digits below each other."""
    return format_html(
        '<span style="white-space: nowrap; font-variant-numeric: tabular-nums">{}</span>',
        "" if row.amount is None else f"{row.amount:,.2f}",
    )


@admin.register(Payment)
class PaymentAdmin(ReadOnlyAdmin):
    """One request for money, with everything that was said about it."""

    list_display = (
        "created_at",
        amount_kes,
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
    inlines = (EventInline, DoubtInline, WordInline, GrantInline, CallbackInline)
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
                    "confirmations",
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

    readonly_fields = ("confirmations",)

    @admin.display(description="C2B confirmations", empty_value="none")
    def confirmations(self, payment: Payment) -> SafeString | None:
        """What M-Pesa has told of its money at the short code's address, where there is C2B."""
        rows = traces.confirmations_of(payment)[:MOST_CONFIRMATIONS]
        lines = [(link_to(InboundCallback, row.pk, row.public_id), row.verdict) for row in rows]
        return format_html_join(mark_safe("<br>"), "{} {}", lines) if lines else None

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


@admin.register(AccessGrant)
class AccessGrantAdmin(ReadOnlyAdmin):
    """Wi-Fi time that was sold."""

    list_display = ("created_at", "minutes", "ends_at", "merchant", "livemode", "revoked_at")
    list_filter = (MerchantFilter, "livemode")
    list_select_related = ("merchant",)


def beside_the_action(label: str) -> forms.CharField:
    """An input in the bar of the list's actions, which has no room for a label of its own."""
    widget = UnfoldAdminTextInputWidget({"placeholder": label, "aria-label": label})
    return forms.CharField(label="", required=False, widget=widget)


class MatchForm(ActionForm):  # type: ignore[misc]
    """Beside the list's actions: whose the chosen money is, and how one knows."""

    payment = beside_the_action("Its payment: pay_…")
    reason = beside_the_action("How you know")


class WaitingAdmin(ReadOnlyAdmin):
    """Money that a person may put to a payment, one at a time, as the command line does."""

    action_form = MatchForm
    actions = ("match",)
    list_select_related: tuple[str, ...] = ("payment",)

    def has_match_permission(self, request: HttpRequest) -> bool:
        """Django's own right to change the row, although nobody edits it."""
        right = f"{self.opts.app_label}.change_{self.opts.model_name}"
        return bool(request.user.has_perm(right))

    @admin.display(description="payment", empty_value="waits for its payment")
    def whose(self, row: Any) -> SafeString | None:
        """The payment that it belongs to."""
        return payment_link(row.payment_id)

    @admin.action(description="Match the chosen one to a payment", permissions=["match"])
    def match(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        """Above the limits it waits for a second person."""
        chosen = list(queryset[:2])
        payment_id = parse_public_id(request.POST.get("payment", "").strip(), "pay")
        mine = Payment.objects.filter(merchant__in=merchants_of(request))
        payment = mine.filter(pk=payment_id).first() if payment_id else None
        if len(chosen) != 1 or payment is None:
            messages.error(request, "Choose one, and name its payment (pay_…). Nothing was done.")
            return
        reason, actor = request.POST.get("reason", ""), actor_of(request)
        try:
            word, settled = matching.match(payment, chosen[0].code, reason=reason, actor=actor)
        except InvalidRequest as error:
            messages.error(request, str(error))
            return
        if settled is None:
            messages.warning(request, f"Noted. A second person has to approve {word.public_id}.")
        else:
            messages.success(request, f"It counts: the payment is {settled.status}.")


@admin.register(Receipt)
class ReceiptAdmin(WaitingAdmin):
    """M-Pesa's transaction codes, and the payments that they settled."""

    list_display = ("code", amount_kes, "short_code", "environment", "whose", "created_at")
    list_filter = ("environment", ("payment", admin.EmptyFieldListFilter))
    search_fields = ("=code",)
    search_help_text = "A whole receipt."

    def scoped(self, rows, merchants):  # type: ignore[no-untyped-def]
        """A receipt is its payment's; one without a payment is its short code's."""
        mine = merchants.values("pk")
        waiting = Q(payment=None, credential__merchant_id__in=mine)
        return rows.filter(Q(payment__merchant_id__in=mine) | waiting)


@admin.register(Reversal)
class ReversalAdmin(WaitingAdmin):
    """Money that went back, and the payments that it had come with."""

    list_display = ("code", amount_kes, "source", "whose", "reversed_at", "merchant")
    list_filter = (MerchantFilter, ("payment", admin.EmptyFieldListFilter))
    list_select_related = ("merchant", "payment")
    search_fields = ("=code",)
    search_help_text = "A whole receipt, as the source that told of it named it."


def state_of(word: OperatorWord) -> str:
    """What has become of a word, and by whom."""
    if word.withdrawn_at:
        return f"withdrawn by {word.withdrawn_by}"
    if word.applied_at:
        return f"counts, approved by {word.approved_by}" if word.approved_by else "counts"
    return "waits for a second person"


class WordFilter(admin.SimpleListFilter):
    """What has become of a word."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The three of them."""
        return [(state, state) for state in words.STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """Words of the chosen state."""
        return queryset.filter(words.STATES.get(self.value() or "", Q()))


@admin.register(OperatorWord)
class OperatorWordAdmin(ReadOnlyAdmin):
    """What people said about payments; large amounts wait for a second person."""

    list_display = ("spoken_at", "outcome", amount_kes, "whose", "reason", "spoken_by", "state")
    list_filter = (WordFilter, MerchantFilter, "outcome")
    list_select_related = ("payment",)
    actions = ("approve", "withdraw")
    fields = (
        *("public_id", "state", "merchant", "payment", "outcome", "receipt", "amount", "reason"),
        *("spoken_by", "spoken_at", "approved_by", "applied_at", "withdrawn_by", "withdrawn_at"),
    )
    readonly_fields = ("state",)

    @admin.display(description="payment")
    def whose(self, row: OperatorWord) -> SafeString | None:
        """The payment that it is about."""
        return payment_link(row.payment_id)

    @admin.display(description="state")
    def state(self, row: OperatorWord) -> str:
        """What has become of it."""
        return state_of(row)

    def has_approve_permission(self, request: HttpRequest) -> bool:
        """Django's own right to change words, although nobody edits one."""
        return bool(request.user.has_perm("milango.change_operatorword"))

    @admin.action(description="Agree with the chosen words", permissions=["approve"])
    def approve(self, request: HttpRequest, queryset: QuerySet[OperatorWord]) -> None:
        """Nobody agrees with their own."""
        for word in queryset.order_by("pk"):
            try:
                settled = words.approve(word, actor=actor_of(request))
            except Declined as refusal:
                messages.error(request, f"{word.public_id}: {refusal}")
            else:
                messages.success(request, f"{word.public_id}: the payment is {settled.status}.")

    @admin.action(description="Withdraw the chosen words: they never count")
    def withdraw(self, request: HttpRequest, queryset: QuerySet[OperatorWord]) -> None:
        """One's own; those of others, for who may agree with them."""
        actor, may_all = actor_of(request), self.has_approve_permission(request)
        for word in queryset.order_by("pk"):
            if not (may_all or word.spoken_by == actor):
                message = "It is another person's: you may withdraw what you have said yourself."
                messages.error(request, f"{word.public_id}: {message} Nothing was changed.")
                continue
            try:
                words.withdraw(word, actor=actor)
            except Declined as refusal:
                messages.error(request, f"{word.public_id}: {refusal}")
            else:
                messages.success(request, f"{word.public_id} is withdrawn, and never counts.")
