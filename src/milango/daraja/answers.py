"""What an answer of Daraja means for the caller: yes, no, not now, or unknown.

Daraja tells its answers apart by error code *and* words (Daraja reference 3.3, 4.2, 4.5, 18), so
both stand in one table, read from top to bottom.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NoReturn

import msgspec

from milango.core.errors import DarajaBusy, DarajaError, DarajaRefused, DarajaSilent
from milango.core.payments import Outcome
from milango.core.results import result

from .messages import PushAccepted, QueryAnswer
from .texts import clean


class InvalidToken(DarajaError):
    """Daraja does not take the access token; nothing happened, and a fresh one may help."""


class Rule(msgspec.Struct, frozen=True):
    """An error code prefix, words that must be in the message, and what that means."""

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
    Rule("400.", "", DarajaRefused),
    Rule("403.", "", DarajaRefused),
    Rule("404.", "", DarajaRefused),
    Rule("405.", "", DarajaRefused),
)
"""What no rule knows (an internal error, a page, half an answer) is unknown: DarajaSilent."""

TOKEN_IN_TEXT: Final = re.compile(r"(Invalid Access Token - )(?!Invalid API call)\S+")
"""401.002.01 echoes the token (Daraja reference 4.5)."""


def read_push(status: int, body: bytes) -> PushAccepted:
    """The accepted push, or the error that says what to do next."""
    answer = _object(status, body)
    checkout_request_id = clean(answer.get("CheckoutRequestID"), 128)
    if status == 200 and _is_zero(answer.get("ResponseCode")) and checkout_request_id:
        return PushAccepted(
            checkout_request_id=checkout_request_id,
            merchant_request_id=clean(answer.get("MerchantRequestID"), 128),
            text=clean(answer.get("ResponseDescription"), 255),
        )
    fail(status, answer)


def read_query(status: int, body: bytes) -> QueryAnswer:
    """What STK query says. Its `ResponseCode` is never the result (A14).

    "Does not exist" and an empty message are hiccups as often as answers: unknown.
    """
    answer = _object(status, body)
    code = answer.get("ResultCode")
    if status == 200 and code is not None:
        return _query_answer(code, answer)
    if str(answer.get("errorCode", "")).startswith("500.001.1001"):
        return QueryAnswer(outcome=Outcome.UNKNOWN, text=clean(answer.get("errorMessage"), 255))
    fail(status, answer)


def _query_answer(code: object, answer: dict[str, Any]) -> QueryAnswer:
    text = clean(answer.get("ResultDesc"), 255)
    word = clean(code, 32) if is_code(code) else ""
    outcome = outcome_of(word) if word else Outcome.UNKNOWN
    if "processing" in text.lower() and "success" not in text.lower():
        outcome = Outcome.UNKNOWN
    named = clean(answer.get("CheckoutRequestID"), 128)
    return QueryAnswer(outcome=outcome, code=word, text=text, checkout_request_id=named)


def read_token(status: int, body: bytes) -> tuple[str, float]:
    """The access token and its life in seconds, as number or text (Daraja reference 2)."""
    if status in {400, 401, 403}:
        message = "Daraja refused the consumer key and secret."
        raise DarajaRefused(message, daraja_code=f"{status}", text=message)
    answer = _object(status, body)
    token, life = answer.get("access_token"), answer.get("expires_in")
    if status == 200 and isinstance(token, str) and token.isprintable() and token:
        try:
            return token, float(str(life))
        except ValueError:
            return token, 0.0
    fail(status, answer)


def is_code(code: object) -> bool:
    """A result code is an integer or text; true, 0.0 and lists are none (A14)."""
    return isinstance(code, int | str) and not isinstance(code, bool)


def outcome_of(code: str) -> Outcome:
    """0 is paid; a known final code is failed; everything else is not final."""
    if code == "0":
        return Outcome.PAID
    return Outcome.FAILED if result(code).final else Outcome.UNKNOWN


def fail(status: int, answer: dict[str, Any]) -> NoReturn:
    """Raise what the answer means. Texts are scrubbed of tokens."""
    code, text = _error_of(answer)
    if status == 429 and not code:
        raise DarajaBusy("Daraja has too many requests. Nothing was sent.", retry_after=10)
    for rule in RULES:
        if code.startswith(rule.code) and rule.words in text.lower() and (code or rule.words):
            _raise(rule, code, text)
    message = f"Daraja gave no usable answer (HTTP {status} {code}). The outcome is unknown."
    raise DarajaSilent(message, daraja_code=code, text=text)


def _raise(rule: Rule, code: str, text: str) -> NoReturn:
    message = f"Daraja answered {code}: {text}"
    if rule.meaning is DarajaBusy:
        raise DarajaBusy(message, daraja_code=code, text=text, retry_after=rule.retry_after)
    raise rule.meaning(message, daraja_code=code, text=text)


def _error_of(answer: dict[str, Any]) -> tuple[str, str]:
    fault = answer.get("fault")
    if isinstance(fault, dict):
        detail = fault.get("detail")
        code = detail.get("errorcode") if isinstance(detail, dict) else ""
        return clean(code, 64), clean(fault.get("faultstring"), 255)
    text = TOKEN_IN_TEXT.sub(r"\1…", clean(answer.get("errorMessage"), 255))
    return clean(answer.get("errorCode"), 64), text


def _object(status: int, body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict):
        return answer
    if status == 429:
        raise DarajaBusy("Daraja has too many requests. Nothing was sent.", retry_after=10)
    message = f"Daraja's answer (HTTP {status}) is not JSON. The outcome is unknown."
    raise DarajaSilent(message, text=f"HTTP {status}, not JSON")


def _is_zero(code: object) -> bool:
    """`"0"`, or the older `00000000` (Daraja reference 1.4)."""
    return is_code(code) and bool(re.fullmatch("0+", str(code).strip()))
