"""What a person started and a worker does: an import, a replay."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from .ids import Identified
from .merchants import Merchant
from .payments import UNCONSTRAINED


class Errand(Identified):
    """One thing that somebody asked for, how far it is, and what came of it.

    Everything that is needed stands here, so that a task that is lost is only begun again.
    """

    class Kind(models.TextChoices):
        """What can be asked for."""

        STATEMENT = "statement", "compare a statement"
        CALLBACKS = "callbacks", "process callbacks again"
        WEBHOOKS = "webhooks", "deliver webhooks again"

    class State(models.TextChoices):
        """How far it is."""

        WAITING = "waiting"
        WORKING = "working"
        DONE = "done"
        REFUSED = "refused", "refused: it cannot be done"
        FAILED = "failed", "given up after several tries"

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, null=True, blank=True, related_name="+", **UNCONSTRAINED
    )
    kind = models.CharField(max_length=16, choices=Kind.choices)
    key = models.CharField(
        max_length=128, editable=False, help_text="The same kind and key are the same errand."
    )
    name = models.CharField(max_length=160, help_text="As people are shown it.")
    actor = models.CharField(max_length=80)
    params = models.JSONField(default=dict)
    content = models.BinaryField(null=True, help_text="A file. NULL once the errand has ended.")
    state = models.CharField(
        max_length=8, choices=State.choices, default=State.WAITING.value, editable=False
    )
    tries = models.PositiveSmallIntegerField(default=0)
    step = models.CharField(max_length=60, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True)
    result = models.JSONField(default=dict)
    refusal = models.CharField(max_length=500, blank=True)
    created_at = models.DateTimeField(help_text="UTC")
    touched_at = models.DateTimeField(help_text="Its last sign of life, UTC")
    ended_at = models.DateTimeField(null=True, help_text="UTC")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "key"], name="one_errand_per_kind_and_key")
        ]
        indexes = [
            models.Index(
                fields=["touched_at"],
                condition=Q(ended_at__isnull=True),
                name="errands_under_way",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def has_ended(self) -> bool:
        """Nothing more will happen, unless somebody asks again."""
        return self.ended_at is not None
