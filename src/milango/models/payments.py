"""Payments, and everything that has been said about them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q

from milango.core.payments import Status

from .ids import Identified, new_checkout_id
from .merchants import Customer, Merchant, MpesaCredential
from .stamps import StampField

UNCONSTRAINED: dict[str, Any] = {"db_constraint": False}
"""Denormalised columns of busy tables: scoped by them, but not checked on every insert."""


class Payment(Identified):
    """One request for money. Only `flows.settle` writes what follows from evidence.

    What settling changes stands in no index and in no index's condition: PostgreSQL then writes a
    new version beside the old one and touches no index at all.
    """

    class Choices(models.TextChoices):
        """The statuses, as the database knows them."""

        PENDING = Status.PENDING.value
        SUCCESS = Status.SUCCESS.value
        FAILED = Status.FAILED.value
        REVERSED = Status.REVERSED.value
        VOIDED = Status.VOIDED.value

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="payments", db_index=False, **UNCONSTRAINED
    )
    credential = models.ForeignKey(
        MpesaCredential, models.PROTECT, related_name="payments", db_index=False
    )
    customer = models.ForeignKey(
        Customer,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="payments",
        db_index=False,
        **UNCONSTRAINED,
    )
    credential_version = models.PositiveIntegerField()
    environment = models.CharField(max_length=10)
    short_code = models.CharField(max_length=7)
    party_b = models.CharField(max_length=7, help_text="The number the money was asked for.")

    # What was asked
    amount = models.DecimalField(max_digits=14, decimal_places=2, help_text="KES asked")
    phone = models.CharField(max_length=12)
    account_reference = models.CharField(
        max_length=20, help_text="Asked: 12 characters. A payer may type 20."
    )
    description = models.CharField(max_length=13, blank=True)
    service_type = models.CharField(max_length=32, default="payment")
    order_id = models.CharField(max_length=64, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    idempotency_key = models.CharField(max_length=255, blank=True)
    requested_by = models.CharField(
        max_length=12, default="server", help_text="server, browser, or payer: paid unasked."
    )

    # What is known
    status = models.CharField(max_length=8, choices=Choices.choices, default=Status.PENDING.value)
    reason = models.CharField(max_length=32, blank=True)
    confirming = models.BooleanField(
        default=False, help_text="Said to be paid, not proven yet: the payer must not pay again."
    )
    late = models.BooleanField(default=False, help_text="It succeeded after it had failed.")
    duplicate_of = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="duplicates",
        db_index=False,
        **UNCONSTRAINED,
    )
    standing = models.TextField(blank=True, editable=False, help_text="All facts, as one set.")
    amount_paid = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    receipt_number = models.CharField(max_length=32, blank=True)
    transaction_date = models.DateTimeField(null=True, blank=True, help_text="UTC")
    result_code = models.CharField(max_length=32, blank=True)
    result_text = models.CharField(max_length=255, blank=True)
    access_duration_minutes = models.PositiveIntegerField(null=True, blank=True)
    start_time = models.DateTimeField(null=True, blank=True, help_text="UTC")

    # Names on the wire
    checkout_id = models.CharField(max_length=40, default=new_checkout_id)
    checkout_request_id = models.CharField(max_length=128, null=True, blank=True)  # noqa: DJ001 - NULL keeps the unbound apart under the unique constraint
    merchant_request_id = models.CharField(max_length=128, blank=True)
    callback_token_hash = models.CharField(max_length=64, editable=False)

    # Its life
    created_at = models.DateTimeField()
    sending_at = models.DateTimeField(
        null=True, blank=True, help_text="Just before the request went out."
    )
    prompt_until = models.DateTimeField()
    settled_at = models.DateTimeField(null=True, blank=True)
    updated_at = StampField(auto_now=True)
    next_check_at = models.DateTimeField(null=True, blank=True)
    checks = models.PositiveSmallIntegerField(default=0)
    event_count = models.PositiveIntegerField(default=0, editable=False)
    bodies = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="Callbacks taken from unlisted addresses."
    )

    class Meta:
        constraints = [
            # A constraint, because unique=True brings a second index for LIKE.
            models.UniqueConstraint(fields=["checkout_id"], name="one_payment_per_checkout_id"),
            models.UniqueConstraint(
                fields=["checkout_request_id", "credential"],
                name="one_payment_per_checkout_request_id",
            ),
            models.CheckConstraint(
                condition=Q(status__in=[status.value for status in Status]),
                name="payment_status_is_known",
            ),
            models.CheckConstraint(
                condition=Q(amount__gt=Decimal(0)), name="payment_amount_is_positive"
            ),
        ]
        indexes = [
            models.Index(fields=["merchant", "-id"], name="payment_pages"),
            models.Index(fields=["merchant", "phone", "-id"], name="payment_by_phone"),
            models.Index(
                fields=["merchant", "order_id"],
                condition=~Q(order_id=""),
                name="payment_by_order",
            ),
            models.Index(
                fields=["credential", "next_check_at"],
                condition=Q(next_check_at__isnull=False),
                name="payment_checks_due_by_code",
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def livemode(self) -> bool:
        """Real money: production only."""
        return self.environment == MpesaCredential.Environment.PRODUCTION

    @property
    def prompt_open(self) -> bool:
        """Whether the payer's phone is taken by this payment. One query."""
        return OpenPrompt.objects.filter(pk=self.pk, phone__isnull=False).exists()


