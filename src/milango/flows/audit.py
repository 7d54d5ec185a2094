"""Who changed what, in a chain that cannot be edited without the installation's keys.

Each entry's MAC covers the entry before it, so nothing can be changed, moved or taken out of the
middle. The end of the chain is vouched for by a MAC of its own beside it, so that it cannot be cut
off either. The keys are not in the database; the MACs begin with the id of theirs.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec
from django.db import transaction

from milango import sealing
from milango.conf import conf
from milango.core.errors import SecretUnreadable
from milango.models import AuditEntry, AuditKey, Installation, Merchant

from . import hours
from .caches import Remembered

LONGEST_ACTOR: Final = 80
"""Characters of every column that says who did something. A user's name may have 150."""

BATCH: Final = 1_000
"""Entries that are read at once."""


class Broken(NamedTuple):
    """Where the chain is not what was written."""

    number: int
    sentence: str

    def __str__(self) -> str:
        return self.sentence


class Verified(NamedTuple):
    """What a walk along the chain found."""

    entries: int
    """How many are as they were written, from the first one on."""
    end: str
    """`number:MAC` of the last of them, to be kept elsewhere and compared later."""
    broken: Broken | None


def record(
    actor: str, action: str, subject: str, *, merchant: Merchant | None = None, **detail: Any
) -> AuditEntry:
    """Append an entry. `detail` names what changed, never a secret's value."""
    with transaction.atomic():
        _lock()
        last = AuditEntry.objects.order_by("-number").first()
        entry = AuditEntry(
            merchant=merchant,
            number=last.number + 1 if last else 1,
            actor=actor[:LONGEST_ACTOR],
            action=action,
            subject=subject[:80],
            detail=detail,
            at=hours.heard(),
        )
        kid = sealing.current_key_id()
        entry.mac = _mac(_said(entry, last.mac if last else "", WITH_END), kid)
        entry.save(force_insert=True)
        end = f"{entry.number}:{_mac(['end', entry.number, entry.mac], kid)}"
        # Not save(): the row's other columns, and who remembers them, have nothing to do with it.
        Installation.objects.filter(pk=1).update(audit_end=end)
    return entry


def _lock() -> None:
    """One writer at a time: the installation's row is the lock of the whole chain."""
    Installation.objects.get_or_create(pk=1, defaults={"public_url": conf().public_url})
    list(Installation.objects.select_for_update().filter(pk=1))


def keep_keys() -> None:
    """Keep what verifies the entries under older keys, sealed, so that those keys may go."""
    for key in conf().keys[1:]:
        plain = base64.b64encode(sealing.derive("audit", key.kid)).decode()
        AuditKey.objects.get_or_create(kid=key.kid, defaults={"key": plain})


# --- looking back ---------------------------------------------------------------------------


def count() -> int:
    """The number of the last entry: how long a walk will be."""
    return AuditEntry.objects.order_by("-number").values_list("number", flat=True).first() or 0


def first_broken() -> Broken | None:
    """Where the chain was first tampered with; None: it is whole."""
    return verify().broken


def verify(progress: Callable[[int], None] = lambda number: None, expect: str = "") -> Verified:
    """Walk the chain from its first entry. Stops where it breaks.

    `progress` hears the number of each entry. `expect` is an earlier walk's `end`: the chain must
    still hold that entry. Gives what was found; raises nothing for a broken chain.
    """
    previous, number, has_end = "", 0, False
    macs: dict[int, str] = {}
    kept = _end_of(expect)
    ours = Installation.objects.filter(pk=1).values_list("audit_end", flat=True).first() or ""
    noted = _end_of(ours)
    for entry in _entries():
        broken = _break_at(entry, number, previous)
        if broken:
            return Verified(number, f"{number}:{previous}", broken)
        has_end = has_end or _is_by(entry, previous, WITH_END)
        previous, number = entry.mac, entry.number
        if number in {noted[0], kept[0]}:
            macs[number] = entry.mac
        progress(number)
    broken = _break_at_the_end(number, ours, macs, has_end=has_end)
    if not broken and expect and macs.get(kept[0]) != kept[1]:
        broken = Broken(
            kept[0],
            f"Entry {kept[0]} is not the one that was there before: the trail was written anew, or "
            "an older copy of the database was restored.",
        )
    return Verified(number, f"{number}:{previous}", broken)


