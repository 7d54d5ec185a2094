"""What each kind of doubt means for the money, and what a person does about it."""

from __future__ import annotations

from typing import Final, NamedTuple


class Meaning(NamedTuple):
    """Two sentences for the person who has to resolve a doubt."""

    means: str
    do: str


ASK: Final = "Ask: milango shortcodes ask with the receipt, or compare M-Pesa's statement."

DOUBTS: Final = {
    "refund_due": Meaning(
        "It was paid after it had failed, or an order was paid twice.",
        "Deliver, or give the money back; then write down which.",
    ),
    "unresolved": Meaning(
        "Nobody could say whether it was paid, and nobody is asked any more. It stays Pending.",
        "Look in M-Pesa's statement; then milango reconcile, or milango payments mark.",
    ),
    "other_amount": Meaning(
        "Somebody named another amount than was asked. That word did not count.",
        ASK,
    ),
    "several_receipts": Meaning(
        "Several receipts were named for one payment. It counts once.",
        "Look in M-Pesa's statement which are real: the payer may have paid twice.",
    ),
    "receipt_taken": Meaning(
        "The receipt that was named has paid another payment already. It did not count again.",
        ASK,
    ),
    "other_checkout_id": Meaning(
        "A callback came with the id of another prompt. It did not count.",
        ASK,
    ),
    "unknown_checkout_id": Meaning(
        "A callback came for a push that was never answered, and not from Safaricom's addresses.",
        ASK,
    ),
    "other_payer": Meaning(
        "M-Pesa names another payer than the one who was prompted. It did not count.",
        "Ask the payer for the message with the receipt, and compare: whose the money is may wait.",
    ),
    "other_account": Meaning(
        "An operator's word named a receipt of which M-Pesa names another account number.",
        "Ask the payer for the message with the receipt, and compare: whose the money is may wait.",
    ),
    "before_request": Meaning(
        "The money that was named moved before it was asked for. It did not count.",
        "Look for an older payment that it belongs to: a callback may have been sent again.",
    ),
    "unknown_reference": Meaning(
        "A payer typed an account number whose check digits do not fit. The money is booked.",
        "Find out whom it is from and what for; credit that, or give it back.",
    ),
    "missing_in_statement": Meaning(
        "It is a success here, and M-Pesa's statement of that time does not have it.",
        "Look at who confirmed it. If it is not real: milango payments mark ... voided.",
    ),
    "reversed_in_statement": Meaning(
        "M-Pesa's statement says that the money went back to the payer.",
        "Ask about the receipt; if it is so: milango payments mark ... reversed.",
    ),
    "not_reversed_in_statement": Meaning(
        "An operator's word says that the money went back; M-Pesa's statement does not have it.",
        "Look at who said it. If the money is still there, owe the payer what was bought.",
    ),
    "reversed_in_pull": Meaning(
        "A row of Pull tells that money went back which can only be this payment's.",
        "Transaction Status is asked; if nobody can be: milango payments mark ... reversed.",
    ),
    "reversed_in_c2b": Meaning(
        "A confirmation tells that money went back which can only be this payment's.",
        "Transaction Status is asked; if nobody can be: milango payments mark ... reversed.",
    ),
    "reversed_in_part": Meaning(
        "A part of the money is said to have gone back. The payment stays as it is.",
        "Look in M-Pesa's statement; agree with the payer about the rest.",
    ),
    "taken_back": Meaning(
        "It was a success, and then the money went back to the payer. It is Reversed.",
        "Ask for the goods, or for another payment; Wi-Fi that it bought has ended.",
    ),
    "tariff_unreadable": Meaning(
        "Wi-Fi was paid for and none was given: the merchant's tariff cannot be read.",
        "Mend the tariff; give the time, or the money back.",
    ),
    "unknown_result": Meaning(
        "A callback has a result code that Milango does not know. Daraja is asked.",
        "See how the payment ended; nothing else if it has.",
    ),
}
"""The kinds that have a story of their own, by the word that is stored."""

UNREADABLE: Final = Meaning(
    "A message about it could not be read (the kind says why). Daraja is asked instead.",
    "See how the payment ended; nothing else if it has.",
)
"""Every other word: what was wrong with a message."""


def meaning_of(kind: str) -> Meaning:
    """What this kind of doubt means. A word that is not in the table tells of a message."""
    return DOUBTS.get(kind, UNREADABLE)
