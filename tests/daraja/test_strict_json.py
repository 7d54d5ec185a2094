"""JSON is read by a quick reader where nothing can be ambiguous, and it reads what the careful one
reads."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from milango.daraja import strict_json
from milango.daraja.strict_json import BadJson, decode

STRINGS = st.one_of(
    st.sampled_from(['"Name"', '"Value"', '"a"', '"a:b"', r'"\u0061"', r'"\ud800"', r'"\\"', '""']),
    st.text(max_size=8).map(lambda text: f'"{text}"'),
)
NUMBERS = st.one_of(
    st.sampled_from(["0", "-0", "-0.0", "50.0", "1e5", "1E400", "01", "1.", "NaN", "Infinity"]),
    st.integers(-(10**25), 10**25).map(str),
    st.decimals(allow_nan=False, allow_infinity=False).map(str),
)
BLANKS = st.sampled_from(["", " ", "\n", "\t"])


def inside(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    members = st.tuples(STRINGS, BLANKS, values).map(lambda each: f"{each[0]}{each[1]}:{each[2]}")
    return st.one_of(
        st.lists(values, max_size=4).map(lambda each: f"[{','.join(each)}]"),
        st.lists(members, max_size=4).map(lambda each: f"{{{','.join(each)}}}"),
    )


TEXTS = st.recursive(
    st.one_of(STRINGS, NUMBERS, st.sampled_from(["null", "true", "false", "nul"])), inside
)


def told(read: Any, body: bytes) -> str:
    """What a reader makes of the bytes, types included."""
    try:
        return repr(read(body))
    except BadJson as error:
        return error.problem


@settings(max_examples=500)
@given(TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b'{"a": 1, "a": 2}')
@example(b'{"a": ":", "a": 2}')
@example(b'{"a": 1, "b": ":"}')
@example(b"99999999999999999999")
@example(b"999999999999999999999")
@example(b"-9999999999999999999")
@example(b"-10000000000000000000")
@example(b'{"amount": -0}')
@example(b'"\xed\xa0\x80"')
@example(b"\xef\xbb\xbf1")
@example(b'{"a": 1} {')
@example(b"[" * 3_000 + b"]" * 3_000)
def test_both_readers_read_the_same(body: bytes) -> None:
    assert told(decode, body) == told(strict_json._decode_carefully, body)


@given(st.binary(max_size=40))
def test_both_readers_read_the_same_of_any_bytes(body: bytes) -> None:
    assert told(decode, body) == told(strict_json._decode_carefully, body)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_what_is_nested_deeply_is_the_careful_readers(opening: bytes) -> None:
    closing = opening.replace(b'"a":', b"")[::-1].translate(bytes.maketrans(b"[{", b"]}"))
    for depth in (1, *range(98, 103), *range(198, 203), 3_000):
        body = opening * depth + b"0" + closing * depth
        assert told(decode, body) == told(strict_json._decode_carefully, body), depth


def test_an_ordinary_callback_is_read_quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(body: bytes) -> Any:
        raise AssertionError("read twice")

    monkeypatch.setattr(strict_json, "_decode_carefully", never)
    body = b'{"Body": {"stkCallback": {"ResultDesc": "Paid at 10:00", "ResultCode": 0}}}'
    assert decode(body)["Body"]["stkCallback"]["ResultDesc"] == "Paid at 10:00"
