"""What others said, as they said it: stored callbacks, receipts, and doubts for a person."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .ids import Identified
from .merchants import Merchant, MpesaCredential
from .payments import UNCONSTRAINED, Payment
from .stamps import StampField


class InboundCallback(Identified):
    """The stored original of something that was posted to us."""

    kind = models.CharField(max_length=16, default="stk")
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="callbacks",
        db_index=False,
        **UNCONSTRAINED,
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, null=True, blank=True, related_name="+", **UNCONSTRAINED
    )
    body = models.BinaryField(null=True, help_text="NULL once its 90 days are over.")
    body_sha256 = models.CharField(max_length=64)
    headers = models.JSONField(default=dict)
    peer = models.CharField(max_length=45, blank=True)
    verdict = models.CharField(max_length=48)
    repeats = models.PositiveIntegerField(default=0)
    received_at = models.DateTimeField(db_index=True)
    receipt = models.CharField(  # noqa: DJ001 - NULL keeps most rows out of its index
        max_length=32,
        null=True,
        blank=True,
        help_text="Of a C2B confirmation that was believed: it leads to the payment.",
    )
    # Of what could not be processed
    named_id = models.UUIDField(
        null=True, blank=True, editable=False, help_text="What its address was made for."
    )
    token_hash = models.CharField(max_length=64, blank=True, db_default="", editable=False)
    replay_at = models.DateTimeField(
        null=True, blank=True, help_text="When it is read and settled again; empty: never."
    )
    replays = models.PositiveSmallIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["payment", "body_sha256"],
                condition=Q(payment__isnull=False),
                name="one_row_per_callback_body",
            ),
            models.UniqueConstraint(
                fields=["body_sha256"],
                condition=Q(payment__isnull=True),
                name="one_row_per_orphan_body",
            ),
        ]
        indexes = [
            models.Index(
                fields=["replay_at"],
                condition=Q(replay_at__isnull=False),
                name="callbacks_to_replay",
            ),
            models.Index(
                fields=["receipt"],
                condition=Q(receipt__isnull=False),
                name="callbacks_by_receipt",
            ),
        ]

    def __str__(self) -> str:
        return self.verdict


class Receipt(models.Model):
    """M-Pesa's transaction code: one receipt settles one payment."""

    environment = models.CharField(max_length=10)
    short_code = models.CharField(max_length=7, help_text="The number that received the money.")
    code = models.CharField(max_length=32)
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="receipts",
        db_index=False,
        **UNCONSTRAINED,
    )
    source = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=14, decimal_places=2, null=True)
    # Of money whose payment is not known yet
    credential = models.ForeignKey(
        MpesaCredential,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        **UNCONSTRAINED,
    )
    phone = models.CharField(
        max_length=64, blank=True, db_default="", help_text="As written: whole, masked or hashed."
    )
    reference = models.CharField(max_length=64, blank=True, db_default="")
    paid_at = models.DateTimeField(null=True, blank=True, help_text="UTC")
    created_at = StampField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["code", "short_code", "environment"], name="one_payment_per_receipt"
            )
        ]
        indexes = [
            models.Index(
                fields=["credential", "created_at"],
                condition=Q(payment__isnull=True),
                name="receipts_unmatched",
            )
        ]

    def __str__(self) -> str:
        return self.code


class Reversal(Identified):
    """Money that went back, as a source told it; its payment, once that is known."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+", **UNCONSTRAINED)
    credential = models.ForeignKey(
        MpesaCredential, models.PROTECT, related_name="+", db_index=False, **UNCONSTRAINED
    )
    code = models.CharField(
        max_length=32, help_text="The receipt of the reversal itself, or of what went back."
    )
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="reversals",
        **UNCONSTRAINED,
    )
    source = models.CharField(max_length=20)
    amount = models.DecimalField(max_digits=14, decimal_places=2, help_text="KES")
    phone = models.CharField(
        max_length=64, blank=True, help_text="As written: whole, masked or hashed."
    )
    reference = models.CharField(max_length=64, blank=True)
    reversed_at = models.DateTimeField(help_text="UTC")
    asked_at = models.DateTimeField(
        null=True, blank=True, help_text="When Transaction Status was asked whether it is so."
    )
    created_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["credential", "code"], name="one_row_per_reversal")
        ]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(payment__isnull=True),
                name="reversals_unmatched",
            ),
            models.Index(
                fields=["created_at"], condition=Q(asked_at__isnull=True), name="reversals_unasked"
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Doubt(Identified):
    """A contradiction, or money that somebody has to look after: a row with an owner and an age."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+", **UNCONSTRAINED)
    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="open_doubts", db_index=False, **UNCONSTRAINED
    )
    kind = models.CharField(max_length=32)
    amount = models.DecimalField(max_digits=14, decimal_places=2, help_text="KES at stake")
    owner = models.CharField(max_length=80, help_text="Who has to resolve it.")
    raised_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "kind"], name="one_doubt_of_a_kind")
        ]
        indexes = [
            models.Index(
                fields=["raised_at"], condition=Q(resolved_at__isnull=True), name="doubts_open"
            )
        ]

    def __str__(self) -> str:
        return self.kind


class OperatorWord(Identified):
    """What a person says about a payment, and why; above a limit a second one has to agree."""

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+", **UNCONSTRAINED)
    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="operator_words", **UNCONSTRAINED
    )
    outcome = models.CharField(max_length=10, help_text="paid, failed, reversed or voided")
    receipt = models.CharField(max_length=32, blank=True)
    reason = models.CharField(max_length=255)
    amount = models.DecimalField(max_digits=14, decimal_places=2)
    spoken_by = models.CharField(max_length=80)
    spoken_at = models.DateTimeField()
    approved_by = models.CharField(max_length=80, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.CharField(max_length=80, blank=True, db_default="")
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(applied_at__isnull=True) | Q(withdrawn_at__isnull=True),
                name="a_withdrawn_word_never_counts",
            )
        ]
        indexes = [
            models.Index(fields=["spoken_by", "spoken_at"], name="words_of_an_operator"),
        ]

    def __str__(self) -> str:
        return f"{self.outcome} by {self.spoken_by}"