class OpenPrompt(models.Model):
    """A prompt that nobody has settled yet, and the phone that is busy with it.

    One for each phone and credential. A row of its own, so that closing a prompt changes no index
    of the payments, and so that payments without an answer, and those that were never sent, are
    found among few rows.
    """

    payment = models.OneToOneField(
        Payment, models.CASCADE, primary_key=True, related_name="+", **UNCONSTRAINED
    )
    credential = models.ForeignKey(
        MpesaCredential, models.CASCADE, related_name="+", db_index=False, **UNCONSTRAINED
    )
    phone = models.CharField(  # noqa: DJ001 - NULL keeps those apart that hold no phone any more
        max_length=12, null=True, help_text="NULL: another prompt has taken the phone."
    )
    until = models.DateTimeField(help_text="When the prompt's life is over.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["credential", "phone"], name="one_open_prompt_per_phone"
            )
        ]

    def __str__(self) -> str:
        return self.payment_id.hex


class PaymentEvent(Identified):
    """One thing that happened to a payment. Append only."""

    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="events", db_index=False, **UNCONSTRAINED
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="+", db_index=False, **UNCONSTRAINED
    )
    seq = models.PositiveIntegerField(help_text="Counts from 1 within the payment.")
    type = models.CharField(max_length=32)
    at = models.DateTimeField()
    data = models.JSONField(default=dict)
    told = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text="Endpoints that were subscribed when it happened."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "seq"], name="one_event_per_number")
        ]

    def __str__(self) -> str:
        return self.type


class SettledOrder(models.Model):
    """Which payment settled an order: the first success takes it, a second is a duplicate."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+", **UNCONSTRAINED)
    order_id = models.CharField(max_length=64)
    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="+", db_index=False, **UNCONSTRAINED
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "order_id"], name="one_payment_settles_an_order"
            )
        ]

    def __str__(self) -> str:
        return self.order_id


class IdempotencyKey(models.Model):
    """What a caller's `Idempotency-Key` stood for. Kept 48 hours."""

    merchant = models.ForeignKey(
        Merchant, models.CASCADE, related_name="+", db_index=False, **UNCONSTRAINED
    )
    mode = models.CharField(max_length=4, help_text="live or test")
    key_kind = models.CharField(max_length=11)
    route = models.CharField(max_length=32)
    key = models.CharField(max_length=255)
    body_hash = models.CharField(max_length=64)
    payment = models.ForeignKey(
        Payment, models.CASCADE, null=True, related_name="+", db_index=False, **UNCONSTRAINED
    )
    made = models.UUIDField(null=True, help_text="What it stands for, where that is no payment.")
    replayed = models.BooleanField(default=False)
    created_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "mode", "key_kind", "route", "key"],
                name="one_request_per_idempotency_key",
            )
        ]

    def __str__(self) -> str:
        return self.key
