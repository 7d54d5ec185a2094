"""A Daraja client for one credential, with the installation's addresses and shared tokens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from milango.conf import conf
from milango.daraja import DynamicMpesaClient
from milango.models import MpesaCredential
from milango.seen import metrics, spans

from .caches import Remembered
from .tokens import TableTokenStore

_clients: Final = Remembered[DynamicMpesaClient](seconds=30, of=(MpesaCredential,))
"""The secrets of a credential in use are decrypted once in this time."""


def client_for(credential: MpesaCredential) -> DynamicMpesaClient:
    """The client that carries this credential's own key, secret, passkey and short code."""
    key = (credential.pk, credential.version, conf())
    return _clients.get(key, lambda: _open(credential))


def _open(credential: MpesaCredential) -> DynamicMpesaClient:
    environment, short_code = credential.environment, credential.short_code
    return DynamicMpesaClient(
        credential,
        base_url=conf().daraja_urls.get(credential.environment),
        token_store=TableTokenStore(),
        watch=lambda call: _watched(call, environment, short_code),
    )


@contextmanager
def _watched(call: str, environment: str, short_code: str) -> Iterator[None]:
    with (
        spans.span(f"daraja {call}", environment=environment, short_code=short_code),
        metrics.daraja_call(call, environment, short_code),
    ):
        yield
