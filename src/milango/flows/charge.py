"""Ask a payer for money: `prepare` (write it down) → `send` (ask Daraja) → `conclude` (settle).

No database connection is held while Daraja thinks, and a prompt is never sent twice for one
request: the row is committed before anything goes out, and `sending_at` just before the bytes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from django.db import InterfaceError, OperationalError, transaction

from milango.conf import conf
from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent, Declined
from milango.core.inputs import PushRequest
from milango.core.payments import Evidence, Outcome, Source, Status
from milango.daraja import DynamicMpesaClient
from milango.daraja.sessions import bridge
from milango.models import OpenPrompt, Payment, PaymentEvent
from milango.seen import spans

from . import hours, pacing
from .batches import Verb
from .callers import Caller
from .opening import OPENINGS, Opened, Opening, draft, keys_of, open_one
from .receive import EVIDENCE
from .settle import Settled, settle_many

logger = logging.getLogger(__name__)

Submit = Callable[[Verb, Any], Awaitable[Any]]
"""How a door has rows written: the inbox, which writes them together with others."""

InThread = Callable[[Callable[[], None]], Awaitable[None]]
"""How a door does something that blocks."""


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
    hours.look()
    opening = draft(caller, request, idempotency_key=idempotency_key, peer=peer)
    with _span(opening):
        return _charge(opening)


def _span(opening: Opening) -> AbstractContextManager[object]:
    payment = opening.payment
    return spans.span(
        "charge", payment=payment.public_id, merchant=f"mer_{payment.merchant_id.hex}"
    )


def _charge(opening: Opening) -> Payment:
    time.sleep(pacing.admit(opening.client))
    opened = open_one(opening)
    if isinstance(opened, Payment):
        return opened
    try:
        answer = send(opened)
    except DarajaBusy:
        abandon(opened.payment)
        raise
    try:
        payment = conclude(answer)
    except (OperationalError, InterfaceError) as error:
        return _as_it_is_written(opened, error)
    return _told(answer, payment)


async def acharge(opening: Opening, submit: Submit, in_thread: InThread) -> Payment:
    """`charge` without a thread that waits: the rows go through `submit`, in batches.

    Once it has begun it must not be cancelled: the prompt may be out.
    """
    with _span(opening):
        return await _acharge(opening, submit, in_thread)


async def _acharge(opening: Opening, submit: Submit, in_thread: InThread) -> Payment:
    await asyncio.sleep(pacing.admit(opening.client))
    opened: Opened | Payment = await submit(OPENINGS, opening)
    if isinstance(opened, Payment):
        return opened
    payment = opened.payment
    try:
        answer = await asend(opened, in_thread)
    except DarajaBusy:
        await in_thread(lambda: abandon(payment))
        raise
    try:
        settled: Settled = await submit(EVIDENCE, answer)
    except Declined as error:
        return _as_it_is_written(opened, error)
    if settled.payment:
        settled.payment.copy_to(payment)
    return _told(answer, payment)


def _as_it_is_written(opened: Opened, error: Exception) -> Payment:
    """Pending, when Daraja's answer cannot be written down: the prompt may be out, and whoever is
    told "send it again" would send a second one."""
    logger.error("Daraja's answer could not be written down: %s", type(error).__name__)
    return opened.payment


def _told(answer: Evidence, payment: Payment) -> Payment:
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


# --- send -----------------------------------------------------------------------------------


def send(opened: Opened) -> Evidence:
    """Ask Daraja for the prompt; its answer is evidence, whatever it is.

    Raises DarajaBusy when nothing happened. Without a token nothing can have been sent, so a
    silent token service is "not now" as well.
    """
    client, payment = opened.client, opened.payment
    if payment.sending_at is None:
        refused = bridge.run(_refusal_of_a_token(client, payment))
        if refused:
            return refused
        mark_sending(payment)
    return bridge.run(_push(client, opened))


async def asend(opened: Opened, in_thread: InThread) -> Evidence:
    """`send`, awaitable."""
    client, payment = opened.client, opened.payment
    if payment.sending_at is None:
        refused = await _refusal_of_a_token(client, payment)
        if refused:
            return refused
        await in_thread(lambda: mark_sending(payment))
    return await _push(client, opened)


async def _refusal_of_a_token(client: DynamicMpesaClient, payment: Payment) -> Evidence | None:
    try:
        await client._aget_access_token()
    except DarajaRefused as error:
        return _answer(payment, Outcome.FAILED, error)
    except DarajaSilent as error:
        message = "Daraja's token service does not answer. No prompt was sent."
        raise DarajaBusy(message, retry_after=10) from error
    return None


def mark_sending(payment: Payment) -> None:
    """Commit that the request is about to go out: from here on, silence means doubt."""
    now = hours.now()
    until = now + timedelta(seconds=conf().prompt_life)
    mine = Payment.objects.filter(pk=payment.pk, status=Status.PENDING.value, sending_at=None)
    with transaction.atomic(durable=True):
        if not mine.update(sending_at=now, prompt_until=until):
            # We slept so long that a sweep has already failed the row as `not_sent`.
            raise DarajaBusy("This request took too long to start. No prompt was sent.")
        OpenPrompt.objects.filter(pk=payment.pk).update(until=until)


async def _push(client: DynamicMpesaClient, opened: Opened) -> Evidence:
    payment = opened.payment
    try:
        accepted = await client.astk_push(
            payment.phone,
            payment.amount,
            opened.callback_url,
            payment.account_reference,
            payment.description,
        )
    except DarajaBusy as error:
        pacing.learn(client, error)
        raise
    except DarajaRefused as error:
        return _answer(payment, Outcome.FAILED, error)
    except DarajaSilent as error:
        return _answer(payment, Outcome.UNKNOWN, error)
    pacing.learn(client, None)
    return Evidence(
        payment_id=payment.pk,
        source=Source.PUSH,
        outcome=Outcome.ACCEPTED,
        observed_at=hours.now(),
        checkout_request_id=accepted.checkout_request_id,
        merchant_request_id=accepted.merchant_request_id,
    )


def _answer(payment: Payment, outcome: Outcome, error: DarajaError) -> Evidence:
    return Evidence(
        payment_id=payment.pk,
        source=Source.PUSH,
        outcome=outcome,
        observed_at=hours.now(),
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
        keys = keys_of(row)
        # Locked: a replay that is being answered in this moment is seen, or finds no key.
        known = any(key.replayed for key in keys.select_for_update()) or row.standing
        keys.delete()
        if known:
            settle_many([never_sent(row)])
            return
        PaymentEvent.objects.filter(payment=row).delete()
        OpenPrompt.objects.filter(pk=row.pk).delete()
        # Not row.delete(): it would look for the payment in every table that names one.
        Payment.objects.filter(pk=row.pk)._raw_delete(row._state.db)


def never_sent(payment: Payment) -> Evidence:
    """Our own knowledge: `sending_at` is empty, or Daraja said that nothing happened."""
    return Evidence(
        payment_id=payment.pk,
        source=Source.MILANGO,
        outcome=Outcome.FAILED,
        observed_at=hours.now(),
        code="not_sent",
        text="The prompt was never sent.",
    )
