"""Write a payment down before anything is asked: many at once, each with its phone and its key.

The row, the phone that it keeps busy and the idempotency key that made it are one transaction.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Hashable, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any, Final

import msgspec
from django.db.models import QuerySet

from milango import sealing
from milango.conf import conf
from milango.core import signing
from milango.core.errors import Declined
from milango.core.inputs import PushRequest
from milango.daraja import DynamicMpesaClient
from milango.models import IdempotencyKey, MpesaCredential, OpenPrompt, Payment, SettledOrder
from milango.models.ids import uuid7
from milango.seen import requests

from . import batches, hours, installations, notify
from .batches import Verb
from .caches import Remembered
from .callers import Caller
from .clients import client_for
from .counters import count_or_decline
from .once import body_hash
from .rows import EVENTS, KEYS, NEW_PAYMENTS, PROMPTS, Changes, RowOf
from .store import store

ROUTE: Final = "stk-push"


class Opened(msgspec.Struct, frozen=True):
    """A payment whose row is committed and whose prompt is not sent yet."""

    payment: Payment
    client: DynamicMpesaClient
    """With the credential's secrets, opened."""
    callback_url: str


class Opening(msgspec.Struct, eq=False):
    """A payment that is about to be written down, and who asks for it."""

    caller: Caller
    request: PushRequest
    peer: str
    opened: Opened
    request_id: str = ""
    """The `X-Request-ID` under which it was asked for; the payment's webhooks name it."""

    @property
    def payment(self) -> Payment:
        return self.opened.payment

    @property
    def client(self) -> DynamicMpesaClient:
        return self.opened.client


def open_one(opening: Opening) -> Opened | Payment:
    """Commit the payment's row. A replay gives the payment that the key made before.

    Raises Declined: no prompt was sent, and nothing was stored.
    """
    (outcome,) = batches.run(OPENINGS, [opening])
    if isinstance(outcome, Opened | Payment):
        return outcome
    raise outcome


def draft(
    caller: Caller, request: PushRequest, *, idempotency_key: str = "", peer: str = ""
) -> Opening:
    """Check all that needs no lock, and make the payment's row. Raises Declined."""
    caller.require("charge")
    _check_amount_is_open(caller)
    credential = find_credential(caller, request)
    installations.require_adopted()
    opened = _new_payment(caller, credential, request, idempotency_key)
    return Opening(caller, request, peer, opened, requests.current())


def _check_amount_is_open(caller: Caller) -> None:
    if not caller.open_amount:
        message = (
            "This publishable key may not choose the amount. Ask for the prompt from your server, "
            "or allow it with: milango keys create --publishable --open-amount"
        )
        raise Declined("amount_not_open", message, field="amount")


_credentials: Final = Remembered[list[MpesaCredential]](seconds=30, of=(MpesaCredential,))


def find_credential(caller: Caller, request: PushRequest) -> MpesaCredential:
    """The caller's own active credential for the short code.

    Raises Declined `unknown_shortcode` (also for another merchant's) or `ambiguous_shortcode`.
    """
    wanted = (caller.merchant.pk, request.shortcode, request.environment, conf().simulator)
    credentials = _credentials.get(wanted, lambda: _look_up_credentials(caller, request))
    if not credentials:
        message = "You have no active credential for this short code. No prompt was sent."
        raise Declined("unknown_shortcode", message, field="shortcode")
    if len(credentials) > 1:
        message = "This short code has credentials in several environments; say which one."
        raise Declined("ambiguous_shortcode", message, field="environment")
    return credentials[0]


def _look_up_credentials(caller: Caller, request: PushRequest) -> list[MpesaCredential]:
    found = MpesaCredential.objects.filter(
        merchant=caller.merchant, short_code=request.shortcode, active=True
    )
    if request.environment:
        found = found.filter(environment=request.environment)
    if not conf().simulator:
        found = found.exclude(environment=MpesaCredential.Environment.SIMULATOR)
    return list(found[:2])


