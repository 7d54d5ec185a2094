"""What an answer of Daraja means for the caller: yes, no, not now, or unknown.

Daraja tells its answers apart by error code *and* words, so
both stand in one table, read from top to bottom.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

import msgspec

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent
from milango.core.payments import Outcome
from milango.core.results import result

from .messages import PushAccepted, QueryAnswer
from .questions import Registered, StatusAccepted
from .strict_json import BadJson, decode
from .texts import clean, code_of, identifier


class InvalidToken(DarajaError):
    """Daraja does not take the access token; nothing happened, and a fresh one may help."""


class Rule(msgspec.Struct, frozen=True):
    """An error code's beginning, words that must be in the message, and what that means."""

    code: str
    words: str
    meaning: type[DarajaError]
    retry_after: int = 10


RULES: Final = (
    Rule("", "invalid access token", InvalidToken),
    Rule("404.001.04", "", InvalidToken),
    Rule("400.003.01", "", InvalidToken),
    Rule("401.", "", InvalidToken),
    Rule("500.001.1001", "unable to lock subscriber", DarajaBusy, retry_after=60),
    Rule("500.001.1001", "wrong credentials", DarajaRefused),
    Rule("500.001.1001", "merchant does not exist", DarajaRefused),
    Rule("500.003.02", "", DarajaBusy, retry_after=10),
    Rule("500.003.03", "", DarajaBusy, retry_after=60),
    Rule("", "spike arrest", DarajaBusy, retry_after=5),
    Rule("", "quota violation", DarajaBusy, retry_after=60),
    Rule("policies.ratelimit.", "", DarajaBusy, retry_after=5),
    Rule("00.002.1001", "", DarajaBusy, retry_after=60),
    Rule("500.003.1001", "urls are already registered", DarajaRefused),
    Rule("500.003.1001", "duplicate notification info", DarajaRefused),
    Rule("400.", "", DarajaRefused),
    Rule("403.", "", DarajaRefused),
    Rule("404.", "", DarajaRefused),
    Rule("405.", "", DarajaRefused),
)
"""What no rule knows (an internal error, a page, half an answer) is unknown: DarajaSilent."""

NO_STATE: Final = "500.001.1001"
"""STK query: being processed, does not exist, or an empty message. All are hiccups as often as
answers, so none of them is final."""

TOKEN_IN_TEXT: Final = re.compile(r"(invalid access token\W+)(?!Invalid API call)\S+", re.I)
"""401.002.01 echoes the token."""

LONGEST_LIFE: Final = 3_600.0
UNKNOWN_LIFE: Final = 60.0
"""Seconds for which a token is shared when Daraja does not say how long it lives."""

ACCESS_TOKEN: Final = re.compile(r"[!-~]{8,2048}")


def read_push(status: int, body: bytes) -> PushAccepted:
    """The accepted push, or the error that says what to do next."""
    answer = object_of(status, body)
    checkout_request_id = identifier(answer.get("CheckoutRequestID"))
    if status == 200 and _is_zero(answer.get("ResponseCode")) and checkout_request_id:
        return PushAccepted(
            checkout_request_id=checkout_request_id,
            merchant_request_id=identifier(answer.get("MerchantRequestID")) or "",
            text=clean(answer.get("ResponseDescription"), 255),
        )
    fail(status, *error_of(answer))


def read_query(status: int, body: bytes) -> QueryAnswer:
    """What STK query says. Its `ResponseCode` is never the result."""
    answer = object_of(status, body)
    if status == 200 and answer.get("ResultCode") is not None:
        return _query_answer(answer)
    code, text = error_of(answer)
    if code == NO_STATE and _rule_for(code, text) is None:
        return QueryAnswer(outcome=Outcome.UNKNOWN, text=text)
    fail(status, code, text)


BUSY_CODES: Final = frozenset({"26", "100000001", "100000002", "100000011"})
"""`ResponseCode`s of a core that has too much to do."""


def read_status_accepted(status: int, body: bytes) -> StatusAccepted:
    """The accepted question, or the error that says what to do next."""
    answer = object_of(status, body)
    conversation_id = identifier(answer.get("ConversationID"))
    if not _accepted(status, answer) or conversation_id is None:
        fail(status, *error_of(answer))
    return StatusAccepted(
        conversation_id=conversation_id,
        originator_conversation_id=identifier(answer.get("OriginatorConversationID")) or "",
        text=clean(answer.get("ResponseDescription"), 255),
    )


def read_registered(status: int, body: bytes) -> Registered:
    """That the addresses for C2B were taken, or the error that says what to do next."""
    answer = object_of(status, body)
    text = clean(answer.get("ResponseDescription"), 255)
    # Older answers have no code, and say it in words.
    if not (_accepted(status, answer) or (status == 200 and text.lower() == "success")):
        fail(status, *error_of(answer))
    spellings = ("OriginatorCoversationID", "OriginatorConversationID")
    ids = (identifier(answer.get(name)) for name in spellings)
    return Registered(originator_conversation_id=next(filter(None, ids), ""), text=text)


