"""What each refusal means: what happened, what it means for the money, what to do next. Pure.

`docs/errors.md` and the page of the API's documentation tell the same; a test compares.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Explanation(msgspec.Struct, frozen=True):
    """One code of `core.problems`, explained to whoever met it."""

    happened: str
    money: str
    next: str


EXPLANATIONS: Final[dict[str, Explanation]] = {
    "invalid_request": Explanation(
        "Something about the request cannot be used; `detail` and `field` say what.",
        "Nothing was stored, no prompt was sent.",
        "Correct it and send it again.",
    ),
    "invalid_json": Explanation(
        "The body is not a JSON object in UTF-8, or holds `NaN` or `Infinity`.",
        "Nothing was stored, no prompt was sent.",
        "Send one JSON object.",
    ),
    "duplicate_key": Explanation(
        "The same field stands twice in the body. We do not choose between two amounts.",
        "Nothing was stored, no prompt was sent.",
        "Send each field once.",
    ),
    "too_deep": Explanation(
        "The JSON is nested more than 8 levels deep.",
        "Nothing was stored, no prompt was sent.",
        "Flatten `metadata`.",
    ),
    "missing_field": Explanation(
        "A field that is required is not there; `field` and `errors` name it.",
        "Nothing was stored, no prompt was sent.",
        "Add the field that is named.",
    ),
    "unknown_field": Explanation(
        "The body has a field that we do not know, perhaps a misspelt one.",
        "Nothing was stored, no prompt was sent.",
        "Correct the name. Your own data about a payment go into `metadata`.",
    ),
    "invalid_phone": Explanation(
        "Not a Kenyan mobile number: a landline, too short, foreign, or letters.",
        "Nothing was stored, no prompt was sent.",
        "Ask the payer for a number like 07…, 01…, 254… or +254….",
    ),
    "invalid_amount": Explanation(
        "Not whole shillings from 1 to 250,000.",
        "Nothing was stored, no prompt was sent.",
        'Send a whole amount, such as `50` or `"50"`.',
    ),
    "invalid_idempotency_key": Explanation(
        "The `Idempotency-Key` header is empty, longer than 255, or not printable ASCII.",
        "Nothing was stored, no prompt was sent.",
        "Use a short word, such as the order's number.",
    ),
    "invalid_environment": Explanation(
        "`environment` is not `production`, `sandbox` or `simulator`.",
        "Nothing was stored, no prompt was sent.",
        "Leave it out, unless one short code has credentials in several environments.",
    ),
    "invalid_url": Explanation(
        "Nothing is sent to this address: it is not https on port 443, holds a user name, or "
        "leads into a private network.",
        "Nothing was stored, and nothing was changed.",
        "Give an address of yours that is open to the internet, as in `https://shop.example/hook`.",
    ),
    "invalid_event_type": Explanation(
        "`event_types` names an event that there is not, or is not a list.",
        "Nothing was stored, and nothing was changed.",
        "Use the events that `openapi.json` lists, or an empty list for all of them.",
    ),
    "invalid_filter": Explanation(
        "A parameter of the list is unknown, given twice, or has no usable value.",
        "Nothing was asked of anybody.",
        "Correct the parameter in `field`.",
    ),
    "ambiguous_shortcode": Explanation(
        "You have this short code in several environments, and did not say which.",
        "Nothing was stored, no prompt was sent.",
        "Add `environment`.",
    ),
    "body_too_large": Explanation(
        "The body is longer than 16 kB (a callback: 64 kB).",
        "Nothing was stored, no prompt was sent.",
        "Keep `metadata` small.",
    ),
    "body_too_slow": Explanation(
        "The request did not arrive whole in time: 5 seconds; a page's or a file's, 60.",
        "Nothing was stored, no prompt was sent.",
        "Send it again, at once.",
    ),
    "wrong_content_type": Explanation(
        "The body does not say that it is `application/json` in UTF-8.",
        "Nothing was stored, no prompt was sent.",
        "Send `Content-Type: application/json`.",
    ),
    "method_not_allowed": Explanation(
        "The address does not take this method; `Allow` lists those that it takes.",
        "Nothing was stored, no prompt was sent.",
        "Use one of them.",
    ),
    "unauthenticated": Explanation(
        "No key, or one that is unknown or revoked; or a ticket that has expired.",
        "Nothing was stored, no prompt was sent.",
        "Send `Authorization: Bearer sk_…`. `milango keys create` makes a key.",
    ),
    "wrong_scope": Explanation(
        "The key lacks the scope that this takes: `charge` for a prompt, `read` to read, `manage` "
        "to change webhook endpoints.",
        "Nothing was stored, no prompt was sent.",
        "Use a key that has it.",
    ),
    "secret_key_required": Explanation(
        "A publishable key asked for more than a prompt or a status.",
        "Nothing was asked of anybody.",
        "Ask from your server, with a secret key.",
    ),
    "secret_key_in_browser": Explanation(
        "A secret key came from a web page. Everybody can read it there.",
        "Nothing was stored, no prompt was sent.",
        "Revoke that key now, and use a publishable key in the page.",
    ),
    "origin_not_allowed": Explanation(
        "The page's origin is not on the merchant's list.",
        "Nothing was stored, no prompt was sent.",
        "List the origin exactly as browsers send it, such as `https://shop.example`.",
    ),
    "amount_not_open": Explanation(
        "This publishable key may not choose an amount: a payer could choose 1 KES.",
        "Nothing was stored, no prompt was sent.",
        "Ask for the prompt from your server, or make a key with an open amount.",
    ),
    "not_found": Explanation(
        "There is nothing at this address, or nothing of yours that has this id.",
        "Nothing was asked of anybody.",
        "Check the id and whose key it is. What is another merchant's looks just like this.",
    ),
    "unknown_shortcode": Explanation(
        "You have no active credential for this short code.",
        "Nothing was stored, no prompt was sent.",
        "Check the number; `milango credentials add` adds one.",
    ),
    "prompt_open": Explanation(
        "This phone is still showing a prompt of this short code.",
        "No second prompt was sent; the first one may still be paid.",
        "Let the payer answer it, or ask again after `retry_after` seconds.",
    ),
    "idempotency_conflict": Explanation(
        "The `Idempotency-Key` was used before, for a request with another body.",
        "No prompt was sent for this request; the earlier one stands.",
        "Use a new key for a new request.",
    ),
    "order_already_paid": Explanation(
        "A payment with this `order_id` has succeeded before.",
        "No prompt was sent, so nobody pays twice.",
        "Show the order as paid.",
    ),
    "endpoint_disabled": Explanation(
        "The webhook endpoint is told nothing, tests included.",
        "No payment is touched; what is due for it waits.",
        "Enable it with `active: true`, then send the test.",
    ),
    "too_many_endpoints": Explanation(
        "The merchant has as many active webhook endpoints as there may be: 50.",
        "No payment is touched, and nothing was changed.",
        "Disable or remove one that is not needed any more.",
    ),
    "daraja_refused": Explanation(
        "Daraja said a definite no; `daraja_code` is its own code.",
        "No prompt was sent. The payment is kept as `Failed`, and cannot be paid.",
        "Look at the credential (key, passkey, short code, till or paybill), then ask again.",
    ),
    "too_many": Explanation(
        "Too many prompts were asked for, for this phone or from this address.",
        "Nothing was stored, no prompt was sent.",
        "Wait `retry_after` seconds.",
    ),
    "too_many_streams": Explanation(
        "This payment has five event streams open, or this process has no place for another.",
        "Nothing happened to it: only the telling is refused.",
        "Ask for the status with `?wait=25` instead.",
    ),
    "daraja_busy": Explanation(
        "Daraja cannot take the request now, or its token service does not answer.",
        "No prompt was sent, and nothing was kept.",
        "Send the same request again after `retry_after` seconds.",
    ),
    "not_adopted": Explanation(
        "The database was made for another public address: perhaps a copy.",
        "Nothing was stored, no prompt was sent: a copy must not charge your payers.",
        "On the right machine, run `milango adopt`.",
    ),
    "database_unavailable": Explanation(
        "The database cannot be reached.",
        "A prompt may have been sent, if the database went away in between.",
        "Send the same request with the same `Idempotency-Key` after `retry_after` seconds.",
    ),
    "internal_error": Explanation(
        "Something broke on our side. The log says where.",
        "A prompt may have been sent.",
        "With an `Idempotency-Key`, send the same request again; without one, look for the "
        "payment in the list before asking the payer again.",
    ),
}
