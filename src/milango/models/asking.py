"""What was asked of Daraja that answers later, and when it is asked next."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .ids import Identified
from .merchants import MpesaCredential
from .payments import UNCONSTRAINED, Payment


class StatusQuestion(Identified):
    """One question to Transaction Status. Written before it is asked; answered by a callback."""

    credential = models.ForeignKey(MpesaCredential, models.PROTECT, related_name="+")
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="status_questions",
        db_index=False,
        **UNCONSTRAINED,
    )
    receipt = models.CharField(max_length=32)
    why = models.CharField(max_length=16, help_text="claim, statement, reversal or operator")
    token_hash = models.CharField(max_length=64, editable=False)
    conversation_id = models.CharField(max_length=128, blank=True)
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    verdict = models.CharField(max_length=48, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["credential", "receipt"],
                condition=Q(answered_at__isnull=True),
                name="status_questions_open",
            )
        ]

    def __str__(self) -> str:
        return self.receipt


class CredentialState(models.Model):
    """What Milango remembers of its dealings with one short code, beside what people enter."""

    credential = models.OneToOneField(
        MpesaCredential, models.CASCADE, primary_key=True, related_name="state"
    )
    next_pull_at = models.DateTimeField(null=True, blank=True)
    pulled_until = models.DateTimeField(
        null=True, blank=True, help_text="Everything paid before this is known."
    )
    pull_problem = models.CharField(max_length=255, blank=True)
    initiator_refused_at = models.DateTimeField(null=True, blank=True)
    initiator_problem = models.CharField(max_length=255, blank=True)
    refused_version = models.PositiveIntegerField(
        default=0, help_text="The credential's version whose initiator was refused."
    )

    class Meta:
        indexes = [
            models.Index(
                fields=["next_pull_at"],
                condition=Q(next_pull_at__isnull=False),
                name="pulls_due",
            )
        ]

    def __str__(self) -> str:
        return str(self.credential_id)
