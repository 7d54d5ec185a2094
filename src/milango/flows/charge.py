"""Ask a payer for money: `prepare` (write it down) → `send` (ask Daraja) → `conclude` (settle).

No database connection is held while Daraja thinks, and a prompt is never sent twice for one
request: the row is committed before anything goes out, and `sending_at` just before the bytes.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import Final

import msgspec
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from milango import sealing
from milango.conf import conf
from milango.core import signing
from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent, Declined
from milango.core.inputs import PushRequest
from milango.core.payments import Evidence, Outcome, Source, Status
from milango.daraja import DynamicMpesaClient
from milango.models import (
    IdempotencyKey,
    MpesaCredential,
    OpenPrompt,
    Payment,
    PaymentEvent,
    SettledOrder,
)
from milango.models.ids import uuid7

from . import installations, notify
from .callers import Caller
from .clients import client_for
from .counters import count_or_decline
from .settle import settle_many

ROUTE: Final = "stk-push"


class Opened(msgspec.Struct, frozen=True):
    """A payment whose row is committed and whose prompt is not sent yet."""

    payment: Payment
    credential: MpesaCredential
    callback_url: str


def charge(
    caller: Caller,
    request: PushRequest,
    *,
    idempotency_key: str = "",
    peer: str = "",
) -> Payment:
    """Send one prompt and return its payment as it stands afterwards. Blocks while Daraja thinks.

    A replayed idempotency key returns the payment that it made, and sends nothing. Raises
    Declined (no prompt was sent; `daraja_refused`: the payment is Failed) or DarajaBusy (nothing
    happened and nothing is kept). An unknown outcome raises nothing: the payment is Pending.
    """
    opened = prepare(caller, request, idempotency_key=idempotency_key, peer=peer)
    if isinstance(opened, Payment):
        return opened
    try:
        answer = send(opened)
    except DarajaBusy:
        abandon(opened.payment)
        raise
    payment = conclude(answer)
    if answer.outcome is Outcome.FAILED and payment.reason == "refused":
        raise _refused(payment)
    return payment


def _refused(payment: Payment) -> Declined:
    message = (
        f"Daraja refused the request ({payment.result_text}). "
        "No prompt was sent, and the payment is Failed."
    )
    known = {"payment": payment.public_id, "daraja_code": payment.result_code}
    return Declined("daraja_refused", message, extra=known)


# --- prepare --------------------------------------------------------------------------------


def prepare(
    caller: Caller, request: PushRequest, *, idempotency_key: str = "", peer: str = ""
) -> Opened | Payment:
    """Commit the payment's row. A replay returns the payment that the key made before."""
    caller.require("charge")
    _check_amount_is_open(caller)
    credential = find_credential(caller, request)
    installations.require_adopted()
    payment, token = _new_payment(caller, credential, request, idempotency_key)
    callback_url = conf().address(f"/callbacks/stk/{token}")
    with transaction.atomic(durable=True):
        replayed = _claim_key(caller, credential, request, payment)
        if replayed:
            return replayed
        _count(caller, request.phone_number, peer, payment.created_at)
        _check_order(caller, request)
        _take_phone(caller, payment)
        created = notify.next_event(payment, "payment.created", payment.created_at)
        payment.save(force_insert=True)
        notify.write([created])
    return Opened(payment, credential, callback_url)


def _check_amount_is_open(caller: Caller) -> None:
    if not caller.open_amount:
        message = (
            "This publishable key may not choose the amount. Ask for the prompt from your server, "
            "or allow it with: milango keys create --publishable --open-amount"
        )
        raise Declined("amount_not_open", message, field="amount")


def find_credential(caller: Caller, request: PushRequest) -> MpesaCredential:
    """The caller's own active credential for the short code.

    Raises Declined `unknown_shortcode` (also for another merchant's) or `ambiguous_shortcode`.
    """
    found = MpesaCredential.objects.filter(
        merchant=caller.merchant, short_code=request.shortcode, active=True
    )
    if request.environment:
        found = found.filter(environment=request.environment)
    if not conf().simulator:
        found = found.exclude(environment=MpesaCredential.Environment.SIMULATOR)
    credentials = list(found[:2])
    if not credentials:
        message = "You have no active credential for this short code. No prompt was sent."
        raise Declined("unknown_shortcode", message, field="shortcode")
    if len(credentials) > 1:
        message = "This short code has credentials in several environments; say which one."
        raise Declined("ambiguous_shortcode", message, field="environment")
    return credentials[0]


