"""System checks: wrong settings are said at boot, not at the first payment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured

from .conf import Conf, conf


@register(Tags.security)
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """Everything that is wrong with `MILANGO`, each with an id and a hint."""
    try:
        ours = conf()
    except ImproperlyConfigured as error:
        return [Error(str(error), id="milango.E001")]
    return [message for check in CHECKS for message in check(ours)]


def _keys(ours: Conf) -> Iterator[CheckMessage]:
    if not ours.keys:
        hint = (
            "Make one with milango.sealing.generate_key('01'), put it into MILANGO['KEYS'], and "
            "keep it apart from the database: without it no stored secret can be read."
        )
        yield Error("MILANGO['KEYS'] has no key.", hint=hint, id="milango.E002")


def _public_url(ours: Conf) -> Iterator[CheckMessage]:
    if not ours.public_url:
        hint = "Write the address under which Safaricom reaches you: https://pay.example.co.ke"
        yield Error("MILANGO['PUBLIC_URL'] is not set.", hint=hint, id="milango.E003")
    elif not ours.public_url.startswith("https://") and not _is_workbench(ours):
        hint = (
            "Callback addresses are secrets, and Daraja calls https alone. Plain http is for "
            "loopback, for DEBUG and for the simulator."
        )
        yield Error("MILANGO['PUBLIC_URL'] is not https.", hint=hint, id="milango.E004")


def _time_zones(ours: Conf) -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        hint = "Set USE_TZ = True: Milango stores times in UTC."
        yield Error("USE_TZ is off.", hint=hint, id="milango.E005")


def _daraja_urls(ours: Conf) -> Iterator[CheckMessage]:
    for environment, url in ours.daraja_urls.items():
        if environment != "simulator" and not url.startswith("https://") and not _is_local(url):
            hint = "Consumer keys and passkeys travel on it: use https."
            message = f"MILANGO['DARAJA_URLS'] has plain http for {environment}."
            yield Error(message, hint=hint, id="milango.E006")


def _simulator(ours: Conf) -> Iterator[CheckMessage]:
    if ours.simulator and not settings.DEBUG and not _is_local(ours.public_url):
        hint = "Its payments are not money. Set MILANGO['SIMULATOR'] = False in production."
        yield Warning("The simulator environment is on.", hint=hint, id="milango.W001")


def _proxies(ours: Conf) -> Iterator[CheckMessage]:
    if any(network.prefixlen == 0 for network in ours.trusted_proxies):
        hint = "Name your proxies alone: everybody else could then choose their own address."
        message = "MILANGO['TRUSTED_PROXIES'] trusts every address."
        yield Warning(message, hint=hint, id="milango.W002")


def _sources(ours: Conf) -> Iterator[CheckMessage]:
    if not ours.callback_sources:
        hint = "Leave the setting out to use Safaricom's published addresses."
        message = "MILANGO['CALLBACK_SOURCES'] is empty: every callback costs a query as well."
        yield Warning(message, hint=hint, id="milango.W003")


def _webhooks(ours: Conf) -> Iterator[CheckMessage]:
    if ours.webhooks_to_anywhere and not settings.DEBUG and not _is_local(ours.public_url):
        hint = "Whoever may add an endpoint could then reach into your network. Remove it."
        message = "MILANGO['WEBHOOKS_TO_ANYWHERE'] is on."
        yield Warning(message, hint=hint, id="milango.W004")


def _is_workbench(ours: Conf) -> bool:
    return bool(settings.DEBUG) or ours.simulator or _is_local(ours.public_url)


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


CHECKS: Final[tuple[Callable[[Conf], Iterator[CheckMessage]], ...]] = (
    _keys,
    _public_url,
    _time_zones,
    _daraja_urls,
    _simulator,
    _proxies,
    _sources,
    _webhooks,
)
