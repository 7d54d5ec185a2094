"""Who lives in the storm: merchants with short codes, keys and webhooks, known to the simulator."""

from __future__ import annotations

from typing import Any, Final

from .payers import Shop

SHOPS: Final = (
    # name, kind, environment. Live money is judged more strictly than the simulator's.
    ("Duka", "paybill", "simulator"),
    ("Hoteli", "till", "simulator"),
    ("Kinyozi", "paybill", "production"),
    ("Mama Mboga", "till", "production"),
)


OPERATOR: Final = "storm-operator"

CONFIRMED: Final = frozenset({"Duka", "Mama Mboga"})
"""Whose payments are confirmed by C2B as well. What the others miss, Pull alone can tell."""


def settle_down(hooks: str) -> tuple[list[Shop], list[dict[str, Any]]]:
    """Add the merchants; `hooks` is the base address of their webhooks.

    Gives them as their own servers know them, and their apps as Daraja's portal does.
    """
    shops, apps = [], []
    for number, (name, kind, environment) in enumerate(SHOPS):
        credential, key = _move_in(number, name, kind, environment, hooks)
        shops.append(Shop(name, credential.short_code, key))
        apps.append(
            {
                "consumer_key": credential.consumer_key,
                "consumer_secret": credential.consumer_secret,
                "name": name,
                "shortcodes": [
                    {
                        "shortcode": credential.business_short_code,
                        "kind": kind,
                        "party_b": credential.party_b,
                        "passkey": credential.passkey,
                        "initiator": OPERATOR,
                        "initiator_password": OPERATOR,
                    }
                ],
            }
        )
    return shops, apps


def _move_in(number: int, name: str, kind: str, environment: str, hooks: str) -> tuple[Any, str]:
    from milango.flows import endpoints
    from milango.flows.callers import create_key
    from milango.models import Merchant, MpesaCredential

    merchant = Merchant.objects.create(name=name)
    credential = MpesaCredential.objects.create(
        merchant=merchant,
        kind=kind,
        environment=environment,
        short_code=str(600_100 + number),
        store_number=str(600_200 + number) if kind == "till" else "",
        consumer_key=f"key-of-{number}",
        consumer_secret=f"secret-of-{number}",
        passkey=f"passkey-of-{number}",
    )
    endpoints.add(merchant, f"{hooks}/hooks/{number}", actor="storm")
    return credential, create_key(merchant, "secret", actor="storm")[1]


def open_all_sources(certificate: str) -> None:
    """Register C2B, Pull and the operator of Transaction Status, as `milango shortcodes` does."""
    from milango.flows import confirmations, pulls
    from milango.flows.credentials import change_credential
    from milango.models import MpesaCredential

    for credential in MpesaCredential.objects.select_related("merchant"):
        change_credential(
            credential,
            actor="storm",
            initiator_name=OPERATOR,
            initiator_password=OPERATOR,
            initiator_certificate=certificate,
        )
        pulls.switch(credential, on=True, number="254722000000", actor="storm")
        if credential.merchant.name in CONFIRMED:
            confirmations.register(
                credential, response_type="Completed", version="v2", actor="storm"
            )
