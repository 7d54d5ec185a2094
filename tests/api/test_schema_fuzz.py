"""schemathesis: whatever is sent, no answer is undocumented, and no 5xx but the documented 503."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from milango.models import Merchant, MpesaCredential, Payment
from tests.flows.conftest import make_payment
from tests.people import make_key
from tests.whole.conftest import Daraja

OPERATIONS = [
    ("POST", "/api/v1/stk-push"),
    ("GET", "/api/v1/payments/status/{checkout_id}"),
    ("GET", "/api/v1/payments"),
    ("GET", "/api/v1/payments/{payment_id}"),
    ("GET", "/api/v1/payments/{payment_id}/events"),
]

CHECKS = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def schema(transactional_db: None) -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())


@pytest.mark.slow
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_nothing_undocumented_comes_back(
    method: str,
    path: str,
    schema: Any,
    merchant: Merchant,
    credential: MpesaCredential,
    daraja: Daraja,
):
    payment = make_payment(credential)
    key = make_key(merchant)[1]
    headers = {"Authorization": f"Bearer {key}"}
    known = {"checkout_id": payment.checkout_id, "payment_id": payment.public_id}
    strategy = schema[path][method].as_strategy(
        generation_mode=schemathesis.GenerationMode.POSITIVE
    ) | schema[path][method].as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
    print(known, headers, strategy)
