"""Webhooks that merchants subscribe to, and what is due to be sent to them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import EncryptedField
from .ids import Identified
from .merchants import Merchant
from .payments import UNCONSTRAINED, Payment
from .stamps import StampField


class WebhookEndpoint(Identified):
    """An address of the merchant's that wants to be told."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="webhook_endpoints")
    url = models.URLField(max_length=500)
    event_types = models.JSONField(default=list, blank=True, help_text="Empty: all of them.")
    secret = EncryptedField()
    old_secret = EncryptedField(null=True, blank=True)
    old_secret_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then the secret before signs too."
    )
    ed25519_key = EncryptedField(
        null=True, blank=True, help_text="Signs as v1a besides the secret, where there is one."
    )
    payload_version = models.PositiveSmallIntegerField(default=1, db_default=1)
    full_phone = models.BooleanField(
        default=False,
        db_default=False,
        help_text="Send the payer's whole number, not a masked one.",
    )
    active = models.BooleanField(default=True)
    failing_since = models.DateTimeField(null=True, blank=True, help_text="Nothing taken since.")
    disabled_at = models.DateTimeField(null=True, blank=True)
    disabled_reason = models.CharField(max_length=16, blank=True, default="", db_default="")
    session_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="`milango listen` tells this one itself, as long as it lives.",
    )
    created_at = StampField(auto_now_add=True)

    def __str__(self) -> str:
        return self.url

    def wants(self, event_type: str) -> bool:
        """Whether this endpoint subscribed to the event type."""
        return not self.event_types or event_type in self.event_types


class WebhookDelivery(Identified):
    """One event that is due at one endpoint. Written with what it tells of."""

    class State(models.TextChoices):
        """How far it got."""

        DUE = "due", "Due"
        DELIVERED = "delivered", "Delivered"
        GIVEN_UP = "given_up", "Given up"

    endpoint = models.ForeignKey(
        WebhookEndpoint,
        models.CASCADE,
        related_name="deliveries",
        db_index=False,
        **UNCONSTRAINED,
    )
    merchant = models.ForeignKey(
        Merchant, models.CASCADE, related_name="+", db_index=False, **UNCONSTRAINED
    )
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="deliveries",
        db_index=False,
        **UNCONSTRAINED,
    )
    event_id = models.UUIDField()
    event_type = models.CharField(max_length=32)
    state = models.CharField(max_length=9, choices=State.choices, default=State.DUE)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="While an attempt is under way: when it counts as lost.",
    )
    created_at = StampField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="one_delivery_per_event")
        ]
        indexes = [
            # By endpoint first: one with a million of them due costs the others nothing.
            models.Index(
                fields=["endpoint", "next_attempt_at"],
                condition=Q(state="due"),
                name="deliveries_due_by_endpoint",
            ),
            # The few that need somebody, among the many that are well.
            models.Index(
                fields=["endpoint", "event_id"],
                condition=Q(state="given_up"),
                name="deliveries_given_up",
            ),
        ]

    def __str__(self) -> str:
        return self.event_type


class WebhookAttempt(Identified):
    """One try to deliver, and what came of it. Kept as long as raw bodies are."""

    delivery = models.ForeignKey(
        WebhookDelivery, models.CASCADE, related_name="log", **UNCONSTRAINED
    )
    merchant = models.ForeignKey(
        Merchant, models.CASCADE, related_name="+", db_index=False, **UNCONSTRAINED
    )
    status = models.PositiveSmallIntegerField(null=True, help_text="HTTP; empty: no answer.")
    ms = models.PositiveIntegerField(help_text="Milliseconds until the answer.")
    answer = models.TextField(blank=True, help_text="Its first 4 KB, as text.")
    error = models.CharField(max_length=200, blank=True)
    at = models.DateTimeField()

    class Meta:
        verbose_name = "webhook attempt"

    def __str__(self) -> str:
        return str(self.status or self.error)