def _new_payment(
    caller: Caller, credential: MpesaCredential, request: PushRequest, idempotency_key: str
) -> Opened:
    now = hours.now()
    client = client_for(credential)
    payment_id = uuid7()
    kid = sealing.current_key_id()
    token = signing.make_callback_token(
        payment_id, kid, sealing.derive("callback", kid), secrets.token_bytes(16)
    )
    payment = Payment(
        id=payment_id,
        merchant=caller.merchant,
        credential=credential,
        credential_version=credential.version,
        environment=credential.environment,
        short_code=credential.short_code,
        party_b=credential.party_b,
        amount=request.amount,
        phone=request.phone_number,
        account_reference=request.account_reference or f"M{payment_id.hex[-9:].upper()}",
        description=request.description or "Payment",
        service_type=request.service_type,
        order_id=request.order_id,
        metadata=request.metadata,
        idempotency_key=idempotency_key,
        requested_by="browser" if caller.publishable else "server",
        callback_token_hash=signing.token_hash(token),
        created_at=now,
        updated_at=now,
        # With a token at hand the bytes go out as soon as this row is committed.
        sending_at=now if client.has_token else None,
        prompt_until=now + timedelta(seconds=conf().prompt_life),
    )
    return Opened(payment, client, conf().address(f"/callbacks/stk/{token}"))


# --- a batch --------------------------------------------------------------------------------


def open_many(openings: Sequence[Opening]) -> list[Opened | Payment | Declined]:
    """Write payments down, in one transaction; one outcome for each, in order.

    No two of them may share an idempotency key. Raises Declined for a browser's request, so that
    it is rolled back with its count; those that came with it are tried again without it.
    """
    outcomes: Outcomes = {}
    left = _take_keys(openings, outcomes)
    for opening in left:
        _count(opening)
    left = _refuse_paid_orders(left, outcomes)
    left = _take_phones(left, outcomes)
    _raise_if_counted(outcomes)
    _release_keys(outcomes)
    _write(left)
    return [outcomes.get(opening) or opening.opened for opening in openings]


Outcomes = dict[Opening, Opened | Payment | Declined]


def _take_keys(openings: Sequence[Opening], outcomes: Outcomes) -> list[Opening]:
    """Take each idempotency key for its payment, or find the payment that has it already."""
    keyed = [opening for opening in openings if opening.payment.idempotency_key]
    if not keyed:
        return list(openings)
    taken = store().insert_new(KEYS, [_key_row(opening) for opening in keyed])
    for opening in keyed:
        if opening.payment.pk not in taken:
            outcomes[opening] = _replay(opening)
    return [opening for opening in openings if opening not in outcomes]


def _key_row(opening: Opening) -> RowOf:
    payment = opening.payment
    key = key_of(payment).values()
    return (*key, body_hash(opening.request), payment.pk, False, payment.created_at)


def _replay(opening: Opening) -> Payment | Declined:
    row = keys_of(opening.payment).select_for_update().first()
    if row is None:
        # Its first request was not sent, and let the key go in this moment.
        message = "The first request with this Idempotency-Key has just failed. No prompt was sent."
        return Declined("database_unavailable", message, retry_after=1)
    if row.body_hash != body_hash(opening.request):
        message = "This Idempotency-Key was used for another request. No prompt was sent."
        return Declined("idempotency_conflict", message, field="Idempotency-Key")
    IdempotencyKey.objects.filter(pk=row.pk).update(replayed=True)
    assert row.payment_id is not None, "a key of this route stands for a payment"
    return Payment.objects.select_related("merchant").get(pk=row.payment_id)


def _raise_if_counted(outcomes: Outcomes) -> None:
    for opening, outcome in outcomes.items():
        if isinstance(outcome, Declined) and opening.caller.publishable:
            raise outcome


def _release_keys(outcomes: Outcomes) -> None:
    """What was declined leaves no key behind."""
    for opening, outcome in outcomes.items():
        payment = opening.payment
        if isinstance(outcome, Declined) and payment.idempotency_key:
            keys_of(payment).filter(payment_id=payment.pk).delete()


KIND_OF: Final = {"browser": "publishable", "server": "secret"}


def key_of(payment: Payment) -> dict[str, Any]:
    """The payment's idempotency key, and what such a key is unique within."""
    return {
        "merchant_id": payment.merchant_id,
        "mode": "live" if payment.livemode else "test",
        "key_kind": KIND_OF[payment.requested_by],
        "route": ROUTE,
        "key": payment.idempotency_key,
    }


