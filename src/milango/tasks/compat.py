"""Django's Tasks API, from wherever this Django has it: its own from 6 on, the backport before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django import VERSION

if TYPE_CHECKING or VERSION < (6,):
    from django_tasks import TaskResultStatus, task, task_backends
    from django_tasks.backends.base import BaseTaskBackend
    from django_tasks.base import Task, TaskResult
    from django_tasks.utils import normalize_json
else:
    from django.tasks import TaskResultStatus, task, task_backends
    from django.tasks.backends.base import BaseTaskBackend
    from django.tasks.base import Task, TaskResult
    from django.utils.json import normalize_json


__all__ = [
    "BaseTaskBackend",
    "Task",
    "TaskResult",
    "TaskResultStatus",
    "normalize_json",
    "task",
    "task_backends",
]
