"""What becomes of a batch when it cannot be done as it is.

- The connection broke, or the server is away: nobody is answered as if it were stored.
- A deadlock or a serialization failure: the batch once more.
- Anything else, a mistake of ours included, is one item's fault: the batch is halved, each half in
  a transaction of its own, until the item is alone; what becomes of it then is the verb's to say.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Final, NamedTuple

from django.db import InterfaceError, OperationalError, connection, transaction

from milango.core.errors import Declined
from milango.seen import spans

from . import hours
from .problems import log_unexpected

logger = logging.getLogger(__name__)

Outcome = Any
"""What the verb gives for one item, or the exception that its caller is to see."""

CONFLICTS: Final = frozenset({"40001", "40P01"})
"""PostgreSQL's serialization failure and deadlock: somebody else was in the way, once."""

AWAY: Final = ("08", "25006", "40", "53", "55", "57", "58")
"""How the codes begin by which PostgreSQL says that it cannot serve now, whatever is asked: lost
connections, a standby that only reads, conflicts, no resources, locks, shutdown, its own errors."""


class Verb(NamedTuple):
    """Something that is done to many items in one transaction."""

    name: str
    do: Callable[[Sequence[Any]], list[Outcome]]
    """From items to outcomes, in the same order. Runs inside a transaction."""
    lane: Callable[[Any], Hashable]
    """Items of one lane belong together: they are done in the order in which they came."""
    alone: Callable[[Any, Exception], Outcome]
    """What becomes of an item that fails even alone; raises to let its caller see the error."""
    exclusive: bool = False
    """No two items of one lane in one batch."""


def run(verb: Verb, items: Sequence[Any]) -> list[Outcome]:
    """Do the verb, committed; one outcome for each item, in order. Never raises Exception."""
    try:
        with spans.span(f"write {verb.name}", items=len(items)):
            return _run(verb, items)
    except Exception as error:
        return [_shown(verb, error)] * len(items)


def _shown(verb: Verb, error: Exception) -> Exception:
    if not _is_away(error):
        return error
    logger.error("%s: the database is away: %s", verb.name, type(error).__name__)
    if not connection.in_atomic_block:
        connection.close()
    message = "The database cannot take this now. Nothing was stored."
    return Declined("database_unavailable", message, retry_after=5)


def _run(verb: Verb, items: Sequence[Any]) -> list[Outcome]:
    try:
        return _once_or_twice(verb, items)
    except Exception as error:
        if _is_away(error):
            raise
        return _parted(verb, items, error)


def _once_or_twice(verb: Verb, items: Sequence[Any]) -> list[Outcome]:
    try:
        return _once(verb, items)
    except OperationalError as error:
        if _code(error) not in CONFLICTS:
            raise
        return _once(verb, items)


def _once(verb: Verb, items: Sequence[Any]) -> list[Outcome]:
    hours.look()
    with transaction.atomic(durable=True):
        outcomes = verb.do(items)
        if len(outcomes) != len(items):
            raise AssertionError(f"{verb.name}: {len(outcomes)} outcomes of {len(items)} items")
    return outcomes


def _is_away(error: Exception) -> bool:
    """Whether the same would fail with anything else, and may go well later."""
    code = _code(error)
    return code.startswith(AWAY) if code else isinstance(error, OperationalError | InterfaceError)


def _code(error: Exception) -> str:
    """PostgreSQL's code for an error; empty where there is none, as on SQLite."""
    return getattr(error.__cause__, "sqlstate", None) or ""


# --- one of them is at fault ----------------------------------------------------------------


def _parted(verb: Verb, items: Sequence[Any], error: Exception) -> list[Outcome]:
    """By lanes while there are several, then one by one."""
    lanes = list(dict.fromkeys(map(verb.lane, items)))
    if len(lanes) > 1:
        return _halve(verb, items, frozenset(lanes[: len(lanes) // 2]))
    if len(items) > 1:
        return [outcome for item in items for outcome in run(verb, [item])]
    if isinstance(error, Declined):
        raise error
    log_unexpected(error)
    return [verb.alone(items[0], error)]


def _halve(verb: Verb, items: Sequence[Any], first: frozenset[Hashable]) -> list[Outcome]:
    """The lanes named and the others, each in a transaction; outcomes in the old order."""
    halves: tuple[list[Any], list[Any]] = ([], [])
    for item in items:
        halves[verb.lane(item) not in first].append(item)
    outcomes = [iter(run(verb, half)) for half in halves]
    return [next(outcomes[verb.lane(item) not in first]) for item in items]
