"""`milango push`: its exit code says what a script may assume."""

from __future__ import annotations

import pytest

from milango.flows import installations
from milango.models import Payment
from tests.cli.conftest import Milango
from tests.people import make_credential, make_merchant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"shortcode": "999999"}, "no active credential"),
        ({"phone": "0202345678"}, "Kenyan mobile number"),
        ({"amount": "0"}, "amount"),
    ],
)
def test_a_request_that_sent_no_prompt_has_a_code_of_its_own(
    milango: Milango, changes: dict[str, str], said: str
) -> None:
    installations.current()
    credential = make_credential(make_merchant())
    words = {"shortcode": credential.short_code, "phone": "0708374149", "amount": "50"} | changes
    options = [word for name, value in words.items() for word in (f"--{name}", value)]
    pushed = milango("push", "--merchant", credential.merchant.name, *options)
    assert pushed.exit_code == 3, "2 is a prompt that is still open"
    assert said in pushed.output
    assert "This request sent no prompt." in pushed.output
    assert not Payment.objects.exists()
