"""The nouns: what Milango keeps."""

from .access import AccessGrant
from .asking import CredentialState, StatusQuestion
from .evidence import Doubt, InboundCallback, OperatorWord, Receipt
from .installation import AuditEntry, Counter, Installation, OAuthToken
from .merchants import ApiKey, Customer, Membership, Merchant, MerchantOrigin, MpesaCredential
from .payments import IdempotencyKey, OpenPrompt, Payment, PaymentEvent, SettledOrder
from .webhooks import WebhookDelivery, WebhookEndpoint

__all__ = [
    "AccessGrant",
    "ApiKey",
    "AuditEntry",
    "Counter",
    "CredentialState",
    "Customer",
    "Doubt",
    "IdempotencyKey",
    "InboundCallback",
    "Installation",
    "Membership",
    "Merchant",
    "MerchantOrigin",
    "MpesaCredential",
    "OAuthToken",
    "OpenPrompt",
    "OperatorWord",
    "Payment",
    "PaymentEvent",
    "Receipt",
    "SettledOrder",
    "StatusQuestion",
    "WebhookDelivery",
    "WebhookEndpoint",
]
