"""What belongs to the installation as a whole: its identity, tokens, counters, audit trail."""

from __future__ import annotations

from uuid import uuid4

from django.db import models

from .fields import EncryptedField
from .ids import Identified, uuid7
from .merchants import Merchant
from .payments import UNCONSTRAINED
from .stamps import StampField


class Installation(models.Model):
    """The one row that says which installation this database belongs to."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    uuid = models.UUIDField(default=uuid4, editable=False)
    public_url = models.CharField(max_length=255)
    adopted_at = StampField(auto_now=True)
    audit_end = models.CharField(
        max_length=96,
        blank=True,
        default="",
        db_default="",  # the previous release makes this row without it
        editable=False,
        help_text="Number and MAC of the audit trail's last entry.",
    )

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_installation_per_database")
        ]

    def __str__(self) -> str:
        return self.public_url


class OAuthToken(models.Model):
    """Daraja's token for one consumer key and secret, shared by all processes."""

    key = models.CharField(max_length=64, primary_key=True)
    token = EncryptedField(null=True)
    expires_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name = "OAuth token"

    def __str__(self) -> str:
        return self.key[:8]


class Counter(models.Model):
    """How often something happened in a window of time. One row per scope and window."""

    scope = models.CharField(max_length=96)
    window = models.DateTimeField(db_index=True)
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scope", "window"], name="one_counter_per_window")
        ]

    def __str__(self) -> str:
        return f"{self.scope}: {self.count}"


class CheckRun(models.Model):
    """One look at the books by `flows.check`: how far it came, and what it found."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    kind = models.CharField(max_length=16, help_text="all, recent or nightly; or reread: callbacks")
    version = models.CharField(max_length=32, help_text="Of Milango.")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it was cut off.")
    mark = models.CharField(
        max_length=64, blank=True, help_text="Table and key: all before it was looked at."
    )
    payments = models.PositiveBigIntegerField(default=0, help_text="How many were looked at.")
    wrong = models.PositiveBigIntegerField(default=0)
    findings = models.JSONField(default=dict, help_text="By invariant: how many, and examples.")

    class Meta:
        indexes = [models.Index(fields=["kind", "-id"], name="check_runs_by_kind")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.wrong} wrong"


class AuditEntry(Identified):
    """Who changed what. Append only; each entry's MAC covers the one before it."""

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, null=True, blank=True, related_name="+", **UNCONSTRAINED
    )
    number = models.PositiveBigIntegerField(unique=True)
    actor = models.CharField(max_length=80)
    action = models.CharField(max_length=48)
    subject = models.CharField(max_length=80)
    detail = models.JSONField(default=dict)
    at = models.DateTimeField()
    mac = models.CharField(max_length=64)

    class Meta:
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.subject}"


class AuditKey(models.Model):
    """What verifies audit entries under a key that may be gone: sealed like every secret."""

    kid = models.CharField(max_length=2, primary_key=True)
    key = EncryptedField()

    def __str__(self) -> str:
        return self.kid


class Heartbeat(models.Model):
    """A process that does background work, and when it last said so."""

    name = models.CharField(max_length=48, primary_key=True)
    host = models.CharField(max_length=16, help_text="A hash of the machine's name.")
    started_at = models.DateTimeField()
    at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.name
