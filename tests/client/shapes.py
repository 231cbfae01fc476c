"""Checks for the exact shape of every frame and answer in protocol.md.

A check takes a value and its location. It raises `Mismatch` unless the value has each field of the protocol, with its type,
and no other field.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

Check = Callable[[Any, str], None]


class Mismatch(AssertionError):
    """The server sent something that the protocol does not allow."""


def record(required: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    """An object with exactly these fields."""
    fields = {**required, **(optional or {})}

    def check(value: Any, where: str) -> None:
        _demand(isinstance(value, dict), value, where, "an object")
        missing, unknown = required.keys() - value.keys(), value.keys() - fields.keys()
        _demand(not missing, value, where, f"an object with {sorted(missing)}")
        _demand(not unknown, value, where, f"an object without {sorted(unknown)}")
        for name, item in value.items():
            fields[name](item, f"{where}.{name}")

    return check


def listed(item: Check) -> Check:
    """A list whose items pass the check."""

    def check(value: Any, where: str) -> None:
        _demand(isinstance(value, list), value, where, "a list")
        for number, each in enumerate(value):
            item(each, f"{where}[{number}]")

    return check


def mapped(item: Check) -> Check:
    """An object from ids to items that pass the check."""

    def check(value: Any, where: str) -> None:
        _demand(isinstance(value, dict), value, where, "an object")
        for name, each in value.items():
            item(each, f"{where}[{name}]")

    return check


def nullable(item: Check) -> Check:
    """An item that passes the check, or null."""
    return lambda value, where: None if value is None else item(value, where)


def one_of(*values: object) -> Check:
    """One of these values."""
    return lambda value, where: _demand(value in values and not isinstance(value, bool), value, where, f"one of {values}")


def matching(pattern: str) -> Check:
    """A text that matches the whole pattern."""
    compiled = re.compile(pattern)
    return lambda value, where: _demand(isinstance(value, str) and compiled.fullmatch(value), value, where, f"like {pattern}")


def anything(_value: Any, _where: str) -> None:
    """Any JSON value."""


def text(value: Any, where: str) -> None:
    """Text."""
    _demand(isinstance(value, str), value, where, "text")


def whole(value: Any, where: str) -> None:
    """A whole number, not negative."""
    _demand(type(value) is int and value >= 0, value, where, "a whole number")


def number(value: Any, where: str) -> None:
    """A number, not negative."""
    _demand(type(value) in (int, float) and value >= 0, value, where, "a number")


def flag(value: Any, where: str) -> None:
    """True or false."""
    _demand(isinstance(value, bool), value, where, "true or false")


def true(value: Any, where: str) -> None:
    """True, and nothing else."""
    _demand(value is True, value, where, "true")


def _demand(met: Any, value: Any, where: str, wanted: str) -> None:
    if not met:
        raise Mismatch(f"{where}: expected {wanted}, got {value!r}")


moment = matching(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
uuid = matching(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
kind = one_of("direct", "group", "public", "broadcast", "qa")
role = one_of("owner", "moderator", "member", "reader")
presence_status = one_of("online", "away", "dnd", "offline")

REASONS = {
    "INVALID_ARGUMENT": 400,
    "INVALID_FRAME": 400,
    "NOT_AUTHENTICATED": 401,
    "NOT_ALLOWED": 403,
    "NOT_A_MEMBER": 403,
    "SIGN_IN_AGAIN": 403,
    "NOT_FOUND": 404,
    "CONFLICT": 409,
    "KEY_REUSED": 409,
    "BLOCKED_MEDIA": 409,
    "TOO_LARGE": 413,
    "RATE_LIMITED": 429,
    "SLOW_MODE": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
reason = one_of(*REASONS)

problem = record({"status": whole, "title": text, "reason": reason}, {"detail": text})

attachment = record({"id": uuid, "name": text, "size": whole, "type": text}, {"width": whole, "height": whole})
invitation = record({"channel": uuid, "kind": kind, "name": text, "inviter": text, "role": role, "at": moment})
hello_channel = record({"id": uuid, "kind": kind, "name": nullable(text), "role": role, "seq": whole, "read_seq": whole})

_member_data = record({"user": text, "role": nullable(one_of("owner", "moderator", "member", "reader", ""))})
_channel_data = record({"name": nullable(text), "topic": nullable(text), "slow_mode_seconds": whole})
_reaction_data = record({"message": uuid, "emoji": text})
_message_only = record({"message": uuid})

_choice = record({"value": text, "text": text})
_BLOCKS = {
    "text": record({"type": text, "text": text}),
    "image": record({"type": text, "upload": text, "alt": text}),
    "buttons": record({"type": text, "id": text, "buttons": listed(_choice)}),
    "select": record({"type": text, "id": text, "label": text, "options": listed(_choice)}),
}


def block(value: Any, path: str) -> None:
    """A block of a bot's message."""
    if not isinstance(value, dict) or value.get("type") not in _BLOCKS:
        raise Mismatch(f"{path}: {value!r} is no block")
    _BLOCKS[value["type"]](value, path)


