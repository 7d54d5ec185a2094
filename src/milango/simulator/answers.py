"""How a push can be answered, as data: accepted, refused, or unreadable although it was sent."""

from __future__ import annotations

from dataclasses import dataclass

from milango.simulator.wire import Answer

_TIMEOUT_PAGE = b"<html><head><title>504 Gateway Time-out</title></head><body>504</body></html>"
_FORBIDDEN_PAGE = (
    b"<html><head><title>403 Forbidden</title></head>"
    b"<body><h1>Forbidden</h1><p>Request blocked.</p></body></html>"
)
_SOAP_FAULT = (
    b'{"Envelope":{"encodingStyle":"http://schemas.xmlsoap.org/soap/encoding/","Body":{"Fault":'
    b'{"faultcode":"soap:Server","faultstring":"Execution of ServiceCallout SC-SearchURL failed. '
    b'Reason: ResponseCode 503 is treated as error","faultactor":{},"detail":{"source":'
    b'{"errorcode":"steps.servicecallout.ExecutionFailed"}}}}}}'
)
_RAW_SPIKE_ARREST = (
    b'{"fault":{"faultstring":"Spike arrest violation. Allowed rate : 5ps","detail":'
    b'{"errorcode":"policies.ratelimit.SpikeArrestViolation"}}}'
)


@dataclass(frozen=True, slots=True)
class PushAnswer:
    """One way to answer.

    `prompts`: was the prompt sent? `error` is a row of `errors.py`, `raw` an answer as it stands;
    with neither, the push is answered as accepted. `after` in seconds before `time_scale`.
    """

    prompts: bool
    error: str = ""
    raw: Answer | None = None
    after: float = 0
    halved: bool = False
    steals_token: bool = False


ANSWERS: dict[str, PushAnswer] = {
    "accepted": PushAnswer(prompts=True),
    "slow": PushAnswer(prompts=True, after=8),
    "too_slow": PushAnswer(prompts=True, after=45),
    "truncated": PushAnswer(prompts=True, halved=True),
    "gateway_timeout": PushAnswer(prompts=True, raw=Answer(504, _TIMEOUT_PAGE, "text/html")),
    "closed": PushAnswer(prompts=True, raw=Answer(0, b"", closed=True)),
    "internal_sent": PushAnswer(prompts=True, error="internal"),
    "token_stolen": PushAnswer(prompts=False, error="push_token", steals_token=True),
    "busy": PushAnswer(prompts=False, error="busy"),
    "spike_arrest": PushAnswer(prompts=False, error="spike_arrest"),
    "raw_429": PushAnswer(prompts=False, raw=Answer(429, _RAW_SPIKE_ARREST, "application/json")),
    "quota": PushAnswer(prompts=False, error="quota"),
    "internal": PushAnswer(prompts=False, error="internal"),
    "forbidden": PushAnswer(prompts=False, raw=Answer(403, _FORBIDDEN_PAGE, "text/html")),
    "soap_fault": PushAnswer(prompts=False, raw=Answer(500, _SOAP_FAULT, "application/json")),
    "locked": PushAnswer(prompts=False, error="locked"),
    "no_product": PushAnswer(prompts=False, error="no_product"),
}
