"""Statements of the organisation portal that somebody imported, and their lines."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .ids import Identified
from .merchants import Merchant, MpesaCredential
from .payments import UNCONSTRAINED


class StatementImport(Identified):
    """One file, once: the same bytes again are the same import.

    One that did not add up, or says otherwise than an earlier one, waits for a person: somebody
    may have edited it.
    """

    merchant = models.ForeignKey(Merchant, models.PROTECT, related_name="+", **UNCONSTRAINED)
    credential = models.ForeignKey(MpesaCredential, models.PROTECT, related_name="statements")
    sha256 = models.CharField(max_length=64)
    uploader = models.CharField(max_length=80)
    short_code = models.CharField(
        max_length=7, blank=True, help_text="As the file itself says; empty: it does not."
    )
    organisation = models.CharField(max_length=120, blank=True)
    since = models.DateTimeField(null=True, help_text="UTC")
    until = models.DateTimeField(null=True, help_text="UTC")
    lines = models.PositiveIntegerField(default=0)
    payments = models.PositiveIntegerField(default=0)
    counts = models.JSONField(default=dict, help_text="What the comparison found, last time.")
    problem = models.CharField(max_length=32, blank=True, help_text="Why it proves nothing.")
    problem_row = models.PositiveIntegerField(default=0)
    imported_at = models.DateTimeField()
    owner = models.CharField(max_length=80, blank=True, help_text="Who has to look into it.")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=255, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["credential", "sha256"], name="one_import_per_statement_file"
            )
        ]
        indexes = [
            models.Index(
                fields=["imported_at"],
                condition=~Q(owner="") & Q(resolved_at__isnull=True),
                name="statements_flagged",
            )
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def is_flagged(self) -> bool:
        """It waits for a person."""
        return bool(self.owner) and self.resolved_at is None


class StatementLine(models.Model):
    """What a statement that adds up said about one receipt. A later file cannot change it.

    Kept by credential, and so by environment and short code: no merchant can hold another's
    receipt. Payers' names are not kept.
    """

    credential = models.ForeignKey(
        MpesaCredential, models.PROTECT, related_name="+", db_index=False, **UNCONSTRAINED
    )
    statement = models.ForeignKey(
        StatementImport, models.PROTECT, related_name="+", db_index=False, **UNCONSTRAINED
    )
    number = models.PositiveIntegerField(help_text="The row in the file.")
    code = models.CharField(max_length=32, help_text="The receipt.")
    amount = models.DecimalField(max_digits=14, decimal_places=2, help_text="KES paid in")
    paid_at = models.DateTimeField(help_text="UTC")
    phone = models.CharField(max_length=20, blank=True, help_text="As written: whole or masked.")
    account = models.CharField(max_length=64, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["code", "credential"], name="one_line_per_receipt")
        ]

    def __str__(self) -> str:
        return self.code
