"""How the frames of docs/protocol.md reach Socket.IO clients: as events, or as the acknowledgement of one of theirs.

A frame `{"type":"x", …}` is the event `x` with the other fields as its object. A frame that answers carries the `ref` that
`socketio.client` gave to the client's event: its name, and the acknowledgement id if there is a callback. Then it is an
acknowledgement. Without a callback success is silent, and a failure is the event `error`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec
from msgspec import Raw

from gateway.model import Connection, Framed
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import ChannelView, Ref
from gateway.socketio.polling import Polling
from gateway.trail import Kind, Mark
from gateway.wire.framing import close_frame, text_frame

SILENT_SECONDS = 10.0
"""Without a poll, after which a session does not count towards its user's limit."""
OPENING: Ref = Raw(b"null")
"""The `ref` of the sync that opens the flow by itself: there is nothing to tell of it."""
_SHARED = b'{"type":"event",'
"""How the payload of a log entry begins: almost all that is written, and to many at a time."""
_RECENT, _RECENT_BYTES = 128, 4_096
"""Log entries whose packets are kept, and the bytes of one: users of other channels get the same entry in another write."""
_match_event = re.compile(_SHARED.replace(b"{", rb"\{") + rb'"channel":"([^"\\:]{1,64})","seq":([0-9]{1,19}),').match
_DISCONNECT = text_frame(b"41")
_decode = msgspec.json.Decoder(dict[str, Raw]).decode
_decode_view = msgspec.json.Decoder(ChannelView).decode
_decode_text = msgspec.json.Decoder(str).decode
_decode_ref = msgspec.json.Decoder(tuple[str | None, int | None] | None).decode
_encode = msgspec.json.Encoder().encode


class SocketIoWire:
    """The `Wire` of every Socket.IO client, whatever its transport: `socketio.polling` takes WebSocket frames, too."""

    def join(self, payloads: Sequence[bytes]) -> Framed:
        """The packets for all payloads, in order, each in a text message; with what they tell about channels."""
        pieces: list[bytes] = []
        marks: list[Mark] = []
        for payload in payloads:
            if payload.startswith(_SHARED):
                packet, told = _recent_event(payload) if len(payload) <= _RECENT_BYTES else _event(payload)
                pieces.append(packet)
                marks += told
            else:
                pieces.append(_packets(payload, marks))
        joined = Framed(b"".join(pieces))
        if marks:
            joined.marks = tuple(marks)
        return joined

    def close(self, reason: Close) -> bytes:
        """The event `closing`, `DISCONNECT` for a client that must stay away, and the close frame."""
        closing = text_frame(b"42" + _encode(["closing", {"code": reason.code, "reason": reason.text}]))
        return closing + (b"" if reason.reconnect else _DISCONNECT) + close_frame(reason.code, reason.text)

    def counts(self, connection: Connection) -> bool:
        """All but those that have stopped polling."""
        transport = connection.transport
        return not isinstance(transport, Polling) or transport.silent_seconds <= SILENT_SECONDS


SOCKET_IO = SocketIoWire()


def _event(payload: bytes) -> tuple[bytes, tuple[Mark, ...]]:
    """The packet of a log entry, with its offset as another argument, and what it tells about its channel."""
    if (found := _match_event(payload)) is None:
        return _packets(payload, []), ()
    channel, seq = found.groups()
    packet = text_frame(b'42["event",{%b,"%b:%b"]' % (payload[len(_SHARED) :], channel, seq))
    return packet, (Mark(channel.decode(), int(seq)),)


_recent_event = lru_cache(_RECENT)(_event)


def _packets(payload: bytes, marks: list[Mark]) -> bytes:
    """The packets of a payload; what it tells about a channel is added to `marks`."""
    if isinstance(payload, Framed):
        marks += payload.marks
        return payload
    fields = _decode(payload)
    name = msgspec.json.decode(fields.pop("type"), type=str)
    if name == "joined":
        view = _decode_view(fields["channel"])
        marks.append(Mark(view.id, view.seq, Kind.JOINED))
    elif name == "left":
        marks.append(Mark(_decode_text(fields["channel"]), 0, Kind.LEFT))
    if "ref" in fields:
        return _answer(name, _decode_ref(fields.pop("ref")), fields)
    if name == "error":  # of a frame whose outcome is not awaited, such as `read`
        return _emitted(name, {"event": None, **fields})
    return _emitted(name, fields)


def _answer(name: str, ref: tuple[str | None, int | None] | None, fields: Mapping[str, object]) -> bytes:
    event, number = ref or (None, None)
    if name == "error":
        if number is None:
            return _emitted(name, {"event": event, **fields})
        return _acknowledged(number, {"ok": False, **fields})
    emitted = _emitted(name, fields) if name == "synced" and ref is not None else b""
    return emitted if number is None else emitted + _acknowledged(number, {"ok": True, **fields})


def _emitted(name: str, fields: Mapping[str, object]) -> bytes:
    return text_frame(b"42" + _encode([name, fields]))


def _acknowledged(number: int, fields: Mapping[str, object]) -> bytes:
    return text_frame(b"43%d%b" % (number, _encode([fields])))
