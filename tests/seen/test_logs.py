"""The server's log lines: JSON that machines read, without canaries, with the request's id."""

from __future__ import annotations

import contextvars
import io
import json
import logging
import logging.config
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from milango.seen import requests
from milango.server.logs import RefusalsAreOneLine, configuration, formatter

CANARIES = {
    "number": "708374149",
    "id": "26112026114538123708374149",
    "token": "0a" * 49,
    "key": "sk_canary-canary-canary",
    "passkey": "canary+passkey/0be2c4",
}

Said = Callable[[], list[str]]


@pytest.fixture(params=[True, False], ids=["json", "text"])
def log(request: pytest.FixtureRequest) -> Iterator[tuple[logging.Logger, Said]]:
    """A logger of a package that never heard of us, and the lines that come of it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(json=request.param))
    logger = logging.getLogger("somebody.elses")
    logger.addHandler(handler)
    logger.propagate = False
    yield logger, lambda: stream.getvalue().splitlines()
    logger.removeHandler(handler)
    logger.propagate = True


def test_no_canary_gets_into_a_line(log: tuple[logging.Logger, Said]) -> None:
    logger, said = log
    logger.error("prompt to 254%s of %s", CANARIES["number"], f"ws_CO_{CANARIES['id']}")
    logger.error("POST /callbacks/stk/%s", CANARIES["token"])
    logger.error("body %r", {"Passkey": CANARIES["passkey"], "key": CANARIES["key"]})
    try:
        raise ValueError(f"0{CANARIES['number']} with passkey={CANARIES['passkey']}")
    except ValueError:
        logger.exception("it broke for +254%s", CANARIES["number"])
    text = "\n".join(said())
    assert "Traceback" in text
    assert "ValueError" in text
    assert {name for name, canary in CANARIES.items() if canary in text} == set()


def test_a_json_line_has_when_who_how_bad_and_for_which_request() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(json=True))

    def within_a_request() -> None:
        requests.begin("req-of-the-shop.1")
        record = logging.LogRecord("milango.x", logging.WARNING, "", 1, "said %s", ("é",), None)
        handler.emit(record)

    contextvars.Context().run(within_a_request)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "said é",
        "level": "warning",
        "logger": "milango.x",
        "request_id": "req-of-the-shop.1",
    }


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 65, "é", "<script>", "a\nb"])
def test_an_id_that_cannot_be_used_is_replaced(given: str | None) -> None:
    found: Any = contextvars.Context().run(requests.begin, given)
    assert found.startswith("req_")
    assert found != given


@pytest.mark.parametrize(
    ("name", "level", "kept"),
    [
        ("django.security.DisallowedHost", logging.ERROR, False),
        ("django.request", logging.WARNING, False),
        ("django.request", logging.ERROR, True),
        ("milango.flows.settle", logging.WARNING, True),
    ],
)
def test_what_was_refused_is_one_line_and_what_broke_has_its_traceback(
    name: str, level: int, kept: bool
) -> None:
    trace = (ValueError, ValueError("x"), None)
    record = logging.LogRecord(name, level, __file__, 1, "said", (), trace)
    assert RefusalsAreOneLine().filter(record)
    assert bool(record.exc_info) is kept


@pytest.mark.parametrize("as_json", [True, False])
def test_the_configuration_is_one_that_logging_takes(as_json: bool) -> None:
    config = configuration(json=as_json)
    logging.config.DictConfigurator(config).configure_formatter(config["formatters"]["line"])
