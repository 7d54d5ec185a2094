"""Requests and answers beyond the prompt: Transaction Status, C2B addresses, Pull.

The wire's spelling stays behind this border.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

from .messages import EAT, Private

STATUS_PATH: Final = "/mpesa/transactionstatus/v1/query"
REGISTER_PATH: Final = "/mpesa/c2b/{version}/registerurl"
PULL_PATH: Final = "/pulltransactions/v1/query"
PULL_REGISTER_PATH: Final = "/pulltransactions/v1/register"

C2B_VERSIONS: Final = ("v1", "v2")


class StatusQuestion(Private, frozen=True, kw_only=True, rename="pascal", omit_defaults=True):
    """A Transaction Status request."""

    initiator: str
    security_credential: str
    transaction_id: str = msgspec.field(name="TransactionID")
    original_conversation_id: str = msgspec.field(name="OriginalConversationID", default="")
    """Our own id of the transaction, when its receipt is not known."""
    party_a: str
    result_url: str = msgspec.field(name="ResultURL")
    queue_time_out_url: str = msgspec.field(name="QueueTimeOutURL")
    command_id: str = msgspec.field(name="CommandID")
    identifier_type: str
    remarks: str
    occasion: str

    @property
    def secret(self) -> str:
        """What an answer must not echo into our logs."""
        return self.security_credential


class StatusAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """Daraja queued the question. Its answer comes to the result URL, or never."""

    conversation_id: str
    """The result carries it: keep it, it is the way back to what was asked."""
    originator_conversation_id: str
    text: str = ""


class ResponseType(StrEnum):
    """What M-Pesa does with a payment when the validation URL does not answer in time."""

    COMPLETED = "Completed"
    CANCELLED = "Cancelled"


class Registration(Private, frozen=True, kw_only=True, rename="pascal"):
    """The addresses for C2B."""

    short_code: str
    response_type: str
    confirmation_url: str = msgspec.field(name="ConfirmationURL")
    validation_url: str = msgspec.field(name="ValidationURL")


class Registered(msgspec.Struct, frozen=True, kw_only=True):
    """Daraja took the addresses for C2B."""

    originator_conversation_id: str = ""
    text: str = ""


class PullQuestion(Private, frozen=True, kw_only=True, rename="pascal"):
    """A window of C2B payments, from a row on."""

    short_code: str
    start_date: str
    end_date: str
    off_set_value: str


class PullRegistration(Private, frozen=True, kw_only=True, rename="pascal"):
    """The request that switches Pull on for a short code."""

    short_code: str
    request_type: str
    nominated_number: str
    call_back_url: str = msgspec.field(name="CallBackURL")


class PullRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """Pull is on for the short code."""

    already: bool
    """It was on before."""
    reference: str = ""
    text: str = ""


class PulledPayment(msgspec.Struct, frozen=True, kw_only=True):
    """One C2B payment as Pull tells of it. Amounts KES, times UTC."""

    trans_id: str
    """The receipt number."""
    amount: Decimal
    paid_at: datetime | None
    zone_known: bool
    """False when the time was written with `Z`: it may be Nairobi's clock nevertheless, and
    `paid_at` three hours late."""
    msisdn: str = ""
    """The payer's number as written."""
    bill_ref: str = ""
    transaction_type: str = ""
    is_reversal: bool = False
    """It went back: `amount` is by how much, and the receipt may be the reversal's own."""
    sender: str = ""
    organization: str = ""

    def __repr__(self) -> str:
        # Number and reference are personal data.
        return f"<PulledPayment {self.trans_id}>"


class PullPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of an answer of Pull."""

    rows: tuple[PulledPayment, ...]
    problems: tuple[tuple[int, str], ...] = ()
    """Rows that cannot be read, by their place in the window, with a word for each."""
    next_offset: int | None = None
    """Where to go on; None when this page was empty, which is the end."""
    reference: str = ""


def status_question(
    *,
    initiator: str,
    security_credential: str,
    short_code: str,
    receipt_number: str,
    originator_conversation_id: str,
    result_url: str,
    timeout_url: str,
) -> StatusQuestion:
    """The question how a payment stands, by its receipt number or by our own id for it.

    The operator who asks belongs to the organisation, so a till asks under its store's number.
    """
    return StatusQuestion(
        initiator=initiator,
        security_credential=security_credential,
        transaction_id=receipt_number,
        original_conversation_id=originator_conversation_id,
        party_a=short_code,
        result_url=result_url,
        queue_time_out_url=timeout_url,
        command_id="TransactionStatusQuery",
        identifier_type="4",
        remarks="Status check",
        occasion="Status",
    )


def pull_time(at: datetime) -> str:
    """A moment as Pull wants it, in EAT. Raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("the time of a pull needs a time zone")
    return at.astimezone(EAT).strftime("%Y-%m-%d %H:%M:%S")
