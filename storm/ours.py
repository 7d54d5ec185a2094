"""Milango's side, read from its database: for the live view, and for the books."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from .books import Paid

PULL_WITHIN: Final = timedelta(seconds=5)
"""So often Pull is asked once the storm is over: it reads an hour of payments each time."""


AT_ONCE: Final = 5_000


@dataclass(frozen=True)
class Counts:
    """What stands in the database now."""

    payments: int = 0
    succeeded: int = 0
    pending: int = 0
    due: int = 0
    """Payments that Daraja is still to be asked about."""
    deliveries: int = 0
    """Webhooks that are still to be sent."""


def set_up() -> None:
    """Django, in this process, on the storm's database."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "storm.settings"
    import django

    django.setup()
    logging.disable()  # that the database is away now and then is what we are here for


def migrate() -> None:
    """Make the tables."""
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def _connect_anew() -> None:
    """Whichever thread this is, its connection may be older than the last kill."""
    from django.db import connection

    connection.close()


def counts() -> Counts:
    """Raises the database's errors while it is away."""
    from django.db.models import Count, Q

    from milango.models import Payment, WebhookDelivery

    _connect_anew()
    found = Payment.objects.aggregate(
        payments=Count("pk"),
        succeeded=Count("pk", filter=Q(status="Success")),
        pending=Count("pk", filter=Q(status="Pending")),
        due=Count("pk", filter=Q(next_check_at__isnull=False)),
    )
    return Counts(**found, deliveries=WebhookDelivery.objects.filter(state="due").count())


def hurry() -> None:
    """What is due later is due now: the storm is over, and nobody waits for a schedule's days."""
    from django.db.models.functions import Now
    from django.utils import timezone

    soon = timezone.now() + PULL_WITHIN

    from milango.flows import reconcile
    from milango.models import CredentialState, Payment

    _connect_anew()
    CredentialState.objects.filter(next_pull_at__gt=soon).update(next_pull_at=soon)
    later = Payment.objects.filter(next_check_at__gt=Now())
    while reconcile.bring_forward(later, timezone.now()):
        pass  # a part at a time
    while _send_soon():
        pass


def pulled_since(moment: datetime) -> bool:
    """Whether every short code was pulled, whole, by a Pull that began later than this."""
    from django.db.models import Q

    from milango.models import MpesaCredential

    _connect_anew()
    earlier = Q(state__pulled_until=None) | Q(state__pulled_until__lte=moment)
    return not MpesaCredential.objects.filter(earlier, pull=True).exists()


def _send_soon() -> int:
    from django.db import transaction
    from django.db.models.functions import Now

    from milango.models import WebhookDelivery

    with transaction.atomic():
        # What a worker has in its hands is left to it.
        later = WebhookDelivery.objects.filter(state="due", next_attempt_at__gt=Now())
        free = later.order_by("pk").select_for_update(skip_locked=True)
        ids = list(free.values_list("pk", flat=True)[:AT_ONCE])
        return WebhookDelivery.objects.filter(pk__in=ids).update(next_attempt_at=Now())


def payments() -> Iterator[Paid]:
    """All payments, as the books want them."""
    from django.db.models import Count

    from milango.models import Payment

    _connect_anew()
    rows = Payment.objects.annotate(grants_=Count("grant")).values_list(
        "id",
        "account_reference",
        "checkout_request_id",
        "status",
        "receipt_number",
        "amount_paid",
        "service_type",
        "grants_",
        "requested_by",
    )
    for key, reference, prompt, status, receipt, amount, service, grants, by in rows.iterator():
        yield Paid(
            id=f"pay_{key.hex}",
            account_reference=reference,
            checkout_request_id=prompt or "",
            status=status,
            receipt=receipt,
            amount=amount,
            sells_time=service == "captive_portal",
            grants=grants,
            prompted=by != "payer",
        )


def due_webhooks() -> Iterator[tuple[str, str]]:
    """(endpoint's number in the town, event id) of every event that somebody is to hear of."""
    from milango.flows.notify import SILENT
    from milango.models import PaymentEvent, WebhookEndpoint

    _connect_anew()
    doors: dict[Any, list[str]] = {}
    for endpoint in WebhookEndpoint.objects.all():
        doors.setdefault(endpoint.merchant_id, []).append(endpoint.url.rpartition("/")[2])
    rows = PaymentEvent.objects.exclude(type__in=SILENT).values_list("merchant_id", "id")
    for merchant, event in rows.iterator():
        for door in doors.get(merchant, ()):
            yield door, f"evt_{event.hex}"
