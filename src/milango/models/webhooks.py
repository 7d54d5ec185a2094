"""Webhooks that merchants subscribe to, and what is due to be sent to them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .fields import EncryptedField
from .ids import Identified
from .merchants import Merchant
from .payments import UNCONSTRAINED, Payment


class WebhookEndpoint(Identified):
    """An address of the merchant's that wants to be told."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="webhook_endpoints")
    url = models.URLField(max_length=500)
    event_types = models.JSONField(default=list, blank=True, help_text="Empty: all of them.")
    secret = EncryptedField()
    active = models.BooleanField(default=True)
    created_at = models.DateTimeField(auto_now_add=True)

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
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        verbose_name_plural = "webhook deliveries"
        constraints = [
            models.UniqueConstraint(fields=["endpoint", "event_id"], name="one_delivery_per_event")
        ]
        indexes = [
            models.Index(
                fields=["next_attempt_at"], condition=Q(state="due"), name="deliveries_due"
            )
        ]

    def __str__(self) -> str:
        return self.event_type
