"""The nouns: what Milango keeps."""

from .access import AccessGrant
from .asking import CredentialState, StatusQuestion
from .errands import Errand
from .evidence import Doubt, InboundCallback, OperatorWord, Receipt, Reversal
from .installation import (
    AuditEntry,
    AuditKey,
    CheckRun,
    Counter,
    Heartbeat,
    Installation,
    OAuthToken,
)
from .merchants import ApiKey, Customer, Membership, Merchant, MerchantOrigin, MpesaCredential
from .payments import IdempotencyKey, OpenPrompt, Payment, PaymentEvent, SettledOrder
from .rounds import ClockRound
from .statements import StatementImport, StatementLine
from .webhooks import WebhookAttempt, WebhookDelivery, WebhookEndpoint

__all__ = [
    "AccessGrant",
    "ApiKey",
    "AuditEntry",
    "AuditKey",
    "CheckRun",
    "ClockRound",
    "Counter",
    "CredentialState",
    "Customer",
    "Doubt",
    "Errand",
    "Heartbeat",
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
    "Reversal",
    "SettledOrder",
    "StatementImport",
    "StatementLine",
    "StatusQuestion",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
]
