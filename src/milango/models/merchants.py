"""Merchants, their short codes with Daraja credentials, their API keys, and who pays them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from milango.core.errors import InvalidRequest
from milango.core.tariffs import Tariff

from .fields import EncryptedField
from .ids import Identified
from .stamps import StampField


class Merchant(Identified):
    """The tenant: owns credentials, payments, tariffs, keys and webhook endpoints."""

    name = models.CharField(max_length=80, unique=True)
    tariff = models.JSONField(
        null=True, blank=True, help_text="Wi-Fi tariff; empty: 50 KES buy 120 minutes."
    )
    active = models.BooleanField(default=True)
    created_at = StampField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Refuse a tariff that could not be sold by (ValidationError)."""
        try:
            if self.tariff:
                Tariff.from_json(self.tariff)
        except InvalidRequest as error:
            raise ValidationError({"tariff": str(error)}) from None

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A wrong tariff never reaches the database, whatever door it comes through."""
        self.clean()
        super().save(*args, **kwargs)


class MerchantOrigin(models.Model):
    """A web origin whose pages may use the merchant's publishable keys (CORS)."""

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="origins")
    origin = models.CharField(
        max_length=255, help_text="Exactly as browsers send it, e.g. https://shop.example"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "origin"], name="one_origin_per_merchant")
        ]
        indexes = [models.Index(fields=["origin"], name="origin_lookup")]

    def __str__(self) -> str:
        return self.origin


class Membership(models.Model):
    """A person who may look after a merchant in the admin."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="milango_memberships"
    )
    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="memberships")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "merchant"], name="one_membership_per_user_and_merchant"
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} at {self.merchant}"


class MpesaCredential(Identified):
    """One short code of a merchant, with what Daraja gave for it.

    A till's passkey belongs to its store number (or head office), not to the till itself:
    `business_short_code` signs, `party_b` receives.
    """

    class Kind(models.TextChoices):
        """What the payer sees: a paybill with an account number, or a till."""

        PAYBILL = "paybill", "Paybill"
        TILL = "till", "Till (Buy Goods)"

    class Environment(models.TextChoices):
        """Which Daraja is asked. Only production moves real money for good."""

        SANDBOX = "sandbox", "Sandbox"
        PRODUCTION = "production", "Production"
        SIMULATOR = "simulator", "Simulator"

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="credentials")
    short_code = models.CharField(max_length=7, help_text="The paybill or till number payers know.")
    kind = models.CharField(max_length=8, choices=Kind.choices, default=Kind.PAYBILL)
    store_number = models.CharField(
        max_length=7, blank=True, help_text="Tills only: the store or head-office number."
    )
    environment = models.CharField(
        max_length=10, choices=Environment.choices, default=Environment.SANDBOX
    )
    consumer_key = EncryptedField()
    consumer_secret = EncryptedField()
    passkey = EncryptedField()
    initiator_name = models.CharField(
        max_length=64, blank=True, help_text="API operator for Transaction Status; empty: none."
    )
    initiator_password = EncryptedField(null=True, blank=True)
    initiator_certificate = models.TextField(
        blank=True, help_text="Daraja's certificate (PEM) that the password is encrypted with."
    )
    pull = models.BooleanField(
        default=False, help_text="Pull Transactions is on for this short code: ask hourly."
    )
    active = models.BooleanField(default=True)
    checked_references = models.BooleanField(
        default=False,
        help_text="Payers type account numbers with check digits; others are refused or flagged.",
    )
    confirm_above = models.DecimalField(
        max_digits=14,
        decimal_places=2,
        null=True,
        blank=True,
        help_text="KES. Above it even Safaricom's callback is confirmed by a query.",
    )
    version = models.PositiveIntegerField(default=1, editable=False)
    created_at = StampField(auto_now_add=True)
    updated_at = StampField(auto_now=True)

    class Meta:
        verbose_name = "M-Pesa credential"
        constraints = [
            models.UniqueConstraint(
                fields=["merchant", "environment", "short_code"],
                name="one_short_code_per_environment",
            ),
            models.UniqueConstraint(
                fields=["short_code"],
                condition=Q(environment="production"),
                name="one_owner_of_a_live_short_code",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.short_code} ({self.environment})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Every change makes a new version; payments remember theirs."""
        if not self._state.adding:
            self.version += 1
            if kwargs.get("update_fields") is not None:
                kwargs["update_fields"] = {*kwargs["update_fields"], "version", "updated_at"}
        super().save(*args, **kwargs)

    @property
    def livemode(self) -> bool:
        """Real money: production only."""
        return self.environment == self.Environment.PRODUCTION

    @property
    def business_short_code(self) -> str:
        """The number that owns the passkey."""
        return self.store_number if self.kind == self.Kind.TILL else self.short_code

    @property
    def party_b(self) -> str:
        """The number that receives the money."""
        return self.short_code

    @property
    def numbers(self) -> frozenset[str]:
        """Every number by which M-Pesa may name it."""
        return frozenset({self.short_code, self.business_short_code} - {""})

    @property
    def can_ask_by_receipt(self) -> bool:
        """Transaction Status can be asked."""
        return bool(self.initiator_name and self.initiator_certificate and self.active)

    def limit_of_claims(self, default: Decimal) -> Decimal:
        """Up to this many KES a listed peer's callback proves."""
        return default if self.confirm_above is None else self.confirm_above


class Customer(Identified):
    """A payer, known by phone number within one merchant."""

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="customers", db_index=False, db_constraint=False
    )
    phone = models.CharField(max_length=12, help_text="2547XXXXXXXX or 2541XXXXXXXX")
    created_at = StampField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["merchant", "phone"], name="one_customer_per_phone")
        ]

    def __str__(self) -> str:
        from milango.core.phones import mask

        return mask(self.phone)


class ApiKey(Identified):
    """A key of our own API. Only its hash is kept."""

    class Kind(models.TextChoices):
        """Where a key may live: on the merchant's server, or in a page anybody can read."""

        SECRET = "secret", "Secret (sk_)"
        PUBLISHABLE = "publishable", "Publishable (pk_)"

    class Scope(models.TextChoices):
        """What a secret key may do."""

        READ = "read", "Read payments"
        CHARGE = "charge", "Send prompts"
        MANAGE = "manage", "Manage credentials, keys and endpoints"

    merchant = models.ForeignKey(Merchant, models.CASCADE, related_name="api_keys")
    kind = models.CharField(max_length=11, choices=Kind.choices)
    name = models.CharField(max_length=80, blank=True)
    hash = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(max_length=12, editable=False, help_text="Its first characters.")
    scopes = models.JSONField(default=list)
    open_amount = models.BooleanField(
        default=False, help_text="Publishable keys: may the page choose amount and reference?"
    )
    created_at = StampField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.hint}…"