def _entries() -> Iterator[AuditEntry]:
    last = -1
    while batch := list(AuditEntry.objects.filter(number__gt=last).order_by("number")[:BATCH]):
        yield from batch
        last = batch[-1].number


def _break_at(entry: AuditEntry, last: int, previous: str) -> Broken | None:
    number = last + 1
    if entry.number > number:
        several = entry.number > number + 1
        missing = (
            f"Entries {number} to {entry.number - 1} were" if several else f"Entry {number} was"
        )
        return Broken(number, f"{missing} removed.")
    try:
        if _is_by(entry, previous, WITH_END) or _is_by(entry, previous, WITHOUT_END):
            return None
    except SecretUnreadable:
        return Broken(number, f"Entry {number} cannot be verified: its key is not there any more.")
    earlier = AuditEntry.objects.filter(number__lt=number, at__gt=entry.at)
    later = AuditEntry.objects.filter(number__gt=number, at__lt=entry.at)
    if earlier.exists() or later.exists():
        return Broken(number, f"Entry {number} was moved: it was written at another place.")
    return Broken(number, f"Entry {number} was changed, or the one before it is gone.")


def _break_at_the_end(
    last: int, ours: str, macs: dict[int, str], *, has_end: bool
) -> Broken | None:
    noted, tag = _end_of(ours)
    if not ours:
        sentence = "The note of the last entry is gone: entries may be missing at the end."
        return Broken(last + 1, sentence) if has_end else None
    if noted > last:
        missing = f"Entry {last + 1}" if noted == last + 1 else f"Entries {last + 1} to {noted}"
        return Broken(last + 1, f"{missing} at the end: cut off.")
    if not _is_mac(tag, ["end", noted, macs.get(noted, "")]):
        return Broken(noted, "The note of the last entry was changed.")
    return None


def _end_of(text: str) -> tuple[int, str]:
    number, _, mac = text.partition(":")
    return (int(number) if number.isdecimal() else 0), mac


# --- MACs -----------------------------------------------------------------------------------

WITHOUT_END: Final = 1
WITH_END: Final = 2
"""How an entry was written: since the second form, each leaves a note of the chain's end."""


def _said(entry: AuditEntry, previous: str, form: int) -> list[Any]:
    said = [
        previous,
        entry.number,
        entry.id.hex,
        str(entry.merchant_id),
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        entry.at.isoformat(),
    ]
    return said if form == WITHOUT_END else ["entry", *said]


def _is_by(entry: AuditEntry, previous: str, form: int) -> bool:
    return _is_mac(entry.mac, _said(entry, previous, form))


def _is_mac(mac: str, said: list[Any]) -> bool:
    """Raises SecretUnreadable for a key that is neither configured nor kept."""
    return hmac.compare_digest(mac.encode(), _mac(said, mac[:2]).encode())


def _mac(said: list[Any], kid: str) -> str:
    message = msgspec.json.encode(said, order="deterministic")
    return kid + hmac.new(_key(kid), message, hashlib.sha256).hexdigest()[:62]


_kept: Final = Remembered[bytes](seconds=30, of=(AuditKey,))


def _key(kid: str) -> bytes:
    if sealing.has_key(kid):
        return sealing.derive("audit", kid)
    return _kept.get(kid, lambda: _look_up(kid))


def _look_up(kid: str) -> bytes:
    kept = AuditKey.objects.filter(pk=kid).first()
    return base64.b64decode(kept.key) if kept else sealing.derive("audit", kid)
