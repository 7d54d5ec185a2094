"""A Daraja client for one credential, with the installation's addresses and shared tokens."""

from __future__ import annotations

from milango.conf import conf
from milango.daraja import DynamicMpesaClient
from milango.models import MpesaCredential

from .tokens import TableTokenStore


def client_for(credential: MpesaCredential) -> DynamicMpesaClient:
    """The client that carries this credential's own key, secret, passkey and short code."""
    return DynamicMpesaClient(
        credential,
        base_url=conf().daraja_urls.get(credential.environment),
        token_store=TableTokenStore(),
    )