def keys_of(payment: Payment) -> QuerySet[IdempotencyKey]:
    """The row of the payment's idempotency key, by the columns that are indexed."""
    return IdempotencyKey.objects.filter(**key_of(payment))


def _count(opening: Opening) -> None:
    """Pages that anybody can open are throttled, per phone across all merchants and per address."""
    if not opening.caller.publishable:
        return
    now = opening.payment.created_at
    key = sealing.derive("phone-scope")
    scope = hashlib.blake2b(opening.payment.phone.encode(), key=key, digest_size=16).hexdigest()
    count_or_decline(f"prompts:phone:{scope}", conf().phone_limit, now)
    if opening.peer:
        count_or_decline(f"prompts:address:{opening.peer}", conf().address_limit, now)


def _refuse_paid_orders(openings: list[Opening], outcomes: Outcomes) -> list[Opening]:
    ordered = [opening for opening in openings if opening.request.order_id]
    if not ordered:
        return openings
    rows = SettledOrder.objects.filter(
        merchant_id__in={opening.payment.merchant_id for opening in ordered},
        order_id__in={opening.request.order_id for opening in ordered},
    )
    paid = {(row.merchant_id, row.order_id): row.payment_id for row in rows}
    for opening in ordered:
        by = paid.get((opening.payment.merchant_id, opening.request.order_id))
        if by:
            known = {} if opening.caller.publishable else {"payment": f"pay_{by.hex}"}
            message = "This order is already paid. No prompt was sent."
            outcomes[opening] = Declined(
                "order_already_paid", message, field="order_id", extra=known
            )
    return [opening for opening in openings if opening not in outcomes]


def _take_phones(openings: list[Opening], outcomes: Outcomes) -> list[Opening]:
    """One open prompt per phone and credential, for the prompt's life only.

    Of two requests at the same instant, one waits at the insert for the other to commit.
    """
    if not openings:
        return openings
    phones = {(opening.payment.credential_id, opening.payment.phone) for opening in openings}
    now = min(opening.payment.created_at for opening in openings)
    store().end_prompts(sorted(phones), now)
    taken = store().insert_new(PROMPTS, [_prompt_row(opening.payment) for opening in openings])
    for opening in openings:
        if opening.payment.pk not in taken:
            outcomes[opening] = _prompt_open(opening)
    return [opening for opening in openings if opening not in outcomes]


def _prompt_row(payment: Payment) -> RowOf:
    return (payment.pk, payment.credential_id, payment.phone, payment.prompt_until)


def _prompt_open(opening: Opening) -> Declined:
    payment = opening.payment
    holder = OpenPrompt.objects.filter(
        credential_id=payment.credential_id, phone=payment.phone
    ).first()
    left = (holder.until - payment.created_at).total_seconds() if holder else 1
    tell = holder is not None and not opening.caller.publishable
    known = {"payment": f"pay_{holder.payment_id.hex}"} if holder and tell else {}
    message = (
        "A prompt is already open on this phone. Let the payer answer it, or wait; "
        "no second prompt was sent."
    )
    return Declined("prompt_open", message, retry_after=max(1, int(left) + 1), extra=known)


_columns: Final = attrgetter(*NEW_PAYMENTS.columns)
_METADATA: Final = NEW_PAYMENTS.columns.index("metadata")


def _write(openings: list[Opening]) -> None:
    if not openings:
        return
    payments = [opening.payment for opening in openings]
    created = [notify.created(opening.payment, opening.request_id) for opening in openings]
    rows = [_payment_row(payment) for payment in payments]
    events = [event.row() for event in created]
    store().write(Changes(inserts=[(NEW_PAYMENTS, rows), (EVENTS, events)]))
    for payment in payments:
        payment._state.adding = False
        payment._state.db = "default"


def _payment_row(payment: Payment) -> RowOf:
    row = list(_columns(payment))
    row[_METADATA] = msgspec.json.encode(payment.metadata).decode()
    return tuple(row)


def _lane(opening: Opening) -> Hashable:
    """Requests that share a key must not share a batch."""
    payment = opening.payment
    return tuple(key_of(payment).values()) if payment.idempotency_key else payment.pk


def _refused(opening: Opening, error: Exception) -> Declined:
    raise error


OPENINGS: Final = Verb("payments", open_many, _lane, _refused, exclusive=True)
"""Write payments down together."""
