"""Frames that nobody thought of: Hypothesis makes them, and the decoder takes them or says which of the two answers they get."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.protocol import incoming

_FUZZ = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
_names = ["type", "ref", "channel", "key", "text", "thread", "attachments", "mentions", "message", "emoji", "remove"]
_names += ["positions", "seq", "users", "status", "tenant"]
_kinds = ["send", "edit", "delete", "react", "pin", "sync", "read", "typing", "watch", "status", "ping"]
_text = st.text(st.characters(), max_size=40)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _text | st.sampled_from(_kinds),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text | st.sampled_from(_names), inner, max_size=4),
    max_leaves=20,
)
_frame = st.dictionaries(st.sampled_from(_names), _json | _text, max_size=8)
_typed = st.builds(lambda kind, frame: {**frame, "type": kind}, st.sampled_from(_kinds), _frame)


def judged(data: bytes) -> object:
    """The decoder's verdict: a frame, or one of its two refusals; anything else is a defect and passes through."""
    try:
        return incoming.decode(data)
    except incoming.Malformed:
        return incoming.Malformed
    except incoming.FrameRefused as refused:
        return refused


@_FUZZ
@given(_json | _frame | _typed)
def test_any_json_is_a_frame_or_refused_in_one_of_two_ways(value: Any) -> None:
    text = json.dumps(value)
    verdict = judged(text.encode())
    fit = isinstance(value, dict) and "NaN" not in text and "Infinity" not in text
    if not fit and not isinstance(value, dict):
        assert verdict is incoming.Malformed
    if isinstance(verdict, incoming.FrameRefused):
        assert verdict.error.reason in {"INVALID_FRAME", "TOO_LARGE"}


@_FUZZ
@given(st.text(max_size=200))
def test_any_text_is_answered_without_a_defect(text: str) -> None:
    judged(text.encode("utf-8", "surrogatepass"))


@_FUZZ
@given(_typed, st.data())
def test_a_frame_with_a_few_bytes_changed_is_answered_without_a_defect(frame: dict[str, Any], data: st.DataObject) -> None:
    spoiled = bytearray(json.dumps(frame).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        spoiled[data.draw(st.integers(0, len(spoiled) - 1))] = data.draw(st.integers(32, 126))
    judged(bytes(spoiled))