EVENT_DATA: Mapping[str, Check] = {
    "message.posted": record(
        {
            "message": uuid,
            "key": text,
            "text": nullable(text),
            "thread": nullable(uuid),
            "attachments": listed(attachment),
            "mentions": listed(text),
        },
        {"sealed": text, "blocks": listed(block)},
    ),
    "message.edited": record({"message": uuid, "text": nullable(text)}, {"sealed": text, "blocks": listed(block)}),
    "message.deleted": _message_only,
    "reaction.added": _reaction_data,
    "reaction.removed": _reaction_data,
    "message.pinned": _message_only,
    "message.unpinned": _message_only,
    "member.joined": _member_data,
    "member.left": _member_data,
    "member.removed": _member_data,
    "member.role_changed": _member_data,
    "channel.created": _channel_data,
    "channel.updated": _channel_data,
}


def entry(value: Any, where: str) -> None:
    """A log entry, as in `/events`: an `event` frame with or without its `type`."""
    fields = {"channel": uuid, "seq": whole, "kind": one_of(*EVENT_DATA), "actor": text, "at": moment, "data": anything}
    record(fields, {"type": one_of("event")})(value, where)
    _demand(value["seq"] > 0, value, where, "a number from 1")
    EVENT_DATA[value["kind"]](value["data"], f"{where}.data")


_limit_names = ("frame_bytes", "text_bytes", "sync_events", "sends_per_second", "burst", "connections", "named_members")
_limits = record(dict.fromkeys(_limit_names, number))


def _synced_channel(value: Any, where: str) -> None:
    record({"status": one_of("complete", "reset", "gone")}, {"seq": whole})(value, where)
    _demand(("seq" in value) == (value["status"] != "gone"), value, where, "a seq unless gone")


_FRAMES: Mapping[str, tuple[Mapping[str, Check], Mapping[str, Check]]] = {
    "hello": (
        {
            "connection": text,
            "user": text,
            "tenant": text,
            "heartbeat_seconds": number,
            "limits": _limits,
            "channels": listed(hello_channel),
            "epoch": text,
        },
        {"more": true},
    ),
    "ack": ({"channel": uuid, "seq": whole, "message": uuid, "at": moment}, {"ref": anything, "duplicate": true}),
    "error": ({"reason": reason, "detail": text}, {"ref": anything, "retry_after": number}),
    "synced": ({"channels": mapped(_synced_channel)}, {"ref": anything}),
    "joined": ({"channel": hello_channel}, {}),
    "left": ({"channel": uuid}, {}),
    "invited": ({"invitation": invitation}, {}),
    "receipt": ({"channel": uuid, "user": text, "read_seq": whole}, {}),
    "seen": ({"channel": uuid, "seq": whole, "count": whole}, {}),
    "members": ({"channel": uuid, "count": whole}, {}),
    "typing": ({"channel": uuid, "user": text}, {}),
    "presence": ({"user": text, "status": presence_status, "last_seen": nullable(moment)}, {}),
    "reconnect": ({"after_ms": whole}, {}),
    "token": ({"expires_at": moment}, {"ref": anything}),
    "pong": ({}, {"ref": anything}),
}


