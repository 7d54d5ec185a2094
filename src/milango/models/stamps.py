"""When a row was made or changed last, by the clock that all machines share."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.db import models

from . import clock

if TYPE_CHECKING:
    _DateTimeField = models.DateTimeField[Any, datetime]
else:
    _DateTimeField = models.DateTimeField


class StampField(_DateTimeField):
    """Django's `auto_now` and `auto_now_add` go by this machine's clock; here they do not."""

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        """The time now, where Django would stamp the row."""
        if self.auto_now or (self.auto_now_add and add):
            setattr(model_instance, self.attname, clock.now())
        return getattr(model_instance, self.attname)

    def deconstruct(self) -> Any:
        """For migrations it is Django's own field: the column is the same."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.DateTimeField", args, kwargs
