"""Takes deliveries that are due, so many of each endpoint; no two workers take the same one.

Taking one moves its due time on and counts the attempt: a worker that dies has cost one attempt,
and the row is due again when its lease is over.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from milango.core.webhooks import Window

from . import hours

LEASE: Final = timedelta(seconds=60)
"""An attempt that has said nothing for this long is lost."""


class Taken(NamedTuple):
    """A delivery that is ours for as long as its lease."""

    id: UUID
    endpoint_id: UUID
    merchant_id: UUID
    payment_id: UUID | None
    event_id: UUID
    event_type: str
    attempts: int
    """Counting this one."""
    created_at: datetime


COLUMNS: Final = ", ".join(f"d.{name}" for name in Taken._fields)
DEFAULT_ROOM: Final = Window().most


def take(rooms: Mapping[UUID, int], most: int, *, session: UUID | None = None) -> list[Taken]:
    """At most so many due deliveries in all, and so many of each endpoint (others: a few).

    `session`: of this endpoint alone, which no worker tells. Call it in a transaction.
    """
    if most <= 0:
        return []
    verb = _take_postgres if connection.vendor == "postgresql" else _take_sqlite
    return verb(rooms, most, session)


WAITING: Final = """
WITH RECURSIVE waiting AS (
    SELECT (SELECT endpoint_id FROM milango_webhookdelivery WHERE state = 'due'
            ORDER BY endpoint_id LIMIT 1) AS endpoint_id
    UNION ALL
    SELECT (SELECT next.endpoint_id FROM milango_webhookdelivery next
            WHERE next.state = 'due' AND next.endpoint_id > waiting.endpoint_id
            ORDER BY next.endpoint_id LIMIT 1)
    FROM waiting WHERE waiting.endpoint_id IS NOT NULL
)"""
"""Every endpoint with anything due, now or later: one step in the index for each."""

# --- PostgreSQL -----------------------------------------------------------------------------

TAKE_POSTGRES: Final = f"""{WAITING}, room AS (
    SELECT e.id, coalesce(known.room, %s) AS room
    FROM waiting JOIN milango_webhookendpoint e ON e.id = waiting.endpoint_id
    LEFT JOIN unnest(%s::uuid[], %s::int[]) AS known(id, room) ON known.id = e.id
    WHERE e.active AND CASE WHEN %s::uuid IS NULL THEN e.session_until IS NULL
                            ELSE e.id = %s::uuid END
    ORDER BY random()
), mine AS (
    SELECT due.id FROM room CROSS JOIN LATERAL (
        SELECT id FROM milango_webhookdelivery
        WHERE endpoint_id = room.id AND state = 'due' AND next_attempt_at <= statement_timestamp()
        ORDER BY next_attempt_at LIMIT room.room FOR UPDATE SKIP LOCKED
    ) due LIMIT %s
)
UPDATE milango_webhookdelivery d
SET attempts = d.attempts + 1,
    next_attempt_at = statement_timestamp() + make_interval(secs => %s)
FROM mine WHERE d.id = mine.id RETURNING {COLUMNS}
"""  # noqa: S608 - put together from our own columns; values are parameters


def _take_postgres(rooms: Mapping[UUID, int], most: int, session: UUID | None) -> list[Taken]:
    ids, numbers = list(rooms), list(rooms.values())
    with connection.cursor() as cursor:
        cursor.execute(
            TAKE_POSTGRES,
            [DEFAULT_ROOM, ids, numbers, session, session, most, LEASE.total_seconds()],
        )
        return [Taken(*row) for row in cursor.fetchall()]


# --- SQLite ---------------------------------------------------------------------------------

ENDPOINTS_SQLITE: Final = f"""{WAITING}
SELECT e.id FROM waiting JOIN milango_webhookendpoint e ON e.id = waiting.endpoint_id
WHERE e.active AND CASE WHEN %s IS NULL THEN e.session_until IS NULL ELSE e.id = %s END
ORDER BY random()
"""  # noqa: S608 - as above
DUE_SQLITE: Final = """
SELECT id FROM milango_webhookdelivery
WHERE endpoint_id = %s AND state = 'due' AND next_attempt_at <= %s
ORDER BY next_attempt_at LIMIT %s
"""
TAKE_SQLITE: Final = f"""
UPDATE milango_webhookdelivery AS d SET attempts = attempts + 1, next_attempt_at = %s
WHERE id IN (SELECT value FROM json_each(%s)) AND state = 'due' AND next_attempt_at <= %s
RETURNING {", ".join(Taken._fields)}
"""  # noqa: S608 - as above


def _take_sqlite(rooms: Mapping[UUID, int], most: int, session: UUID | None) -> list[Taken]:
    now = hours.now()
    found = _due_sqlite(rooms, most, session, now)
    if not found:
        return []  # nothing is written, so nobody had to wait for us
    adapt = connection.ops.adapt_datetimefield_value
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(TAKE_SQLITE, [adapt(now + LEASE), json.dumps(found), adapt(now)])
        return [_taken_sqlite(row) for row in cursor.fetchall()]


def _due_sqlite(
    rooms: Mapping[UUID, int], most: int, session: UUID | None, now: datetime
) -> list[str]:
    only = session.hex if session else None
    found: list[str] = []
    with connection.cursor() as cursor:
        cursor.execute(ENDPOINTS_SQLITE, [only, only])
        for (endpoint,) in cursor.fetchall():
            room = min(rooms.get(UUID(hex=endpoint), DEFAULT_ROOM), most - len(found))
            at = connection.ops.adapt_datetimefield_value(now)
            cursor.execute(DUE_SQLITE, [endpoint, at, max(room, 0)])
            found += [row for (row,) in cursor.fetchall()]
    return found


def _taken_sqlite(row: tuple[Any, ...]) -> Taken:
    """SQLite keeps ids as hex digits and times without a zone."""
    *ids, event_type, attempts, created = row
    if isinstance(created, str):
        created = datetime.fromisoformat(created)
    found: list[Any] = [UUID(hex=each) if each else None for each in ids]
    return Taken._make([*found, event_type, attempts, created.replace(tzinfo=UTC)])
