"""Invalid input: anything that is not a frame closes the socket, and an invalid frame is answered."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.protocol import incoming
from gateway.protocol.incoming import FrameRefused, Malformed, decode

SEND = {"type": "send", "channel": "c", "key": "k", "text": "hello"}


def nested(depth: int) -> bytes:
    return b'{"type":"ping","ref":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        b"null",
        b'"text"',
        b"nope",
        b'{"type":"ping"} x',
        b'{"type":"ping",}',
        b'{"type":"ping","ref":NaN}',
        b'{"type":"ping","ref":[Infinity]}',
        b'{"type":"ping","ref":-Infinity}',
        b'{"type":"ping","ref":01}',
        b'{"type":"ping","ref":"\x01"}',
        b'{"type":"ping","ref":"\\q"}',
        b'{"type":"nope","ref":[NaN]}',
        b'{"type":"send","channel":5,"more":[}',
        b'\xef\xbb\xbf{"type":"ping"}',
        nested(33),
        nested(33)[:-1] + b',"ref":1}',
        nested(10_000),
        b"[" * 60_000,
        b'{"a":' * 10_000,
    ],
)
def test_input_that_is_not_a_json_object_or_nested_too_deeply_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode(data)


@pytest.mark.parametrize(
    "frame",
    [
        {},
        {"type": None},
        {"type": 5},
        {"type": "nope"},
        {"type": "send"},
        {"type": "sync"},
        {"type": "event"},
        SEND | {"channel": 5},
        SEND | {"channel": {"id": "c"}},
        SEND | {"channel": ""},
        SEND | {"channel": "x" * 129},
        SEND | {"key": ""},
        SEND | {"key": "k" * 129},
        SEND | {"key": "\x01k"},
        SEND | {"key": "k\x00"},
        SEND | {"key": None},
        SEND | {"text": None},
        SEND | {"text": ["hello"]},
        SEND | {"text": ""},
        SEND | {"text": "nul\x00"},
        SEND | {"thread": 5},
        SEND | {"attachments": "a"},
        SEND | {"attachments": [{}]},
        SEND | {"attachments": ["u"] * 11},
        SEND | {"mentions": ["a", 5]},
        SEND | {"mentions": ["a\x00"]},
        SEND | {"seq": 5},
        SEND | {"tenant": "other"},
        {"type": "hello"},
        {"type": "edit", "channel": "c", "text": "x"},
        {"type": "edit", "channel": "c", "message": "m", "text": ""},
        {"type": "edit", "channel": "c", "message": "m"},
        {"type": "edit", "channel": "c", "message": "m", "text": "x", "sealed": "AP8="},
        {"type": "edit", "channel": "c", "message": "m", "sealed": ""},
        SEND | {"sealed": "AP8="},
        {"type": "send", "channel": "c", "key": "k"},
        {"type": "send", "channel": "c", "key": "k", "attachments": ["a"]},
        {"type": "send", "channel": "c", "key": "k", "sealed": ""},
        {"type": "send", "channel": "c", "key": "k", "sealed": "AP8"},
        {"type": "send", "channel": "c", "key": "k", "sealed": None},
        {"type": "delete", "channel": "c"},
        {"type": "react", "channel": "c", "message": "m"},
        {"type": "pin", "channel": "c", "message": "m", "remove": "yes"},
        {"type": "read", "channel": "c"},
        {"type": "typing"},
        {"type": "watch"},
        {"type": "react", "channel": "c", "message": "m", "emoji": ""},
        {"type": "react", "channel": "c", "message": "m", "emoji": "👍" * 17},
        {"type": "react", "channel": "c", "message": "m", "emoji": "x", "remove": 1},
        {"type": "sync", "positions": []},
        {"type": "sync", "positions": {"c": -1}},
        {"type": "sync", "positions": {"c": 1.5}},
        {"type": "sync", "positions": {"c": "1"}},
        {"type": "sync", "positions": {"c": 1 << 63}},
        {"type": "read", "channel": "c", "seq": True},
        {"type": "read", "channel": "c", "seq": 1e300},
        {"type": "watch", "users": "ann"},
        {"type": "watch", "users": [None]},
        {"type": "status", "status": "offline"},
        {"type": "status", "status": 1},
    ],
)
def test_an_invalid_frame_is_answered_with_its_ref(frame: dict[str, object]) -> None:
    with pytest.raises(FrameRefused) as refused:
        decode(json.dumps(frame | {"ref": {"a": [1, None]}}).encode())
    assert refused.value.error.reason == "INVALID_FRAME"
    assert json.loads(bytes(refused.value.ref)) == {"a": [1, None]}  # type: ignore[arg-type]


def test_a_number_of_many_digits_is_an_invalid_field() -> None:
    with pytest.raises(FrameRefused):
        decode(b'{"type":"read","channel":"c","seq":' + b"9" * 10_000 + b"}")


@pytest.mark.parametrize("field", ["channel", "key", "text"])
def test_a_lone_surrogate_is_an_invalid_field(field: str) -> None:
    with pytest.raises(FrameRefused) as refused:
        decode(json.dumps(SEND | {field: "\ud800", "ref": 1}).encode())
    assert bytes(refused.value.ref) == b"1"  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["x" * 16_385, "ä" * 8_193, "😀" * 4_097])
def test_a_text_above_the_limit_is_too_large(text: str) -> None:
    with pytest.raises(FrameRefused) as refused:
        decode(json.dumps(SEND | {"text": text}).encode())
    assert refused.value.error.reason == "TOO_LARGE"


@pytest.mark.parametrize("text", ["x" * 16_384, "ä" * 8_192, "😀" * 4_096, "{[" * 100, "\u202e", "\n"])
def test_a_text_within_the_limit_is_accepted(text: str) -> None:
    frame = decode(json.dumps(SEND | {"text": text}, ensure_ascii=False).encode())
    assert isinstance(frame, incoming.Send)
    assert frame.text == text


@pytest.mark.parametrize("kind", [{"type": "send", "key": "k"}, {"type": "edit", "message": "m"}], ids=["send", "edit"])
def test_sealed_content_has_a_limit_in_bytes_before_base64(kind: dict[str, str]) -> None:
    def frame(size: int) -> bytes:
        return json.dumps(kind | {"channel": "c", "sealed": base64.b64encode(bytes(size)).decode()}).encode()

    with pytest.raises(FrameRefused) as refused:
        decode(frame(18 * 1024 + 1))
    assert refused.value.error.reason == "TOO_LARGE"
    assert decode(frame(18 * 1024)).sealed == bytes(18 * 1024)  # type: ignore[union-attr]


def test_nesting_is_bounded_and_brackets_in_text_do_not_count() -> None:
    decode(nested(32))
    decode(json.dumps(SEND | {"text": '"' + "[{" * 500 + "\\"}).encode())


@pytest.mark.parametrize("ref", ["1", "null", '"x"', "[1, 2]", '{"a" : 1.50}', "1e400", '"\\ud83d\\ude00"'])
def test_a_ref_is_returned_byte_for_byte(ref: str) -> None:
    frame = decode(f'{{"type":"ping","ref":{ref}}}'.encode())
    assert bytes(frame.ref).decode() == ref  # type: ignore[arg-type]


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_decoded_refused_or_malformed(data: bytes) -> None:
    with contextlib.suppress(Malformed, FrameRefused):
        decode(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)


@given(
    st.sampled_from([kind.__struct_config__.tag for kind in get_args(incoming.Frame)]),
    st.dictionaries(st.sampled_from(["channel", "key", "text", "message", "positions", "users", "seq", "ref"]), json_values),
)
def test_any_object_with_a_known_type_is_decoded_or_answered(kind: str, fields: dict[str, object]) -> None:
    data = json.dumps({"type": kind, **fields}).encode()
    with contextlib.suppress(FrameRefused):
        decode(data)