def frame(value: Any) -> None:
    """A frame from the server."""
    _demand(isinstance(value, dict) and isinstance(value.get("type"), str), value, "frame", "an object with a type")
    name = value["type"]
    if name == "event":
        entry(value, name)
        return
    _demand(name in _FRAMES, value, "frame", f"one of {sorted(_FRAMES)}")
    required, optional = _FRAMES[name]
    record({"type": text, **required}, optional)(value, name)


reaction = record({"emoji": text, "count": whole, "users": listed(text)})
message = record(
    {
        "id": uuid,
        "channel": uuid,
        "seq": whole,
        "sender": text,
        "text": nullable(text),
        "at": moment,
        "edited_at": nullable(moment),
        "deleted": flag,
        "thread": nullable(uuid),
        "attachments": listed(attachment),
        "mentions": listed(text),
        "reactions": listed(reaction),
        "pinned": flag,
    },
    {"sealed": text, "blocks": listed(block)},
)

_channel_fields: Mapping[str, Check] = {
    "id": uuid,
    "kind": kind,
    "name": nullable(text),
    "topic": nullable(text),
    "role": nullable(role),
    "seq": whole,
    "read_seq": whole,
    "unread": whole,
    "muted": flag,
    "last_message": nullable(message),
}
_peer = {"peer": record({"user": text, "name": text}, {"bot": true})}
"""The other user of a direct channel. The web app names the channel by it; the protocol does not promise the field."""
channel = record(_channel_fields, _peer)
channel_details = record(
    _channel_fields, {**_peer, "slow_mode_seconds": whole, "history": one_of("all", "joined"), "members": whole}
)
me = record({"user": text, "tenant": text, "name": text, "roles": listed(text)})
user = record({"user": text, "name": text}, {"bot": true})
member = record({"user": text, "name": text, "role": role}, {"bot": true})
_bot_id = matching(r"bot:[0-9a-f]{24}")
_day = matching(r"\d{4}-\d\d-\d\d")
_made = {"creator": text, "created_at": moment}
bot = record({"user": _bot_id, "name": text, "disabled": flag, "channel": nullable(uuid), **_made})
_bot_token = {
    "id": uuid,
    "name": text,
    "scopes": listed(one_of("read", "write", "react", "upload", "manage", "moderate")),
    "expires_at": nullable(moment),
    "used_on": nullable(_day),
    **_made,
}
bot_token = record(_bot_token)
new_bot_token = record({**_bot_token, "token": matching(r"hubbot_[a-z0-9-]{1,64}\.[A-Za-z0-9_-]{43}")})
_hook = {"id": _bot_id, "name": text, "disabled": flag, "used_on": nullable(_day), **_made}
hook = record(_hook)
new_hook = record({**_hook, "path": matching(r"/v1/hooks/[a-z0-9-]{1,64}\.[0-9a-f]{24}/[A-Za-z0-9_-]{43}")})
posted = record({"message": uuid, "seq": whole, "at": moment}, {"duplicate": true})
login = record({"token": text, "expires_in": number})
ticket = record({"ticket": text, "expires_in": number})
upload_created = record(
    {
        "id": uuid,
        "state": one_of("pending"),
        "upload": record({"method": one_of("POST", "PUT"), "url": text, "headers": mapped(text)}, {"fields": mapped(text)}),
    }
)
upload = record(
    {
        "id": uuid,
        "state": one_of("pending", "scanning", "clean", "blocked", "failed"),
        "name": text,
        "size": whole,
        "type": text,
    },
    {"reason": text, "width": whole, "height": whole},
)


members = record({"items": listed(member), "total": whole}, {"next": text})


def items(item: Check) -> Check:
    """A page of a list."""
    return record({"items": listed(item)}, {"next": text})
