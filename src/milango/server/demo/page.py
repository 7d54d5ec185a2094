"""The demo's page: what a shop's own front end would do with a publishable key."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from milango.core.tariffs import calculate_access_time

from .home import Home
from .seed import SEEDS

AMOUNTS: Final = (20, 50, 100, 200)
"""KES, one press each."""

PHONE: Final = "0712 345 678"


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Choose a merchant, type a phone and an amount, pay."""
    demo: dict[str, Any] = settings.MILANGO_DEMO  # type: ignore[misc]  # ours alone
    response = render(request, "milango_demo/page.html", _context(demo))
    response["Content-Security-Policy"] = _policy(demo["SIMULATOR_PORT"])
    response["Cache-Control"] = "no-store"
    return response


def _context(demo: dict[str, Any]) -> dict[str, Any]:
    keys = Home(Path(demo["FOLDER"])).api_keys()
    merchants = [
        {
            "name": each.name,
            "shortcode": each.short_code,
            "kind": each.kind,
            "publishable_key": keys[each.name]["publishable_key"],
        }
        for each in SEEDS
    ]
    amounts = [{"kes": kes, "minutes": calculate_access_time(Decimal(kes))} for kes in AMOUNTS]
    return {
        "merchants": merchants,
        "amounts": amounts,
        "phone": PHONE,
        "told": {
            "merchants": merchants,
            "simulatorPort": demo["SIMULATOR_PORT"],
        },
    }


def _policy(simulator_port: int) -> str:
    frames = " ".join(f"http://{host}:{simulator_port}" for host in ("127.0.0.1", "localhost"))
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        f"connect-src 'self'; frame-src {frames}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
