"""What the demo has from the start: two merchants with credentials and keys of their own."""

from __future__ import annotations

import secrets
from typing import Any, Final, NamedTuple

from django.contrib.auth import get_user_model

from milango.conf import conf
from milango.core.errors import Declined
from milango.flows import callers, confirmations, hours, installations, pulls
from milango.flows.clients import client_for
from milango.flows.credentials import add_credential, change_credential
from milango.flows.merchants import add_merchant, set_origins
from milango.models import ApiKey, CredentialState, Merchant, MpesaCredential

from .home import Home

ACTOR: Final = "demo"
ADMINISTRATOR: Final = "demo"
OPERATOR: Final = "demo-operator"
PAPERS: Final = "0722000000"
"""The phone number on the short codes' papers."""

SIMULATOR: Final = MpesaCredential.Environment.SIMULATOR.value


class Seed(NamedTuple):
    """A merchant of the demo."""

    name: str
    kind: str
    short_code: str
    store_number: str = ""


SEEDS: Final = (
    Seed("Duka Demo", "paybill", "600100"),
    # As in life, the number that payers see is not the one that signs.
    Seed("Wi-Fi Demo", "till", "5512345", store_number="7700321"),
)


def seed(home: Home, port: int) -> list[dict[str, str]]:
    """Make what is missing, keep what is there. Returns the merchants as `--json` shows them."""
    installations.adopt(actor=ACTOR)
    _administrator(home.installation()["admin_password"])
    origins = [f"http://127.0.0.1:{port}", f"http://localhost:{port}"]
    kept = home.api_keys()
    keys = {each.name: _seed_one(each, origins, kept.get(each.name, {})) for each in SEEDS}
    if keys != kept:
        home.keep_api_keys(keys)
    return [
        {"name": each.name, "shortcode": each.short_code, "kind": each.kind} | keys[each.name]
        for each in SEEDS
    ]


def _administrator(password: str) -> None:
    """Somebody who may look around in the admin. The password is this installation's own."""
    users = get_user_model().objects
    if not users.filter(username=ADMINISTRATOR).exists():
        users.create_superuser(username=ADMINISTRATOR, password=password)


def _seed_one(wanted: Seed, origins: list[str], kept: dict[str, str]) -> dict[str, str]:
    merchant = Merchant.objects.filter(name=wanted.name).first()
    merchant = merchant or add_merchant(wanted.name, actor=ACTOR)
    set_origins(merchant, origins, actor=ACTOR)
    _credential(merchant, wanted)
    return {
        "secret_key": _key(
            merchant, "secret", kept.get("secret_key"), scopes=["read", "charge", "manage"]
        ),
        "publishable_key": _key(
            merchant, "publishable", kept.get("publishable_key"), open_amount=True
        ),
    }


def _credential(merchant: Merchant, wanted: Seed) -> None:
    known = MpesaCredential.objects.filter(
        merchant=merchant, environment=SIMULATOR, short_code=wanted.short_code
    )
    if not known.exists():
        add_credential(
            merchant,
            actor=ACTOR,
            kind=wanted.kind,
            short_code=wanted.short_code,
            store_number=wanted.store_number,
            environment=SIMULATOR,
            consumer_key=secrets.token_urlsafe(24),
            consumer_secret=secrets.token_urlsafe(24),
            passkey=secrets.token_hex(32),
        )


def _key(merchant: Merchant, kind: str, kept: str | None, **options: Any) -> str:
    """The key that was shown before, if it still works; otherwise a new one in its place."""
    known = ApiKey.objects.filter(merchant=merchant, kind=kind, name=ACTOR, revoked_at=None)
    if kept and _works(kept, merchant):
        return kept
    for key in known:
        callers.revoke_key(key, actor=ACTOR)
    return callers.create_key(merchant, kind, actor=ACTOR, name=ACTOR, **options)[1]


def _works(key: str, merchant: Merchant) -> bool:
    try:
        caller = callers.authenticate(f"Bearer {key}", None)
    except Declined:
        return False
    return bool(caller.merchant == merchant)


def equip(certificate: str) -> None:
    """Give the short codes what Safaricom would: an API operator, and Pull. Once; then they are
    kept. The certificate is the simulator's, whose key the demo keeps."""
    for credential in _seeded():
        if not credential.initiator_name:
            change_credential(
                credential,
                actor=ACTOR,
                initiator_name=OPERATOR,
                initiator_password=secrets.token_urlsafe(12),
                initiator_certificate=certificate,
                pull=True,
            )


def connect() -> None:
    """Register C2B and Pull with the simulator, which remembers nothing from one run to the next.

    Raises as the client does.
    """
    for credential in _seeded():
        confirmations.register(credential, response_type="Completed", version="v2", actor=ACTOR)
        client_for(credential).register_pull(PAPERS, conf().address("/callbacks/pull"))
        # It has just begun, and has nothing yet to be pulled.
        later = {"next_pull_at": hours.heard() + pulls.EVERY}
        CredentialState.objects.update_or_create(credential=credential, defaults=later)


def _seeded() -> list[MpesaCredential]:
    rows = MpesaCredential.objects.filter(
        environment=SIMULATOR,
        active=True,
        merchant__name__in=[each.name for each in SEEDS],
        short_code__in=[each.short_code for each in SEEDS],
    )
    return list(rows.select_related("merchant"))


def daraja_apps() -> list[dict[str, Any]]:
    """Every credential of the simulator environment, as the simulator's control API takes apps."""
    apps: dict[str, dict[str, Any]] = {}
    rows = MpesaCredential.objects.filter(environment=SIMULATOR, active=True)
    for row in rows.select_related("merchant"):
        app = apps.setdefault(
            row.consumer_key,
            {
                "consumer_key": row.consumer_key,
                "consumer_secret": row.consumer_secret,
                "name": row.merchant.name,
                "shortcodes": [],
            },
        )
        app["shortcodes"].append(
            {
                "shortcode": row.business_short_code,
                "kind": row.kind,
                "party_b": row.party_b,
                "passkey": row.passkey,
                "name": row.merchant.name,
                "initiator": row.initiator_name or None,
                "initiator_password": row.initiator_password or None,
            }
        )
    return list(apps.values())
