"""Frames of clients: `gateway.protocol.incoming.decode` against a second parser.

A valid frame is decoded without loss. A wrong frame is refused with a `ref` to echo. Exactly the bytes that are no JSON
object, or that nest too deeply, are malformed.
"""

import json
from typing import Any, NoReturn

import msgspec
from msgspec import UNSET

from gateway.protocol import incoming

SEEDS = [
    b'{"type":"send","ref":1,"channel":"c","key":"k","text":"hello","thread":"m","attachments":["u"],"mentions":["bob"]}',
    b'{"type":"edit","ref":"r","channel":"c","message":"m","text":"hello"}',
    b'{"type":"send","channel":"c","key":"k","text":"x","blocks":[{"type":"select","id":"s","label":"l","options":[{"value":"v","text":"t"}]}]}',
    b'{"type":"edit","channel":"c","message":"m","text":"x","blocks":[{"type":"text","text":"t"}]}',
    b'{"type":"delete","channel":"c","message":"m"}',
    b'{"type":"react","channel":"c","message":"m","emoji":"\xf0\x9f\x91\x8d","remove":true}',
    b'{"type":"pin","channel":"c","message":"m","remove":false}',
    b'{"type":"sync","ref":null,"positions":{"c":0,"d":9223372036854775807}}',
    b'{"type":"read","channel":"c","seq":1}',
    b'{"type":"typing","channel":"c"}',
    b'{"type":"watch","users":["bob","\\u00e9\\ud83d\\ude00"]}',
    b'{"type":"status","status":"away"}',
    b'{"type":"token","token":"a.b.c"}',
    b'{"ref":{"a":[1.5e3,-0,true,"\\ud800"]},"type":"ping"}',
    b'{"type":"ping","ref":' + b"[" * 31 + b"]" * 31 + b"}",
    b'{"type":"ping","ref":' + b"[" * 32 + b"]" * 32 + b"}",
    b'{"type":"ping","ref":' + b"[" * 32 + b"]" * 32 + b',"ref":1}',
    b'{"type":"ping","ref":[' + b"[{}]," * 40 + b"0]}",
    b'{"type":"ping","ref":NaN}',
    b'{"type":"ping","ref":"[[["} ',
]
_decode = msgspec.json.Decoder(incoming.Frame).decode


def check(data: bytes) -> None:
    """Raise if the decoder's verdict is wrong."""
    data = data.decode(errors="ignore").encode()  # the caller has checked UTF-8
    said = _read(data)
    try:
        frame = incoming.decode(data)
    except incoming.Malformed:
        assert said is None, "a JSON object is not malformed"
    except incoming.FrameRefused as refused:
        _check_refusal(refused, said)
    else:
        assert said is not None, "a frame must be a JSON object"
        again = msgspec.json.encode(frame)
        assert _decode(again) == frame, "a frame is the same when written and read again"
        kept = _value(again)
        assert said == {name: kept.get(name) for name in said}, "nothing is lost"


def _check_refusal(refused: incoming.FrameRefused, said: dict[str, Any] | None) -> None:
    assert said is not None, "a value that is no JSON object is malformed"
    assert refused.error.reason in {"INVALID_FRAME", "TOO_LARGE"}, refused.error
    assert (refused.ref is UNSET) == ("ref" not in said), "the reference belongs to the answer"
    assert refused.ref is UNSET or _value(bytes(refused.ref)) == said["ref"], "the reference is the frame's"


def _read(data: bytes) -> dict[str, Any] | None:
    """The object; None if it is no object or nests too deeply."""
    try:
        pairs = json.loads(data, object_pairs_hook=tuple, parse_constant=_refuse, parse_int=float)
        if not isinstance(pairs, tuple) or _depth(pairs) > incoming.DEPTH:
            return None
    except (ValueError, RecursionError):
        return None
    found: dict[str, Any] = _value(data)
    return found


def _value(data: bytes) -> Any:
    return json.loads(data, parse_int=float)


def _depth(value: Any) -> int:
    match value:
        case tuple():
            return 1 + max((_depth(each) for _, each in value), default=0)
        case list():
            return 1 + max(map(_depth, value), default=0)
        case _:
            return 0


def _refuse(_name: str) -> NoReturn:
    raise ValueError
