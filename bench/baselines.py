"""The usual ways, done as well as they can be: what Milango is compared with.

Served by gunicorn as `bench.baselines:application`. The callback view does the same work as ours,
through REST framework and the ORM; the push asks for a token and for the prompt with `requests`.
"""

from __future__ import annotations

import base64
import hashlib
import os
from datetime import timedelta
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.settings")

import django

django.setup()

import requests
from django.core.handlers.wsgi import WSGIHandler
from django.db import transaction
from django.urls import path
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from milango.core.tariffs import calculate_access_time
from milango.models import (
    AccessGrant,
    Customer,
    InboundCallback,
    MpesaCredential,
    OpenPrompt,
    Payment,
    PaymentEvent,
    Receipt,
    WebhookDelivery,
    WebhookEndpoint,
)


class CallbackView(APIView):
    """Stores and settles one callback, with everything that follows."""

    authentication_classes = ()

    def post(self, request: Request, token: str) -> Response:
        """One transaction, committed before the answer."""
        body = request._request.body
        data: Any = request.data
        said = data["Body"]["stkCallback"]
        items = {item["Name"]: item.get("Value") for item in said["CallbackMetadata"]["Item"]}
        with transaction.atomic():
            hashed = hashlib.sha256(token.encode()).hexdigest()
            payment = Payment.objects.select_for_update().get(pk=token[2:34])
            if payment.callback_token_hash != hashed or items["Amount"] != payment.amount:
                return Response(status=404)
            self._settle(payment, said, items, body)
        return Response({"ResultCode": 0, "ResultDesc": "Accepted"})

    def _settle(self, payment: Payment, said: Any, items: Any, body: bytes) -> None:
        now = timezone.now()
        payment.customer, _ = Customer.objects.get_or_create(
            merchant_id=payment.merchant_id, phone=str(items["PhoneNumber"])
        )
        payment.status = "Success"
        payment.receipt_number = items["MpesaReceiptNumber"]
        payment.amount_paid = payment.amount
        payment.settled_at = now
        payment.event_count += 1
        Receipt.objects.create(
            environment=payment.environment,
            short_code=payment.party_b,
            code=payment.receipt_number,
            payment=payment,
            source="callback",
            amount=payment.amount,
        )
        event = PaymentEvent.objects.create(
            payment=payment,
            merchant_id=payment.merchant_id,
            seq=payment.event_count,
            type="payment.succeeded",
            at=now,
            data={"receipt_number": payment.receipt_number},
        )
        if payment.service_type == "captive_portal":
            self._grant(payment, now)
        payment.save()
        OpenPrompt.objects.filter(pk=payment.pk).delete()
        for endpoint in WebhookEndpoint.objects.filter(merchant=payment.merchant_id, active=True):
            WebhookDelivery.objects.create(
                endpoint=endpoint,
                merchant_id=payment.merchant_id,
                payment=payment,
                event_id=event.pk,
                event_type=event.type,
                next_attempt_at=now,
            )
        InboundCallback.objects.create(
            payment=payment,
            merchant_id=payment.merchant_id,
            body=body,
            body_sha256=hashlib.sha256(body).hexdigest(),
            verdict="settled",
            received_at=now,
        )

    def _grant(self, payment: Payment, now: Any) -> None:
        payment.access_duration_minutes = calculate_access_time(payment.amount)
        payment.start_time = now
        AccessGrant.objects.create(
            payment=payment,
            merchant_id=payment.merchant_id,
            customer=payment.customer,
            minutes=payment.access_duration_minutes,
            starts_at=now,
            ends_at=now + timedelta(minutes=payment.access_duration_minutes),
        )


class PushView(APIView):
    """Asks for a token, then for the prompt, and saves the payment."""

    authentication_classes = ()

    def post(self, request: Request) -> Response:
        """The thread waits while Daraja thinks."""
        wish: Any = request.data
        credential = MpesaCredential.objects.get(short_code=wish["shortcode"])
        url = os.environ["BENCH_DARAJA"]
        token = requests.get(
            f"{url}/oauth/v1/generate?grant_type=client_credentials",
            auth=(credential.consumer_key, credential.consumer_secret),
            timeout=30,
        ).json()["access_token"]
        now = timezone.now()
        stamp = (now + timedelta(hours=3)).strftime("%Y%m%d%H%M%S")
        password = f"{credential.short_code}{credential.passkey}{stamp}"
        answer = requests.post(
            f"{url}/mpesa/stkpush/v1/processrequest",
            json={
                "BusinessShortCode": credential.short_code,
                "Password": base64.b64encode(password.encode()).decode(),
                "Timestamp": stamp,
                "TransactionType": "CustomerPayBillOnline",
                "Amount": wish["amount"],
                "PartyA": wish["phone_number"],
                "PartyB": credential.short_code,
                "PhoneNumber": wish["phone_number"],
                "CallBackURL": "https://bench.example/callback",
                "AccountReference": "TABLE 7",
                "TransactionDesc": "Payment",
            },
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        ).json()
        payment = Payment.objects.create(
            merchant_id=credential.merchant_id,
            credential=credential,
            credential_version=1,
            environment=credential.environment,
            short_code=credential.short_code,
            party_b=credential.short_code,
            amount=wish["amount"],
            phone=wish["phone_number"],
            account_reference="TABLE 7",
            checkout_request_id=answer["CheckoutRequestID"],
            callback_token_hash="0" * 64,
            created_at=now,
            prompt_until=now + timedelta(seconds=180),
        )
        return Response({"id": payment.public_id, "status": payment.status}, status=202)


urlpatterns = [
    path("callbacks/stk/<str:token>", CallbackView.as_view()),
    path("api/v1/stk-push", PushView.as_view()),
]


def _application() -> WSGIHandler:
    from django.conf import settings

    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    return WSGIHandler()


application = _application()
