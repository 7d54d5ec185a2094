"""How errands are begun. Flows stand below the tasks: whoever assembles the app joins the two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

_begin: Final[list[Callable[[UUID], None]]] = []


def begun_by(begin: Callable[[UUID], None]) -> None:
    """Have errands begun by this, within the transaction that makes them."""
    _begin[:] = [begin]


def begin(errand_id: UUID) -> None:
    """Have a worker do the errand, once this transaction is committed."""
    for each in _begin:
        each(errand_id)
