"""Endpoints, replays and test events from the command line."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from standardwebhooks import Webhook

from milango.flows import deliver, endpoints
from milango.models import AuditEntry, WebhookDelivery, WebhookEndpoint
from tests.cli.conftest import Milango
from tests.people import make_merchant
from tests.webhooks.conftest import Receiver, receiving, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://shop.example/hook"


def add(milango: Milango, *words: str) -> Any:
    make_merchant("Duka")
    return milango("webhooks", "add", URL, "--merchant", "Duka", *words)


def test_an_endpoint_is_added_listed_rotated_disabled_and_enabled(milango: Milango) -> None:
    added = add(milango, "--event", "payment.succeeded", "--ed25519")
    assert added.exit_code == 0, added.output
    row = WebhookEndpoint.objects.get()
    assert row.secret in added.output
    assert "whpk_" in added.output
    assert "whsk_" not in added.output
    listed = milango("webhooks", "list").output
    assert f"Duka: {URL} (payment.succeeded), well" in listed
    assert row.secret not in listed
    rotated = milango("webhooks", "rotate", row.public_id, "--keep-hours", "1")
    row.refresh_from_db()
    assert row.secret in rotated.output
    assert milango("webhooks", "disable", row.public_id).exit_code == 0
    assert "disabled on" in milango("webhooks", "list").output
    assert milango("webhooks", "enable", row.public_id).exit_code == 0
    assert WebhookEndpoint.objects.get().active
    actions = list(AuditEntry.objects.order_by("number").values_list("action", flat=True))
    assert actions == [f"webhook.{each}" for each in ("added", "rotated", "disabled", "enabled")]


@pytest.mark.parametrize("wanted", [[], ["payment.failed"], ["payment.failed", "ping"]])
def test_what_add_says_to_try_reaches_the_endpoint(milango: Milango, wanted: list[str]) -> None:
    words = [word for event in wanted for word in ("--event", event)]
    hint = add(milango, *words).output.splitlines()[-1]
    tried = milango(*shlex.split(hint.partition("milango ")[2]))
    assert "is due at 1 endpoint." in tried.output


@pytest.mark.parametrize("url", ["http://shop.example/", "https://127.0.0.1/", "shop"])
def test_an_address_inside_or_without_tls_is_refused(milango: Milango, url: str) -> None:
    make_merchant("Duka")
    refused = milango("webhooks", "add", url, "--merchant", "Duka")
    assert refused.exit_code == 1
    assert "Nothing is sent there." in refused.output
    assert not WebhookEndpoint.objects.exists()


def test_an_unknown_event_names_those_that_there_are(milango: Milango) -> None:
    refused = add(milango, "--event", "payment.success")
    assert refused.exit_code == 1
    assert "payment.succeeded" in refused.output


def test_a_test_event_is_due_and_can_be_replayed(milango: Milango) -> None:
    add(milango)
    assert milango("trigger", "--merchant", "Duka").output == "ping is due at 1 endpoint.\n"
    row = WebhookDelivery.objects.get()
    WebhookDelivery.objects.update(state="given_up", attempts=12)
    again = milango("webhooks", "replay", row.public_id)
    assert again.output == "1 delivery is due again.\n"
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("due", 0)
    words = ["webhooks", "replay", row.endpoint.public_id, "--since", "2020-01-01"]
    assert milango(*words).output == "1 delivery is due again.\n"
    assert milango(*words, "--event", "payment.failed").output == "0 deliveries are due again.\n"
    assert milango("webhooks", "replay", row.endpoint.public_id).exit_code == 2


def test_a_removed_endpoint_keeps_its_log_and_can_be_brought_back(milango: Milango) -> None:
    add(milango)
    milango("trigger", "--merchant", "Duka")
    name = WebhookEndpoint.objects.get().public_id
    assert f"enable {name}" in milango("webhooks", "remove", name).output
    assert "(removed)" in milango("webhooks", "list").output
    assert WebhookDelivery.objects.get().state == "given_up"
    assert milango("webhooks", "enable", name).exit_code == 0
    assert WebhookEndpoint.objects.get().active


@pytest.mark.parametrize(
    "words", [("webhooks", "disable"), ("doubts", "show"), ("payments", "show")]
)
def test_an_id_that_is_none_of_ours_says_so(milango: Milango, words: tuple[str, str]) -> None:
    refused = milango(*words, "mer_" + "0" * 32)
    assert refused.exit_code == 2
    assert "there is no" in refused.output


def test_a_test_event_for_nobody_says_so(milango: Milango) -> None:
    make_merchant("Duka")
    assert "Nobody is told" in milango("trigger", "--merchant", "Duka").output


LISTEN = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
import json
from django.conf import settings
told = json.loads(sys.argv[1])
settings.DATABASES["default"]["NAME"] = told["database"]
settings.MILANGO = told["milango"]
from milango.api.cli import new_group
new_group()(["listen", "--merchant", "Duka", "--forward-to", sys.argv[2]])
"""


@pytest.fixture
def program():
    with receiving() as receiver:
        yield receiver


def test_listen_forwards_to_this_machine_and_leaves_nothing_due(program: Receiver) -> None:
    import json

    merchant = make_merchant("Duka")
    told = {
        "database": str(connection.settings_dict["NAME"]),
        "milango": django_settings.MILANGO,
    }
    listening = subprocess.Popen(
        [sys.executable, "-u", "-c", LISTEN, json.dumps(told), program.url],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    try:
        assert listening.stdout
        secret = listening.stdout.readline().strip()
        wait_for(lambda: WebhookEndpoint.objects.filter(active=True).exists())
        endpoints.trigger(merchant, "payment.succeeded")
        assert deliver.turn([], {}, 10) == [], "no worker tells a session"
        program.wait()
        headers, body, _ = program.got[0]
        assert Webhook(secret).verify(body, headers)["data"]["test"] is True
        line = listening.stdout.readline()
        assert line.startswith("payment.succeeded")
        assert "[200]" in line
    finally:
        listening.send_signal(signal.SIGINT)
        rest, _ = listening.communicate(timeout=15)
    assert (listening.returncode, rest) == (0, "")
    assert not WebhookEndpoint.objects.get().active
    assert not WebhookDelivery.objects.filter(state="due").exists()
    assert endpoints.trigger(merchant, "ping") == 0