def _new_payment(
    caller: Caller, credential: MpesaCredential, request: PushRequest, idempotency_key: str
) -> tuple[Payment, str]:
    now = timezone.now()
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
        prompt_until=now + timedelta(seconds=conf().prompt_life),
    )
    return payment, token


def _claim_key(
    caller: Caller, credential: MpesaCredential, request: PushRequest, payment: Payment
) -> Payment | None:
    """Take the idempotency key for this payment, or find the payment that has it already."""
    if not payment.idempotency_key:
        return None
    scope = {
        "merchant_id": caller.merchant.pk,
        "mode": "live" if credential.livemode else "test",
        "key_kind": caller.kind,
        "route": ROUTE,
        "key": payment.idempotency_key,
    }
    body_hash = hashlib.sha256(msgspec.json.encode(request, order="deterministic")).hexdigest()
    IdempotencyKey.objects.bulk_create(
        [
            IdempotencyKey(
                **scope, body_hash=body_hash, payment=payment, created_at=payment.created_at
            )
        ],
        ignore_conflicts=True,
    )
    row = IdempotencyKey.objects.select_for_update().get(**scope)
    if row.payment_id == payment.pk:
        return None
    if row.body_hash != body_hash:
        message = "This Idempotency-Key was used for another request. No prompt was sent."
        raise Declined("idempotency_conflict", message, field="Idempotency-Key")
    IdempotencyKey.objects.filter(pk=row.pk).update(replayed=True)
    return Payment.objects.select_related("merchant").get(pk=row.payment_id)


def _count(caller: Caller, phone: str, peer: str, now: datetime) -> None:
    """Pages that anybody can open are throttled, per phone across all merchants and per address."""
    if not caller.publishable:
        return
    key = sealing.derive("phone-scope")
    scope = hashlib.blake2b(phone.encode(), key=key, digest_size=16).hexdigest()
    count_or_decline(f"prompts:phone:{scope}", conf().phone_limit, now)
    if peer:
        count_or_decline(f"prompts:address:{peer}", conf().address_limit, now)


def _check_order(caller: Caller, request: PushRequest) -> None:
    if not request.order_id:
        return
    paid = SettledOrder.objects.filter(merchant=caller.merchant, order_id=request.order_id).first()
    if paid:
        known = {} if caller.publishable else {"payment": f"pay_{paid.payment_id.hex}"}
        message = "This order is already paid. No prompt was sent."
        raise Declined("order_already_paid", message, field="order_id", extra=known)


def _take_phone(caller: Caller, payment: Payment) -> None:
    """One open prompt per phone and credential, for the prompt's life only."""
    _prompts_like(payment).filter(until__lte=payment.created_at).delete()
    mine = OpenPrompt(
        payment=payment,
        credential_id=payment.credential_id,
        phone=payment.phone,
        until=payment.prompt_until,
    )
    OpenPrompt.objects.bulk_create([mine], ignore_conflicts=True)
    # Of two requests at the same instant, one has waited here for the other to commit.
    holder = _prompts_like(payment).get()
    if holder.payment_id != payment.pk:
        raise _prompt_open(caller, payment, holder)


def _prompts_like(payment: Payment) -> QuerySet[OpenPrompt]:
    return OpenPrompt.objects.filter(credential_id=payment.credential_id, phone=payment.phone)


def _prompt_open(caller: Caller, payment: Payment, holder: OpenPrompt) -> Declined:
    left = (holder.until - payment.created_at).total_seconds()
    known = {} if caller.publishable else {"payment": f"pay_{holder.payment_id.hex}"}
    message = (
        "A prompt is already open on this phone. Let the payer answer it, or wait; "
        "no second prompt was sent."
    )
    return Declined("prompt_open", message, retry_after=max(1, int(left) + 1), extra=known)


