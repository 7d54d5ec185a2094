"""What a person starts and a worker does: `start` → a task → `run`.

The row is the errand; a task only says that there is one. So one whose worker died is begun again
by the sweep, and one whose task ran twice is done once. What the errands do is idempotent.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q

from milango.conf import conf
from milango.core.errors import InvalidRequest, MilangoError
from milango.models import (
    Errand,
    InboundCallback,
    Merchant,
    MpesaCredential,
    WebhookEndpoint,
)
from milango.models.ids import uuid7

from . import audit, endpoints, hours, reports, starting, statements
from . import replay as replays

MOST_BYTES: Final = 30 * 1024 * 1024
"""Of a statement that is uploaded. Larger ones are imported from the command line."""

MOST_CALLBACKS: Final = 5_000
"""That one errand processes again."""

STALLED: Final = timedelta(minutes=5)
"""An errand without a sign of life for so long is begun again."""

MOST_TRIES: Final = 3

TELL_EVERY: Final = 0.5
"""Seconds between two notes of how far it is."""

State = Errand.State

# --- asking for them ------------------------------------------------------------------------


def upload_statement(
    credential: MpesaCredential, content: bytes, *, filename: str, actor: str
) -> Errand:
    """Have a statement file compared. The same file again is the same errand, compared anew.

    Raises InvalidRequest for what is no statement at first sight; nothing is stored then.
    """
    check_upload(content)
    sha256 = hashlib.sha256(content).hexdigest()
    return _start(
        Errand.Kind.STATEMENT,
        merchant=credential.merchant,
        actor=actor,
        name=f"{filename[-100:] or 'statement'}, {credential.short_code}",
        params={"credential": credential.pk.hex, "sha256": sha256},
        content=content,
        key=f"{credential.pk.hex}:{sha256}",
    )


def check_upload(content: bytes) -> None:
    """Raise InvalidRequest for a file that cannot be a statement, by its size and first bytes."""
    if not content.strip():
        raise InvalidRequest("This file is empty. Download the statement again.", field="file")
    if len(content) > MOST_BYTES:
        raise InvalidRequest(too_large(), field="file")
    if content.startswith(b"%PDF"):
        message = "This is a PDF. Download the statement as CSV or Excel instead."
        raise InvalidRequest(message, field="file")


def too_large() -> str:
    """What is said of a file above the limit."""
    return (
        f"This file is larger than {MOST_BYTES >> 20} MB. Download a shorter period, or import it "
        "with: milango reconcile"
    )


def replay_callbacks(ids: Sequence[UUID], *, merchant: Merchant | None, actor: str) -> Errand:
    """Have stored callbacks processed again. Raises InvalidRequest for none, or too many."""
    if not 0 < len(ids) <= MOST_CALLBACKS:
        message = f"Choose between 1 and {MOST_CALLBACKS:,} callbacks; {len(ids):,} are chosen."
        raise InvalidRequest(message, field="ids")
    return _start(
        Errand.Kind.CALLBACKS,
        merchant=merchant,
        actor=actor,
        name=f"{len(ids)} callback{'s' if len(ids) > 1 else ''}",
        params={"ids": [callback_id.hex for callback_id in ids]},
    )


def replay_webhooks(
    endpoint: WebhookEndpoint,
    since: datetime,
    until: datetime,
    *,
    actor: str,
    types: Sequence[str] = (),
) -> Errand:
    """Have everything of a span of time delivered to an endpoint again."""
    if since >= until:
        raise InvalidRequest("The span must end after it begins.", field="until")
    return _start(
        Errand.Kind.WEBHOOKS,
        merchant=endpoint.merchant,
        actor=actor,
        name=f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC, {endpoint.url}"[:160],
        params={
            "endpoint": endpoint.pk.hex,
            "since": since.isoformat(),
            "until": until.isoformat(),
            "types": list(types),
        },
    )


def _start(
    kind: Errand.Kind,
    *,
    merchant: Merchant | None,
    actor: str,
    name: str,
    params: dict[str, Any],
    content: bytes | None = None,
    key: str = "",
) -> Errand:
    now = hours.now()
    spoken_by = actor[: audit.LONGEST_ACTOR]
    wanted = {"merchant": merchant, "name": name[:160], "actor": spoken_by, "params": params}
    fresh: dict[str, Any] = {
        **wanted,
        "content": content,
        "state": State.WAITING.value,
        "tries": 0,
        "step": "",
        "done": 0,
        "total": None,
        "touched_at": now,
        "ended_at": None,
    }
    with transaction.atomic():
        errand, is_new = Errand.objects.get_or_create(
            kind=kind.value, key=key or uuid7().hex, defaults={**fresh, "created_at": now}
        )
        again = Errand.objects.filter(pk=errand.pk, ended_at__isnull=False)
        if not is_new and not again.update(**fresh, result={}, refusal=""):
            return errand  # it is on its way
        detail = {word: params[word] for word in DETAILS if word in params}
        said = f"{kind.value}.asked"
        audit.record(actor, said, errand.public_id, merchant=merchant, name=name[:160], **detail)
        starting.begin(errand.pk)
    errand.refresh_from_db()
    return errand


DETAILS: Final = ("credential", "sha256", "endpoint", "since", "until", "types")
"""What the audit trail tells of an errand."""


# --- doing them -----------------------------------------------------------------------------

Tell = Callable[[str, int, int | None], None]


def run(errand_id: UUID) -> None:
    """Do an errand, unless somebody does it or it has ended.

    An unexpected error is raised, and the errand is begun again later, three times in all.
    """
    errand = _take(errand_id)
    if errand is None:
        return
    try:
        result = WORK[errand.kind](errand, _teller(errand))
    except MilangoError as error:
        _end(errand, State.REFUSED, refusal=str(error)[:500])
    else:
        _end(errand, State.DONE, result=result)


def _take(errand_id: UUID) -> Errand | None:
    now = hours.now()
    free = Q(state=State.WAITING.value) | Q(touched_at__lt=now - STALLED)
    mine = Errand.objects.filter(free, pk=errand_id, ended_at=None, tries__lt=MOST_TRIES)
    if not mine.update(state=State.WORKING.value, tries=F("tries") + 1, touched_at=now):
        return None
    return Errand.objects.select_related("merchant").get(pk=errand_id)


def _mine(errand: Errand) -> Any:
    """The row, as long as nobody else has begun it again."""
    return Errand.objects.filter(pk=errand.pk, tries=errand.tries, ended_at=None)


def _teller(errand: Errand) -> Tell:
    told = {"at": float("-inf")}

    def tell(step: str, done: int, total: int | None) -> None:
        if time.monotonic() - told["at"] < TELL_EVERY:
            return
        told["at"] = time.monotonic()
        _mine(errand).update(step=step[:60], done=done, total=total, touched_at=hours.now())

    return tell


def _end(errand: Errand, state: Errand.State, **fields: Any) -> None:
    now = hours.now()
    _mine(errand).update(state=state.value, content=None, ended_at=now, touched_at=now, **fields)


def _compare(errand: Errand, tell: Tell) -> dict[str, Any]:
    credentials = MpesaCredential.objects.select_related("merchant")
    credential = credentials.get(pk=errand.params["credential"])
    report = statements.import_statement(
        credential, bytes(errand.content or b""), uploader=errand.actor, tell=tell
    )
    asked = statements.ask(report, tell=tell)
    return reports.as_dict(report, most=reports.SHOWN) | {"asked": asked}


def _process(errand: Errand, tell: Tell) -> dict[str, Any]:
    ids = [UUID(hex=text) for text in errand.params["ids"]]
    # What has gone meanwhile needs nothing.
    there = set(InboundCallback.objects.filter(pk__in=ids).values_list("pk", flat=True))
    became: list[replays.Replayed] = []
    for number, callback_id in enumerate(each for each in ids if each in there):
        tell("Processing callbacks", number, len(there))
        became.append(replays.again(callback_id))
    counts = Counter((each.was, each.verdict) for each in became)
    left = sum(not each.is_processed for each in became)
    return {
        "became": [[was, verdict, count] for (was, verdict), count in sorted(counts.items())],
        "processed": len(became) - left,
        "left": left,
    }


def _deliver(errand: Errand, tell: Tell) -> dict[str, Any]:
    params = errand.params
    endpoint = WebhookEndpoint.objects.select_related("merchant").get(pk=params["endpoint"])
    tell("Making deliveries due", 0, None)
    count = endpoints.replay_range(
        endpoint,
        datetime.fromisoformat(params["since"]),
        datetime.fromisoformat(params["until"]),
        actor=errand.actor,
        types=params["types"],
    )
    return {"deliveries": count, "is_active": endpoint.active}


WORK: Final[dict[str, Callable[[Errand, Tell], dict[str, Any]]]] = {
    Errand.Kind.STATEMENT: _compare,
    Errand.Kind.CALLBACKS: _process,
    Errand.Kind.WEBHOOKS: _deliver,
}


# --- what became of them --------------------------------------------------------------------


def overdue() -> list[UUID]:
    """Errands that nobody has given a sign of life of, to be begun again. Those that were begun
    too often are given up."""
    silent = Errand.objects.filter(ended_at=None, touched_at__lt=hours.now() - STALLED)
    for errand in silent.filter(tries__gte=MOST_TRIES):
        _end(
            errand,
            State.FAILED,
            refusal="It failed several times; the log of the worker says why. What it has done so "
            "far stands, and nothing counts twice: you may ask for it again.",
        )
    return list(silent.filter(ended_at=None).values_list("pk", flat=True))


def forget_old(now: datetime) -> int:
    """Ended errands go when raw callbacks go; what they did stays."""
    old = now - timedelta(days=conf().raw_days)
    return Errand.objects.filter(ended_at__lt=old).delete()[0]
