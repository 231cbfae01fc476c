"""The rules for every frame of a client, in every scenario: known fields, stable keys, whole positions."""

from collections.abc import Mapping
from typing import Any

FIELDS = {
    "send": {"channel", "key", "text", "sealed", "thread", "attachments", "mentions", "blocks"},
    "edit": {"channel", "message", "text", "sealed", "blocks"},
    "delete": {"channel", "message"},
    "react": {"channel", "message", "emoji", "remove"},
    "pin": {"channel", "message", "remove"},
    "sync": {"positions", "epoch"},
    "read": {"channel", "seq"},
    "typing": {"channel"},
    "watch": {"users"},
    "status": {"status"},
    "token": {"token", "ticket"},
    "ping": set(),
}
"""The fields of each frame; `test_clients` compares them with the gateway's."""
ANY = {"type", "ref"}
_NULLABLE = {"thread", "ref"}


class Wrong(Exception):
    """The client broke a rule; the text says which and how."""


def fits(pattern: Any, value: Any) -> bool:
    """Tell whether a value has everything that the pattern names; objects may have more."""
    if isinstance(pattern, Mapping):
        return isinstance(value, Mapping) and all(name in value and fits(item, value[name]) for name, item in pattern.items())
    if isinstance(pattern, list):
        return isinstance(value, list) and len(pattern) == len(value) and all(map(fits, pattern, value))
    return bool(pattern == value)


class Sender:
    """What a client has sent so far, over all its connections."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], str] = {}
        """The key of each text, per channel: scenarios send no text twice on purpose."""

    def check(self, frame: Any) -> None:
        """Check one frame. Raises Wrong."""
        if not isinstance(frame, dict):
            raise Wrong(f"a frame is a JSON object, not {frame!r}")
        kind = frame.get("type")
        if not isinstance(kind, str) or kind not in FIELDS:
            raise Wrong(f"the server knows no frame of type {kind!r}")
        unknown = frame.keys() - FIELDS[kind] - ANY
        if unknown:
            raise Wrong(f"`{kind}` has no field {', '.join(sorted(unknown))}")
        empty = [name for name, item in frame.items() if item is None and name not in _NULLABLE]
        if empty:
            raise Wrong(f"`{kind}` with null in {', '.join(empty)}")
        if kind == "send":
            self._send(frame)
        if kind == "sync":
            self._sync(frame)

    def _send(self, frame: Mapping[str, Any]) -> None:
        key, text = frame.get("key"), frame.get("text")
        if not isinstance(key, str) or not 1 <= len(key) <= 128:
            raise Wrong(f"`send` needs a key of 1 to 128 characters, not {key!r}")
        known = self._keys.setdefault((str(frame.get("channel")), str(text)), key)
        if known != key:
            raise Wrong(f"`send` repeats {text!r} with another key: the message would be stored twice")

    def _sync(self, frame: Mapping[str, Any]) -> None:
        positions = frame.get("positions")
        whole = isinstance(positions, dict) and all(type(seq) is int and seq >= 0 for seq in positions.values())
        if not whole:
            raise Wrong(f"`sync` needs positions, whole numbers from 0, not {positions!r}")
