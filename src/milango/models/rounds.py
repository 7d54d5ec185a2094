"""What is done once in a while, whatever the number of workers."""

from __future__ import annotations

from django.db import models


class ClockRound(models.Model):
    """When a task of the clock is enqueued next. Whoever moves `due_at` on enqueues it."""

    name = models.CharField(max_length=32, primary_key=True)
    due_at = models.DateTimeField()
    begun_at = models.DateTimeField(null=True, blank=True)
    times = models.PositiveBigIntegerField(default=0)

    def __str__(self) -> str:
        return self.name
