"""How Daraja says no: error codes, HTTP statuses, texts."""

from __future__ import annotations

from typing import NamedTuple


class Error(NamedTuple):
    """One row of Daraja's error envelope."""

    status: int
    code: str
    text: str


ERRORS: dict[str, Error] = {
    "invalid_authentication": Error(400, "400.008.01", "Invalid Authentication passed"),
    "invalid_grant": Error(400, "400.008.02", "Invalid grant type passed"),
    "invalid_field": Error(400, "400.002.02", "Bad Request - Invalid {detail}"),
    "invalid_payload": Error(400, "400.002.05", "Invalid Request Payload"),
    "invalid_header": Error(404, "404.001.04", "Invalid Authentication Header"),
    "push_token": Error(404, "404.001.03", "Invalid Access Token"),
    "query_token": Error(400, "400.003.01", "Invalid Access Token"),
    "pull_token": Error(401, "401.001", "Invalid Access Token"),
    "pull_short_code": Error(400, "400.001", "Invalid ShortCode"),
    "no_product": Error(
        401,
        "401.003.01",
        "Error Occurred - Invalid Access Token - Invalid API call as no apiproduct match found",
    ),
    "not_found": Error(404, "404.001.01", "Resource not found"),
    "method": Error(405, "405.001", "{detail} Method Not Allowed"),
    "wrong_credentials": Error(500, "500.001.1001", "[MerchantValidate] - Wrong credentials"),
    "no_merchant": Error(500, "500.001.1001", "Merchant does not exist"),
    "locked": Error(
        500,
        "500.001.1001",
        "Unable to lock subscriber, a transaction is already in process for the current subscriber",
    ),
    "busy": Error(500, "500.003.02", "System is busy. Please try again in few minutes."),
    "spike_arrest": Error(500, "500.003.02", "Error Occurred: Spike Arrest Violation"),
    "quota": Error(500, "500.003.03", "Quota Violation"),
    "internal": Error(500, "500.003.1001", "Internal Server Error"),
    "already_registered": Error(500, "500.003.1001", "Urls are already registered."),
    "processing": Error(500, "500.001.1001", "The transaction is being processed"),
    "blank": Error(200, "500.001.1001", ""),
    "not_exist": Error(500, "500.001.1001", "The transaction does not Exist"),
}


class Refused(Exception):
    """Daraja refuses the request; no callback follows. `key` is a row of `ERRORS`."""

    def __init__(self, key: str, detail: str = "") -> None:
        super().__init__(key)
        self.error = ERRORS[key]
        self.detail = detail


class BadCredentials(Exception):
    """Wrong consumer key or secret: an answer with an empty body."""
