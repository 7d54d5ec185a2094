"""How a prompt can end: codes and texts, in callbacks and queries."""

from __future__ import annotations

from typing import NamedTuple


class Result(NamedTuple):
    """One way to end; `asked` is the text of a query where it differs from the callback's."""

    code: str
    said: str
    asked: str = ""

    @property
    def paid(self) -> bool:
        return self.code == "0"

    def in_callback(self) -> tuple[int | str, str]:
        """An integer in callbacks, unless the code has letters."""
        return (int(self.code) if self.code.isdigit() else self.code), self.said

    def in_query(self) -> tuple[str, str]:
        """Always a string in queries."""
        return self.code, self.asked or self.said


RESULTS: dict[str, Result] = {
    "paid": Result("0", "The service request is processed successfully."),
    "no_funds": Result("1", "The balance is insufficient for the transaction."),
    "below_minimum": Result(
        "2", "Declined due to limit rule: less than the minimum transaction amount."
    ),
    "above_maximum": Result(
        "3", "Declined due to limit rule: greater than the maximum transaction amount."
    ),
    "daily_limit": Result("4", "Declined due to limit rule: would exceed daily transfer limit."),
    "max_balance": Result("8", "Declined due to limit rule: would exceed the maximum balance."),
    "rule_limited": Result("17", "Rule limited."),
    "system_busy": Result("26", "System busy. The service request is rejected."),
    "subscriber_busy": Result(
        "1001",
        "Unable to lock subscriber, a transaction is already in process "
        "for the current subscriber.",
    ),
    "expired": Result("1019", "Transaction has expired."),
    "push_error": Result("1025", "An error occurred while sending a push request."),
    "cancelled": Result("1032", "Request cancelled by user", "Request Cancelled by user."),
    "smsc_timeout": Result("1036", "SMSC ACK timeout."),
    "unreachable": Result(
        "1037", "DS timeout user cannot be reached", "DS timeout user cannot be reached."
    ),
    "no_response": Result("1037", "No response from user."),
    "wrong_pin": Result("2001", "The initiator information is invalid."),
    "validation_refused": Result("2007", "External validation failed for the C2B transaction."),
    "not_permitted": Result(
        "2028", "The request is not permitted according to product assignment."
    ),
    "pin_locked": Result("8006", "The security credential is locked."),
    "sending_error": Result("9999", "Error occurred while sending push request."),
    "wrong_party": Result("SFC_IC0003", "The operator does not exist."),
}

STILL_PENDING = Result("4999", "The transaction is still under processing")
"""Spoken by queries only, while the prompt is open."""

OPERATOR_RESULTS: dict[str, Result] = {
    "done": Result("0", "The service request is processed successfully."),
    "not_allowed": Result("21", "The initiator is not allowed to initiate this request."),
    "bad_parameter": Result("25", "The format of parameter null is invalid."),
    "wrong_initiator": Result("2001", "The initiator information is invalid."),
    "not_found": Result(
        "2033",
        "The transaction receipt number cannot be found by the specified "
        "OriginatorConversationID or ConversationID.",
    ),
    "locked": Result("8006", "The security credential is locked."),
}
"""What is told of a request that an API operator makes."""
