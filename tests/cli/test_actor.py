"""Who is at the command line: the account that runs it, whatever the environment says."""

from __future__ import annotations

import os
import pwd

import pytest

from milango.api.cli.lazy import actor
from milango.flows import installations
from milango.models import OperatorWord
from tests.cli.conftest import Milango
from tests.flows.conftest import make_payment
from tests.people import make_credential, make_merchant

NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")
NOBODY = 1_999_999_999
"""An account without a name, as in a container."""


def named(name: str) -> dict[str, str]:
    return dict.fromkeys(NAMES, name)


@pytest.mark.django_db(transaction=True)
def test_nobody_is_a_second_person_by_another_name_in_the_environment(milango: Milango) -> None:
    installations.current()
    payment = make_payment(make_credential(make_merchant()), amount=9_000)
    why = ("--reason", "the till slip")
    milango("payments", "mark", payment.public_id, "paid", *why, env=named("asha"))
    word = OperatorWord.objects.get()
    assert word.spoken_by == actor()
    approved = milango("payments", "approve", word.public_id, env=named("juma"))
    assert (approved.exit_code, "Another person" in approved.output) == (1, True)
    payment.refresh_from_db()
    assert payment.status == "Pending"


@pytest.mark.parametrize(
    ("uid", "sudo", "name"),
    [
        (0, None, "cli:root"),
        (0, str(NOBODY), f"cli:uid:{NOBODY}"),
        (0, "0", "cli:root"),
        (0, "juma", "cli:root"),
        (0, "99999999999", "cli:root"),
        (NOBODY, None, f"cli:uid:{NOBODY}"),
        (NOBODY, "0", f"cli:uid:{NOBODY}"),
    ],
)
def test_only_root_is_believed_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch, uid: int, sudo: str | None, name: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: uid)
    monkeypatch.delenv("SUDO_UID", raising=False)
    if sudo is not None:
        monkeypatch.setenv("SUDO_UID", sudo)
    assert actor() == name


def test_an_account_has_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUDO_UID", raising=False)
    for each in NAMES:
        monkeypatch.setenv(each, "somebody-else")
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = f"uid:{os.getuid()}"
    assert actor() == f"cli:{name}"
