"""Take in C2B: validations, answered from what we know, and confirmations, which are money.

Their addresses stand with Safaricom for years, so knowing one proves nothing. A
confirmation counts when Safaricom's own address sent it and it names one of the short code's
numbers; otherwise its bytes are kept, and Daraja is asked.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter
from typing import Final
from uuid import UUID

import msgspec

from milango import sealing
from milango.conf import conf
from milango.core import signing
from milango.core.errors import Declined
from milango.core.payments import Original, Source
from milango.daraja.c2b import Confirmation, Rejection, Unread, accepted, read_c2b, rejected
from milango.models import MpesaCredential

from . import audit, batches, hours, originals, reversals
from . import rows as tables
from .batches import Verb
from .book import Line, book, is_known_reference
from .caches import Remembered
from .clients import client_for
from .counters import count_or_decline
from .receive import is_listed_peer, keep_poisoned, original_of
from .store import store

PURPOSE: Final[sealing.Purpose] = "c2b"

STRANGERS_A_DAY: Final = (1_000, 86_400)
"""Confirmations of one short code from addresses that are not Safaricom's: kept up to here."""


DOUBTED: Final = frozenset({"unlisted", "foreign"})
"""Verdicts of confirmations that may be anybody's words."""


class Arrival(msgspec.Struct, frozen=True):
    """A confirmation as it arrived, read."""

    credential_id: UUID
    said: Confirmation | Unread
    original: Original
    listed: bool


class Taken(msgspec.Struct, frozen=True):
    """What became of a confirmation."""

    verdict: str
    """`joined`, `own`, `unmatched`, `unlisted`, `foreign` or `unreadable:<problem>`; of money that
    went back what `reversals.note` says."""


def address_of(credential: MpesaCredential, what: str) -> str:
    """A new public address for `confirm` or `validate`. Addresses given before stay good."""
    kid = sealing.current_key_id()
    token = signing.make_callback_token(
        credential.pk, kid, sealing.derive(PURPOSE, kid), secrets.token_bytes(16)
    )
    return conf().address(f"/callbacks/c2b/{token}/{what}")


def register(credential: MpesaCredential, *, response_type: str, version: str, actor: str) -> None:
    """Tell Daraja our two addresses for this short code. Raises as the client does."""
    client_for(credential).register_urls(
        address_of(credential, "confirm"),
        address_of(credential, "validate"),
        response_type,
        version,
    )
    audit.record(
        actor, "c2b.registered", credential.public_id, merchant=credential.merchant, version=version
    )


def owner_of(token: str) -> UUID | None:
    """The credential that the address was made for; None: not ours (404). In memory alone."""
    return signing.open_callback_token(token, sealing.key_finder(PURPOSE))


# --- validation -----------------------------------------------------------------------------

_credentials: Final = Remembered[list[MpesaCredential]](seconds=30, of=(MpesaCredential,))


def validate(token: str, body: bytes, peer: str) -> dict[str, object] | None:
    """Whether M-Pesa may take this payment: it must be for this short code. None: 404.

    Writes nothing, and tells nothing about anybody. Whoever asks from elsewhere than Safaricom
    hears that everything is fine.
    """
    credential_id = owner_of(token)
    if credential_id is None:
        return None
    found = _credentials.get((credential_id,), lambda: _look_up(credential_id))
    said = read_c2b(body)
    if not found or not _may_speak(found[0], is_listed_peer(peer)):
        return accepted()
    if isinstance(said, Unread):
        return rejected(Rejection.OTHER)
    if not found[0].active or said.business_short_code not in found[0].numbers:
        return rejected(Rejection.SHORT_CODE)
    if not is_known_reference(found[0], said.bill_ref):
        return rejected(Rejection.ACCOUNT)
    return accepted()


def _look_up(credential_id: UUID) -> list[MpesaCredential]:
    return list(MpesaCredential.objects.filter(pk=credential_id))


# --- confirmation ---------------------------------------------------------------------------


def read_confirmation(
    token: str, body: bytes, headers: dict[str, str], peer: str
) -> Arrival | None:
    """A confirmation, read, with its original. None: the token is not ours (404). In memory."""
    credential_id = owner_of(token)
    if credential_id is None:
        return None
    now = hours.now()
    original = original_of(token, body, headers, peer, now)
    return arrival_of(credential_id, original, is_listed_peer(peer), now)


def arrival_of(credential_id: UUID, original: Original, listed: bool, now: datetime) -> Arrival:
    """A confirmation, from its original. Never raises."""
    return Arrival(credential_id, read_c2b(original.body), original, listed)


def receive_confirmation(
    token: str, body: bytes, headers: dict[str, str], peer: str
) -> Taken | None:
    """Store and book one confirmation. None: 404. Raises Declined as `receive_stk`."""
    arrival = read_confirmation(token, body, headers, peer)
    if arrival is None:
        return None
    (outcome,) = batches.run(CONFIRMATIONS, [arrival])
    if isinstance(outcome, Taken):
        return outcome
    raise outcome


