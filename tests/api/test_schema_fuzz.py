"""schemathesis: whatever is sent, no answer is undocumented, and no 5xx but the documented 503."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from hypothesis import HealthCheck, Phase, settings
from schemathesis.specs.openapi import checks

from milango.flows import endpoints
from milango.models import Merchant, MpesaCredential
from tests.flows.conftest import make_payment
from tests.people import make_key
from tests.whole.conftest import Daraja

pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.django_db(transaction=True)]

DOCUMENTED = [
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@pytest.fixture
def document(transactional_db: None) -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", get_wsgi_application())


schema = schemathesis.pytest.from_fixture("document")


@pytest.fixture
def key(merchant: Merchant) -> str:
    return make_key(merchant, scopes=["read", "charge", "manage"])[1]


@pytest.fixture
def known(credential: MpesaCredential) -> dict[str, str]:
    """What the routes can find: a payment's ids, a short code, a webhook endpoint, a delivery."""
    payment = make_payment(credential, prompt_open=False)
    endpoint = endpoints.add(credential.merchant, "https://shop.example/hook", actor="test")
    return {
        "endpoint_id": endpoint.public_id,
        "delivery_id": endpoints.trigger_at(endpoint, "ping").public_id,
        "payment_id": payment.public_id,
        "checkout_id": payment.checkout_id,
        "shortcode": credential.short_code,
    }


def examples(number: int) -> settings:
    """So many requests of each operation."""
    return settings(
        max_examples=number,
        deadline=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@schema.exclude(path_regex="/webhook-").parametrize()
@examples(25)
def test_no_answer_is_undocumented(case: Any, key: str, known: dict[str, str], daraja: Daraja):
    _try(case, key, known)


@schema.include(path_regex="/webhook-").parametrize()
@examples(8)
def test_no_answer_about_webhooks_is_undocumented(case: Any, key: str, known: dict[str, str]):
    _try(case, key, known)


def _try(case: Any, key: str, known: dict[str, str]) -> None:
    for names in ({}, known):
        if case.path_parameters:
            case.path_parameters |= {n: v for n, v in names.items() if n in case.path_parameters}
        if isinstance(case.body, dict) and "shortcode" in case.body and names:
            case.body = case.body | {"shortcode": names["shortcode"]}
        if (case.path_parameters or {}).get("payment_id") == "status":
            continue  # that is the address of a status, which has a document of its own
        answer = case.call(headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code < 500 or answer.status_code == 503, answer.text
        case.validate_response(answer, checks=DOCUMENTED)
