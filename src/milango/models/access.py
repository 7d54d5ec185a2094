"""Wi-Fi time that payments bought."""

from __future__ import annotations

from django.db import models

from .ids import Identified
from .merchants import Customer, Merchant
from .payments import UNCONSTRAINED, Payment
from .stamps import StampField


class AccessGrant(Identified):
    """The time one payment bought. One payment makes one grant."""

    payment = models.OneToOneField(Payment, models.PROTECT, related_name="grant", **UNCONSTRAINED)
    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="grants", **UNCONSTRAINED)
    customer = models.ForeignKey(
        Customer,
        models.PROTECT,
        null=True,
        related_name="grants",
        db_index=False,
        **UNCONSTRAINED,
    )
    minutes = models.PositiveIntegerField()
    remainder = models.PositiveIntegerField(
        default=0, help_text="KES that bought no time under the merchant's tariff."
    )
    starts_at = models.DateTimeField(help_text="UTC")
    ends_at = models.DateTimeField(help_text="UTC")
    livemode = models.BooleanField(
        default=False, help_text="Only production payments open a real gateway."
    )
    revoked_at = models.DateTimeField(null=True, blank=True)
    created_at = StampField(auto_now_add=True)

    def __str__(self) -> str:
        return f"{self.minutes} min"