def _take(arrivals: Sequence[Arrival]) -> list[Taken]:
    """Book what may be believed, and keep every body."""
    verdicts, credentials = _book(arrivals)
    _keep(arrivals, verdicts, credentials)
    return [Taken(verdict) for verdict in verdicts]


def take_again(arrival: Arrival) -> tuple[str, UUID | None, str | None]:
    """Book a confirmation whose body is kept already: its verdict, its merchant's id, and its
    receipt if it was believed. In the caller's transaction."""
    (verdict,), credentials = _book([arrival])
    credential = credentials.get(arrival.credential_id)
    return verdict, credential.merchant_id if credential else None, _believed(arrival, verdict)


def _believed(arrival: Arrival, verdict: str) -> str | None:
    """The receipt that a confirmation names, if its word counted."""
    said = arrival.said
    return said.trans_id if isinstance(said, Confirmation) and verdict not in DOUBTED else None


def _book(arrivals: Sequence[Arrival]) -> tuple[list[str], dict[UUID, MpesaCredential]]:
    """Short code by short code; what became of each, in order."""
    ids = {arrival.credential_id for arrival in arrivals}
    credentials = MpesaCredential.objects.select_related("merchant").in_bulk(sorted(ids))
    verdicts = [_judge(arrival, credentials.get(arrival.credential_id)) for arrival in arrivals]
    credible: dict[UUID, list[int]] = defaultdict(list)
    for index, arrival in enumerate(arrivals):
        if not verdicts[index]:
            credible[arrival.credential_id].append(index)
    for credential_id in sorted(credible):
        back = [index for index in credible[credential_id] if _is_reversal(arrivals[index])]
        paid = [index for index in credible[credential_id] if index not in back]
        lines = [_line(arrivals[index]) for index in paid]
        booked = book(credentials[credential_id], lines, Source.C2B, listed=True)
        verdicts = _filled(verdicts, paid, [booking.value for booking in booked])
        lines = [_line(arrivals[index]) for index in back]
        noted = reversals.note(credentials[credential_id], lines, Source.C2B)
        verdicts = _filled(verdicts, back, noted)
    return verdicts, credentials


def _is_reversal(arrival: Arrival) -> bool:
    return isinstance(arrival.said, Confirmation) and arrival.said.is_reversal


def _filled(verdicts: list[str], indexes: list[int], values: list[str]) -> list[str]:
    known = dict(zip(indexes, values, strict=True))
    return [known.get(index, verdict) for index, verdict in enumerate(verdicts)]


def _judge(arrival: Arrival, credential: MpesaCredential | None) -> str:
    """Why it is not booked, in a word; an empty one: it is."""
    if isinstance(arrival.said, Unread):
        return f"unreadable:{arrival.said.problem}"
    if credential is None or arrival.said.business_short_code not in credential.numbers:
        return "foreign"
    return "" if _may_speak(credential, arrival.listed) else "unlisted"


def _may_speak(credential: MpesaCredential, listed: bool) -> bool:
    """Real money is told of by Safaricom's own addresses."""
    return listed or not credential.livemode


def _line(arrival: Arrival) -> Line:
    said = arrival.said
    assert isinstance(said, Confirmation)
    return Line(
        receipt=said.trans_id,
        amount=said.amount,
        paid_at=said.paid_at or arrival.original.received_at,
        phone=said.msisdn,
        reference=said.bill_ref,
    )


def _keep(
    arrivals: Sequence[Arrival], verdicts: list[str], credentials: dict[UUID, MpesaCredential]
) -> None:
    rows = {}
    for arrival, verdict in zip(arrivals, verdicts, strict=True):
        credential = credentials.get(arrival.credential_id)
        if not arrival.listed and not _has_room(arrival):
            continue
        merchant_id = credential.merchant_id if credential else None
        rows[arrival.original.sha256] = originals.row_of(
            arrival.original,
            PURPOSE,
            verdict,
            arrival.credential_id,
            merchant_id,
            _believed(arrival, verdict),
        )
    if rows:
        store().insert(tables.ORPHANS, [row for _, row in sorted(rows.items())])


def _has_room(arrival: Arrival) -> bool:
    """Whoever knows the address may post to it, but not fill the disk."""
    scope = f"c2b:{arrival.credential_id.hex}"
    try:
        count_or_decline(scope, STRANGERS_A_DAY, arrival.original.received_at)
    except Declined:
        return False
    return True


def _keep_poisoned(arrival: Arrival, error: Exception) -> Taken:
    keep_poisoned(arrival.original, PURPOSE, arrival.credential_id)
    return Taken("poisoned")


CONFIRMATIONS: Final = Verb("confirmations", _take, attrgetter("credential_id"), _keep_poisoned)
"""Book C2B confirmations, together; keep those that cannot be booked for a person."""
