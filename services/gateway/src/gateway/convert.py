"""Protobuf of the services → the shapes of `protocol.md`. No other module of the gateway spells a JSON shape of the HTTP API."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from msgspec import Raw

from gateway.outbound.frames import ChannelView
from hubbub.events.v1.events_pb2 import Attachment, Event
from hubbub.media.v1.media_pb2 import Upload, UploadForm, UploadState
from hubbub.messages.v1.messages_pb2 import AuditRecord, Channel, Member, Message, Report, User

Json = dict[str, Any]

_STATES = {
    UploadState.UPLOAD_STATE_PENDING: "pending",
    UploadState.UPLOAD_STATE_SCANNING: "scanning",
    UploadState.UPLOAD_STATE_CLEAN: "clean",
    UploadState.UPLOAD_STATE_BLOCKED: "blocked",
    UploadState.UPLOAD_STATE_FAILED: "failed",
}


def moment(timestamp: Timestamp) -> str:
    """RFC 3339 UTC with milliseconds, as the messages service spells it in events."""
    return timestamp.ToDatetime(tzinfo=UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def channel_view(channel: Channel) -> ChannelView:
    """A channel as `hello` and `joined` show it."""
    return ChannelView(channel.id, channel.kind, channel.name, channel.role, channel.seq, channel.read_seq)


def user(found: User) -> Json:
    """A person."""
    return {"user": found.id, "name": found.name}


def member(found: Member) -> Json:
    """A member."""
    return {"user": found.user, "name": found.name, "role": found.role}


def channel(found: Channel) -> Json:
    """A channel with its details."""
    return {**channel_summary(found), "slow_mode_seconds": found.slow_mode_seconds, "history": found.history}


def channel_summary(found: Channel) -> Json:
    """A channel as its viewer's list shows it: what the protocol names, and of a direct channel the other person."""
    shape: Json = {
        "id": found.id,
        "kind": found.kind,
        "name": found.name,
        "topic": found.topic,
        "role": found.role or None,
        "seq": found.seq,
        "read_seq": found.read_seq,
        "unread": found.unread,
        "muted": found.muted,
        "last_message": message(found.last_message) if found.HasField("last_message") else None,
    }
    if found.HasField("peer"):
        shape["peer"] = user(found.peer)
    return shape


def attachment(found: Attachment) -> Json:
    """A clean upload as messages show it."""
    shape: Json = {"id": found.id, "name": found.name, "size": found.size, "type": found.type}
    if found.width and found.height:
        shape |= {"width": found.width, "height": found.height}
    return shape


def message(found: Message) -> Json:
    """A message as it stands now."""
    return {
        "id": found.id,
        "channel": found.channel,
        "seq": found.seq,
        "sender": found.sender,
        "text": found.text if found.HasField("text") else None,
        "at": moment(found.at),
        "edited_at": moment(found.edited_at) if found.HasField("edited_at") else None,
        "deleted": found.deleted,
        "thread": found.thread or None,
        "attachments": [attachment(each) for each in found.attachments],
        "mentions": list(found.mentions),
        "reactions": [{"emoji": each.emoji, "count": each.count, "users": list(each.users)} for each in found.reactions],
        "pinned": found.pinned,
    }


def report(found: Report) -> Json:
    """A reported message, with its neighbours."""
    return {
        "id": found.id,
        "message": found.message,
        "sender": found.sender,
        "text": found.text,
        "reporter": found.reporter,
        "reason": found.reason,
        "at": moment(found.at),
        "context": [message(each) for each in found.context],
    }


def audit_record(found: AuditRecord) -> Json:
    """What was done. `details` stays the text that is sealed, and `at` has its microseconds."""
    return {
        "number": found.number,
        "at": found.at.ToDatetime(tzinfo=UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z",
        "actor": found.actor,
        "action": found.action,
        "channel": found.channel or None,
        "subject": found.subject or None,
        "details": found.details,
        "previous": found.previous.hex(),
        "digest": found.digest.hex(),
    }


def event(found: Event) -> Raw:
    """A log entry: the bytes that the messages service encoded once, whichever door they leave by."""
    return Raw(found.payload)


def upload(found: Upload) -> Json:
    """An upload's state."""
    shape: Json = {
        "id": found.id,
        "state": _STATES[found.state],
        "name": found.name,
        "size": found.size,
        "type": found.type,
    }
    if found.reason:
        shape["reason"] = found.reason
    if found.width and found.height:
        shape |= {"width": found.width, "height": found.height}
    return shape


def created_upload(found: Upload, form: UploadForm) -> Json:
    """A new upload, and how its bytes get where they belong."""
    how: Json = {"method": form.method, "url": form.url, "headers": dict(form.headers)}
    if form.fields:
        how["fields"] = dict(form.fields)
    return {"id": found.id, "state": _STATES[found.state], "upload": how}


def attached(found: Upload) -> Attachment:
    """A clean upload as a message carries it."""
    return Attachment(id=found.id, name=found.name, size=found.size, type=found.type, width=found.width, height=found.height)
