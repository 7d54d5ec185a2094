"""M-Pesa's result codes: what happened, whether it is final, and what to tell the payer.

Codes and meanings are Safaricom's, as published and as seen. The published table is not claimed to
be complete, so a code that is not here is never final.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Reason(StrEnum):
    """Why a payment failed, in our words."""

    PAID = "paid"
    INSUFFICIENT_FUNDS = "insufficient_funds"
    BELOW_MINIMUM = "below_minimum"
    ABOVE_MAXIMUM = "above_maximum"
    DAILY_LIMIT = "daily_limit"
    RECEIVER_LIMIT = "receiver_limit"
    DUPLICATE = "duplicate"
    TOO_SOON = "too_soon"
    NOT_PERMITTED = "not_permitted"
    BUSY = "busy"
    PHONE_BUSY = "phone_busy"
    EXPIRED = "expired"
    PROMPT_ERROR = "prompt_error"
    CANCELLED = "cancelled"
    UNREACHABLE = "unreachable"
    WRONG_PIN = "wrong_pin"
    ACCOUNT_BLOCKED = "account_blocked"
    NOT_VALIDATED = "not_validated"
    AUTHENTICATION = "authentication"
    NOT_REGISTERED = "not_registered"
    PIN_LOCKED = "pin_locked"
    WRONG_NUMBER = "wrong_number"
    PROCESSING = "processing"
    REFUSED = "refused"
    """Daraja refused the push before M-Pesa saw it."""
    NOT_SENT = "not_sent"
    """Milango never sent the prompt."""
    UNKNOWN = "unknown"


class Words(msgspec.Struct, frozen=True):
    """What to tell the payer, and whether a new prompt makes sense."""

    english: str
    swahili: str
    may_retry: bool = True


WORDS: Final[dict[Reason, Words]] = {
    Reason.PAID: Words("Paid. Thank you.", "Malipo yamepokelewa. Asante.", may_retry=False),
    Reason.INSUFFICIENT_FUNDS: Words(
        "There is not enough money in your M-Pesa. Top up, then try again.",
        "Salio lako la M-Pesa halitoshi. Ongeza salio, kisha ujaribu tena.",
    ),
    Reason.BELOW_MINIMUM: Words(
        "The amount is below M-Pesa's minimum.",
        "Kiasi hiki ni kidogo kuliko kiwango cha chini cha M-Pesa.",
        may_retry=False,
    ),
    Reason.ABOVE_MAXIMUM: Words(
        "The amount is above M-Pesa's limit for one payment.",
        "Kiasi hiki kimezidi kikomo cha M-Pesa kwa muamala mmoja.",
        may_retry=False,
    ),
    Reason.DAILY_LIMIT: Words(
        "This payment would go over your M-Pesa limit for today. Try again tomorrow.",
        "Malipo haya yatapita kikomo chako cha M-Pesa cha leo. Jaribu tena kesho.",
    ),
    Reason.RECEIVER_LIMIT: Words(
        "The business cannot receive this amount now. Please tell them.",
        "Biashara hii haiwezi kupokea kiasi hiki kwa sasa. Tafadhali wajulishe.",
        may_retry=False,
    ),
    Reason.DUPLICATE: Words(
        "M-Pesa already has this request.", "M-Pesa tayari ina ombi hili.", may_retry=False
    ),
    Reason.TOO_SOON: Words(
        "M-Pesa does not take the same amount from you twice within two minutes. "
        "Wait two minutes, then try again.",
        "M-Pesa haipokei kiasi kilekile kutoka kwako mara mbili ndani ya dakika mbili. "
        "Subiri dakika mbili, kisha ujaribu tena.",
    ),
    Reason.NOT_PERMITTED: Words(
        "The business is not set up for this payment. Please tell them.",
        "Biashara hii haijawezeshwa kupokea malipo haya. Tafadhali wajulishe.",
        may_retry=False,
    ),
    Reason.BUSY: Words(
        "M-Pesa is busy. Try again in a moment.",
        "M-Pesa ina shughuli nyingi. Jaribu tena baada ya muda mfupi.",
    ),
    Reason.PHONE_BUSY: Words(
        "Another M-Pesa request is open on your phone. Finish it, then try again.",
        "Kuna ombi lingine la M-Pesa kwenye simu yako. Likamilishe, kisha ujaribu tena.",
    ),
    Reason.EXPIRED: Words(
        "The M-Pesa request expired before you answered it.",
        "Muda wa ombi la M-Pesa uliisha kabla hujalijibu.",
    ),
    Reason.PROMPT_ERROR: Words(
        "The M-Pesa request could not be shown on your phone.",
        "Ombi la M-Pesa halikuweza kuonyeshwa kwenye simu yako.",
    ),
    Reason.CANCELLED: Words(
        "You cancelled the M-Pesa request on your phone.",
        "Umeghairi ombi la M-Pesa kwenye simu yako.",
    ),
    Reason.UNREACHABLE: Words(
        "Your phone could not be reached, or the request was not answered in time.",
        "Simu yako haikupatikana, au ombi halikujibiwa kwa wakati.",
    ),
    Reason.WRONG_PIN: Words(
        "The M-Pesa PIN you entered was wrong.", "PIN ya M-Pesa uliyoweka si sahihi."
    ),
    Reason.ACCOUNT_BLOCKED: Words(
        "Your M-Pesa account does not allow this payment. Contact Safaricom customer care.",
        "Akaunti yako ya M-Pesa hairuhusu malipo haya. "
        "Wasiliana na huduma kwa wateja ya Safaricom.",
        may_retry=False,
    ),
    Reason.NOT_VALIDATED: Words(
        "The business refused the payment.", "Biashara imekataa malipo haya.", may_retry=False
    ),
    Reason.AUTHENTICATION: Words(
        "M-Pesa could not check your PIN. Try again.",
        "M-Pesa haikuweza kuthibitisha PIN yako. Jaribu tena.",
    ),
    Reason.NOT_REGISTERED: Words(
        "This number is not registered with M-Pesa.",
        "Nambari hii haijasajiliwa kwa M-Pesa.",
        may_retry=False,
    ),
    Reason.PIN_LOCKED: Words(
        "Your M-Pesa PIN is locked. Contact Safaricom customer care.",
        "PIN yako ya M-Pesa imefungwa. Wasiliana na huduma kwa wateja ya Safaricom.",
        may_retry=False,
    ),
    Reason.WRONG_NUMBER: Words(
        "The business's M-Pesa number is set up wrongly. Please tell them.",
        "Nambari ya M-Pesa ya biashara hii haijawekwa sawasawa. Tafadhali wajulishe.",
        may_retry=False,
    ),
    Reason.PROCESSING: Words(
        "M-Pesa is still working on it. Please wait.",
        "M-Pesa bado inashughulikia malipo yako. Tafadhali subiri.",
        may_retry=False,
    ),
    Reason.REFUSED: Words(
        "The M-Pesa request could not be sent. Please tell the business.",
        "Ombi la M-Pesa halikuweza kutumwa. Tafadhali ijulishe biashara.",
        may_retry=False,
    ),
    Reason.NOT_SENT: Words(
        "The M-Pesa request was not sent. Please try again.",
        "Ombi la M-Pesa halikutumwa. Tafadhali jaribu tena.",
    ),
    Reason.UNKNOWN: Words(
        "We do not know yet whether this was paid. Look at your M-Pesa messages before you pay "
        "again.",
        "Bado hatujui kama malipo haya yamefanyika. Angalia ujumbe wako wa M-Pesa kabla ya "
        "kulipa tena.",
        may_retry=False,
    ),
}


class Result(msgspec.Struct, frozen=True):
    """One result code."""

    code: str
    reason: Reason
    final: bool = True
    """This attempt can no longer succeed (or has succeeded)."""
    retry_after: int = 0
    """Seconds to wait before a new prompt can work."""

    @property
    def may_retry(self) -> bool:
        """Whether the payer may be prompted again: with a new request, never a replay."""
        return WORDS[self.reason].may_retry

    @property
    def english(self) -> str:
        """What to tell the payer, in English."""
        return WORDS[self.reason].english

    @property
    def swahili(self) -> str:
        """What to tell the payer, in Swahili."""
        return WORDS[self.reason].swahili


RESULTS: Final[dict[str, Result]] = {
    row.code: row
    for row in (
        Result("0", Reason.PAID),
        Result("1", Reason.INSUFFICIENT_FUNDS),
        Result("2", Reason.BELOW_MINIMUM),
        Result("3", Reason.ABOVE_MAXIMUM),
        Result("4", Reason.DAILY_LIMIT, retry_after=86_400),
        Result("8", Reason.RECEIVER_LIMIT),
        Result("15", Reason.DUPLICATE),
        Result("17", Reason.TOO_SOON, retry_after=120),
        Result("21", Reason.NOT_PERMITTED),
        Result("26", Reason.BUSY, retry_after=30),
        Result("1001", Reason.PHONE_BUSY, retry_after=120),
        Result("1019", Reason.EXPIRED),
        Result("1025", Reason.PROMPT_ERROR, retry_after=60),
        Result("1031", Reason.CANCELLED),
        Result("1032", Reason.CANCELLED),
        Result("1036", Reason.UNREACHABLE),
        Result("1037", Reason.UNREACHABLE),
        Result("1101", Reason.PROMPT_ERROR),
        Result("1102", Reason.PROMPT_ERROR),
        Result("2001", Reason.WRONG_PIN),
        Result("2006", Reason.ACCOUNT_BLOCKED),
        Result("2007", Reason.NOT_VALIDATED),
        Result("2008", Reason.AUTHENTICATION),
        Result("2026", Reason.AUTHENTICATION),
        Result("2028", Reason.NOT_PERMITTED),
        Result("2029", Reason.NOT_PERMITTED),
        Result("2040", Reason.NOT_REGISTERED),
        Result("4999", Reason.PROCESSING, final=False),
        Result("8006", Reason.PIN_LOCKED),
        Result("9999", Reason.PROMPT_ERROR, retry_after=120),
        Result("SFC_IC0003", Reason.WRONG_NUMBER),
    )
}


def result(code: str) -> Result:
    """The row of a code, white space around it ignored. An unknown code is never final."""
    word = code.strip()
    return RESULTS.get(word) or Result(word, Reason.UNKNOWN, final=False)