def _accepted(status: int, answer: dict[str, Any]) -> bool:
    """Whether the code is zero; False when there is none. Any other raises: nothing was taken."""
    code = code_of(answer.get("ResponseCode"))
    if status != 200 or code is None or _is_zero(code):
        return status == 200 and code is not None
    text = clean(answer.get("ResponseDescription"), 255)
    message = f"Daraja answered {code}: {text}"
    if code in BUSY_CODES:
        raise DarajaBusy(message, daraja_code=code, text=text)
    raise DarajaRefused(message, daraja_code=code, text=text)


def _query_answer(answer: dict[str, Any]) -> QueryAnswer:
    code = code_of(answer["ResultCode"]) or ""
    text = clean(answer.get("ResultDesc"), 255)
    pending = not code or re.search(r"\b(being processed|processing)\b", text, re.I)
    return QueryAnswer(
        outcome=Outcome.UNKNOWN if pending else outcome_of(code),
        code=code,
        text=text,
        checkout_request_id=identifier(answer.get("CheckoutRequestID")) or "",
    )


def read_token(status: int, body: bytes) -> tuple[str, float]:
    """The access token and its life in seconds, as number or text.

    Raises DarajaRefused for a consumer key or secret that Daraja does not take, else DarajaBusy:
    as long as there is no token, nothing can have been sent.
    """
    try:
        answer = object_of(status, body)
        token = answer.get("access_token")
        if status == 200 and isinstance(token, str) and ACCESS_TOKEN.fullmatch(token):
            return token, _life(answer.get("expires_in"))
        fail(status, *error_of(answer))
    except (DarajaRefused, InvalidToken):
        refused = True
    except DarajaSilent:
        # Wrong keys are answered with 400 or 401, often without a body. A page with 403 comes
        # from the edge, which has not looked at them.
        refused = status in {400, 401}
    if refused:
        message = "Daraja refused the consumer key and secret."
        raise DarajaRefused(message, daraja_code=str(status), text=message)
    raise DarajaBusy("Daraja's token service gave no usable answer. Nothing was sent.")


def _life(raw: object) -> float:
    word = code_of(raw) or ""
    return min(float(word), LONGEST_LIFE) if word.isdecimal() else UNKNOWN_LIFE


def outcome_of(code: str) -> Outcome:
    """0 is paid; a known final code is failed; everything else is not final."""
    if code == "0":
        return Outcome.PAID
    return Outcome.FAILED if result(code).final else Outcome.UNKNOWN


def fail(status: int, code: str, text: str) -> NoReturn:
    """Raise what an error of Daraja means."""
    rule = _rule_for(code, text)
    if rule is None and status == 429:
        raise _too_many()
    if rule is None:
        message = f"Daraja gave no usable answer (HTTP {status} {code}). The outcome is unknown."
        raise DarajaSilent(message, daraja_code=code, text=text)
    message = f"Daraja answered {code}: {text}"
    if rule.meaning is DarajaBusy:
        raise DarajaBusy(message, daraja_code=code, text=text, retry_after=rule.retry_after)
    raise rule.meaning(message, daraja_code=code, text=text)


def _rule_for(code: str, text: str) -> Rule | None:
    if not code:
        return None
    words = text.lower()
    return next(
        (rule for rule in RULES if code.startswith(rule.code) and rule.words in words), None
    )


def _too_many() -> DarajaBusy:
    return DarajaBusy("Daraja has too many requests. Nothing was sent.", daraja_code="429")


def error_of(answer: dict[str, Any]) -> tuple[str, str]:
    """The error's code and text, without tokens: Daraja's envelope, or its gateway's fault."""
    fault = answer.get("fault")
    if isinstance(fault, dict):
        detail = fault.get("detail")
        code = detail.get("errorcode") if isinstance(detail, dict) else ""
        text = fault.get("faultstring")
    else:
        code, text = answer.get("errorCode"), answer.get("errorMessage")
    return clean(code, 64), TOKEN_IN_TEXT.sub(r"\1…", clean(text, 255))


def object_of(status: int, body: bytes) -> dict[str, Any]:
    """The answer's object. Raises DarajaBusy for 429, else DarajaSilent, when there is none."""
    try:
        answer = decode(body)
    except BadJson:
        answer = None
    if isinstance(answer, dict):
        return answer
    if status == 429:
        raise _too_many()
    message = f"Daraja's answer (HTTP {status}) cannot be read. The outcome is unknown."
    raise DarajaSilent(message, text=f"HTTP {status}, unreadable")


def _is_zero(raw: object) -> bool:
    """`"0"`, or the older `00000000`."""
    return bool(re.fullmatch("0+", code_of(raw) or ""))