# --- send -----------------------------------------------------------------------------------


def send(opened: Opened) -> Evidence:
    """Ask Daraja for the prompt; its answer is evidence, whatever it is.

    Raises DarajaBusy when nothing happened. Without a token nothing can have been sent, so a
    silent token service is "not now" as well.
    """
    client = client_for(opened.credential)
    payment = opened.payment
    try:
        client._get_access_token()
    except DarajaRefused as error:
        return _answer(payment, Outcome.FAILED, error)
    except DarajaSilent as error:
        message = "Daraja's token service does not answer. No prompt was sent."
        raise DarajaBusy(message, retry_after=10) from error
    mark_sending(payment)
    return _push(client, opened)


def mark_sending(payment: Payment) -> None:
    """Commit that the request is about to go out: from here on, silence means doubt (A11)."""
    now = timezone.now()
    until = now + timedelta(seconds=conf().prompt_life)
    mine = Payment.objects.filter(pk=payment.pk, status=Status.PENDING.value, sending_at=None)
    with transaction.atomic(durable=True):
        if not mine.update(sending_at=now, prompt_until=until):
            # We slept so long that a sweep has already failed the row as `not_sent`.
            raise DarajaBusy("This request took too long to start. No prompt was sent.")
        OpenPrompt.objects.filter(pk=payment.pk).update(until=until)


def _push(client: DynamicMpesaClient, opened: Opened) -> Evidence:
    payment = opened.payment
    try:
        accepted = client.stk_push(
            payment.phone,
            payment.amount,
            opened.callback_url,
            payment.account_reference,
            payment.description,
        )
    except DarajaRefused as error:
        return _answer(payment, Outcome.FAILED, error)
    except DarajaSilent as error:
        return _answer(payment, Outcome.UNKNOWN, error)
    return Evidence(
        payment_id=payment.pk,
        source=Source.PUSH,
        outcome=Outcome.ACCEPTED,
        observed_at=timezone.now(),
        checkout_request_id=accepted.checkout_request_id,
        merchant_request_id=accepted.merchant_request_id,
    )


def _answer(payment: Payment, outcome: Outcome, error: DarajaError) -> Evidence:
    return Evidence(
        payment_id=payment.pk,
        source=Source.PUSH,
        outcome=outcome,
        observed_at=timezone.now(),
        # Daraja's error codes have dots; an HTTP status or nothing at all is no code of theirs.
        code=error.daraja_code if "." in error.daraja_code else "refused",
        text=error.text or str(error),
    )


# --- conclude -------------------------------------------------------------------------------


def conclude(answer: Evidence) -> Payment:
    """Settle Daraja's answer and return the payment as it now stands."""
    with transaction.atomic(durable=True):
        settle_many([answer])
    return Payment.objects.select_related("merchant").get(pk=answer.payment_id)


def abandon(payment: Payment) -> None:
    """Nothing was sent: keep nothing, and let the idempotency key go.

    If somebody was told of the payment meanwhile (a replay of the key), its row stays, as Failed
    with the reason `not_sent`, so that nobody waits for a payment that is not there.
    """
    with transaction.atomic(durable=True):
        row = Payment.objects.select_for_update().get(pk=payment.pk)
        keys = IdempotencyKey.objects.filter(payment=row)
        known = keys.filter(replayed=True).exists() or row.standing
        keys.delete()
        if known:
            settle_many([never_sent(row)])
        else:
            PaymentEvent.objects.filter(payment=row).delete()
            OpenPrompt.objects.filter(pk=row.pk).delete()
            row.delete()


def never_sent(payment: Payment) -> Evidence:
    """Our own knowledge: `sending_at` is empty, or Daraja said that nothing happened."""
    return Evidence(
        payment_id=payment.pk,
        source=Source.MILANGO,
        outcome=Outcome.FAILED,
        observed_at=timezone.now(),
        code="not_sent",
        text="The prompt was never sent.",
    )
