"""Writes the AsyncAPI 3 document of the socket, docs/asyncapi.json, from the declared frames.

The document describes the server: it receives the frames of `protocol.incoming` and sends those of `protocol.outgoing` and
`entries`. docs/protocol.md explains what types cannot express: order, meaning, and what a client does after a close code.
"""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec

from chassis.errors import ALL
from gateway.asyncapi import entries
from gateway.http.openapi import in_ecma_script
from gateway.http.shapes import ChannelKind, MemberRole
from gateway.protocol import incoming, outgoing
from gateway.protocol.close_codes import Close

EXCLUSIVE: dict[type, tuple[str, str]] = {
    incoming.Send: ("text", "sealed"),
    incoming.Edit: ("text", "sealed"),
    incoming.Token: ("token", "ticket"),
}
"""Two fields of a frame from clients of which it has exactly one."""
_ANSWERS: dict[type, type] = {
    incoming.Sync: outgoing.Synced,
    incoming.Token: outgoing.Renewed,
    incoming.Ping: outgoing.Pong,
}
"""The answers to frames that are not silent; all others are answered with `ack`. Any frame may be answered with `error`."""
_SOCKET_IO_ONLY = (outgoing.Accepted,)
_CHANNEL = {"$ref": "#/channels/socket"}
_SCHEMA = "#/components/schemas/{name}"
_STATUSES = ("online", "away", "dnd", "offline")
_ENUMS = {"kind": get_args(ChannelKind), "role": get_args(MemberRole)}


def document() -> str:
    """The whole document, JSON."""
    received = get_args(incoming.Frame)
    sent = [each for each in get_args(outgoing.Frame) if each not in _SOCKET_IO_ONLY]
    messages = {
        **{_name("client", each): _message("client", each) for each in received},
        **{_name("server", each): _message("server", each) for each in (*sent, entries.Invited)},
        "server.event": _entry_message(),
    }
    whole = {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Hubbub",
            "version": "1",
            "description": "The frames of the WebSocket. protocol.md explains them, and openapi.json describes the HTTP API.",
        },
        "defaultContentType": "application/json",
        "servers": {"gateway": _server()},
        "channels": {"socket": _socket(messages)},
        "operations": {**{_name("client", each): _receiving(each) for each in received}, **_sending(messages)},
        "components": {
            "messages": messages,
            "schemas": {**_schemas("client", received), **_schemas("server", [*sent, *get_args(entries.Entry), entries.Invited])},
            "securitySchemes": _security(),
        },
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _name(sender: str, frame: Any) -> str:
    return f"{sender}.{frame.__struct_config__.tag}"


def _summary(frame: type) -> str:
    return (frame.__doc__ or "").partition("\n")[0]


def _reference(sender: str, frame: type) -> dict[str, Any]:
    return {"$ref": _SCHEMA.format(name=f"{sender}.{frame.__name__}")}


def _message(sender: str, frame: Any) -> dict[str, Any]:
    payload = _reference(sender, frame)
    if frame in EXCLUSIVE:
        payload = {"allOf": [payload, {"oneOf": [{"required": [field]} for field in EXCLUSIVE[frame]]}]}
    described = {"name": frame.__struct_config__.tag, "summary": _summary(frame), "payload": payload}
    if sender == "client":
        described["x-cost"] = frame.cost
    return described


def _entry_message() -> dict[str, Any]:
    """All kinds of events, as one message: their `type` is the same."""
    kinds = [_reference("server", each) for each in get_args(entries.Entry)]
    return {"name": "event", "summary": "One entry of a channel's log.", "payload": {"oneOf": kinds}}


def _schemas(sender: str, frames: Any) -> dict[str, Any]:
    _, found = msgspec.json.schema_components(frames, ref_template=_SCHEMA.format(name=sender + ".{name}"))
    if sender == "server":
        _complete(found)
    return {f"{sender}.{name}": _with_plain_discriminators(in_ecma_script(schema)) for name, schema in found.items()}


def _with_plain_discriminators(schema: Any) -> Any:
    """The schema with the names of discriminators, where OpenAPI has objects."""
    match schema:
        case {"discriminator": {"propertyName": str(field)}}:
            return {**{name: _with_plain_discriminators(each) for name, each in schema.items()}, "discriminator": field}
        case dict():
            return {name: _with_plain_discriminators(each) for name, each in schema.items()}
        case list() | tuple():
            return [_with_plain_discriminators(each) for each in schema]
        case _:
            return schema


def _complete(schemas: dict[str, Any]) -> None:
    """Add what the types of frames from the server leave out for speed: the list of channels is bytes, closed sets are texts."""
    schemas["Hello"]["properties"]["channels"] = {"type": "array", "items": _reference("server", outgoing.ChannelView)}
    schemas["Error"]["properties"]["reason"]["enum"] = [error.reason for error in ALL]
    for field, words in _ENUMS.items():
        schemas["ChannelView"]["properties"][field]["enum"] = words
    schemas["Presence"]["properties"]["status"]["enum"] = _STATUSES


def _server() -> dict[str, Any]:
    return {
        "host": "{host}",
        "protocol": "wss",
        "variables": {"host": {"description": "The origin's host and port.", "default": "chat.example.com"}},
        "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in _security()],
    }


def _security() -> dict[str, Any]:
    return {
        "ticket": {"type": "httpApiKey", "in": "query", "name": "ticket", "description": "From POST /v1/tickets."},
        "token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    }


def _socket(messages: dict[str, Any]) -> dict[str, Any]:
    ends = [close for close in Close if close not in (Close.VANISHED, Close.BY_CLIENT)]
    return {
        "address": "/v1/connect",
        "description": "Text frames of the sub-protocol hubbub.v1, one JSON object each.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET"}},
        "x-close-codes": [{"code": end.code, "reason": end.text, "reconnect": end.reconnect} for end in ends],
    }


def _receiving(frame: Any) -> dict[str, Any]:
    answers = [outgoing.Error] if frame.silent else [_ANSWERS.get(frame, outgoing.Ack), outgoing.Error]
    return {
        "action": "receive",
        "channel": _CHANNEL,
        "summary": _summary(frame),
        "messages": [_of_channel(_name("client", frame))],
        "reply": {"channel": _CHANNEL, "messages": [_of_channel(_name("server", each)) for each in answers]},
    }


def _sending(messages: dict[str, Any]) -> dict[str, Any]:
    """The frames that the server sends by itself, those that are no answers."""
    answers = {_name("server", each) for each in (outgoing.Ack, outgoing.Error, *_ANSWERS.values())}
    return {
        name: {"action": "send", "channel": _CHANNEL, "summary": message["summary"], "messages": [_of_channel(name)]}
        for name, message in messages.items()
        if name.startswith("server.") and name not in answers
    }


def _of_channel(name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/socket/messages/{name}"}
