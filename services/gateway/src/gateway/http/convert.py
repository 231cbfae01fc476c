"""Converts the services' protobuf messages to the JSON shapes of the HTTP API (`http.shapes`)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from chassis import blocks
from chassis.proto_enums import to_word
from gateway.http import shapes
from gateway.protocol.outgoing import moment
from hubbub.events.v1.events_pb2 import Attachment, Event, Role
from hubbub.media.v1.media_pb2 import Upload, UploadForm, UploadState
from hubbub.messages.v1.messages_pb2 import (
    AuditRecord,
    BrowserSession,
    Channel,
    ChannelKind,
    History,
    Invitation,
    Member,
    Message,
    Report,
    User,
)
from hubbub.messages.v1.messages_service_pb2 import PostMessageResponse


def user(found: User) -> shapes.User:
    """A user."""
    return shapes.User(found.id, found.name, found.bot or UNSET)


def browser_session(found: BrowserSession, current: str) -> shapes.BrowserSession:
    """A session of the caller, whose own is `current`."""
    return shapes.BrowserSession(
        found.id,
        moment(found.created_at),
        moment(found.seen_at),
        moment(found.ends_at),
        found.user_agent,
        found.id == current,
    )


def member(found: Member) -> shapes.Member:
    """A member."""
    return shapes.Member(found.user, found.name, to_word(Role, found.role), found.bot or UNSET)


def channel(found: Channel, invited: Sequence[str] = ()) -> shapes.Channel:
    """A channel with its details, and the users who were invited when it was created."""
    return shapes.Channel(
        **_summary(found),
        slow_mode_seconds=found.slow_mode_seconds,
        history=to_word(History, found.history),
        members=found.members,
        invited=list(invited) or UNSET,
    )


def invitation(found: Invitation) -> shapes.Invitation:
    """An invitation."""
    kind, role = to_word(ChannelKind, found.kind), to_word(Role, found.role)
    return shapes.Invitation(found.channel, kind, found.name, found.inviter, role, moment(found.at))


def channel_summary(found: Channel) -> shapes.ChannelSummary:
    """A channel as its viewer's list shows it: what the protocol names, and of a direct channel the other person."""
    return shapes.ChannelSummary(**_summary(found))


def _summary(found: Channel) -> dict[str, Any]:
    return {
        "id": found.id,
        "kind": to_word(ChannelKind, found.kind),
        "name": found.name,
        "topic": found.topic,
        "role": to_word(Role, found.role) or None,
        "seq": found.seq,
        "read_seq": found.read_seq,
        "unread": found.unread,
        "muted": found.muted,
        "last_message": message(found.last_message) if found.HasField("last_message") else None,
        "peer": user(found.peer) if found.HasField("peer") else UNSET,
    }


def attachment(found: Attachment) -> shapes.Attachment:
    """A clean upload as messages show it."""
    return shapes.Attachment(found.id, found.name, found.size, found.type, *_extent(found))


def message(found: Message) -> shapes.Message:
    """A message as it stands now."""
    return shapes.Message(
        id=found.id,
        channel=found.channel,
        seq=found.seq,
        sender=found.sender,
        text=found.text if found.HasField("text") else None,
        at=moment(found.at),
        edited_at=moment(found.edited_at) if found.HasField("edited_at") else None,
        deleted=found.deleted,
        thread=found.thread or None,
        attachments=[attachment(each) for each in found.attachments],
        mentions=list(found.mentions),
        reactions=[shapes.Reaction(each.emoji, each.count, list(each.users)) for each in found.reactions],
        pinned=found.pinned,
        truncated=found.truncated or UNSET,
        sealed=found.sealed if found.HasField("sealed") else UNSET,
        blocks=blocks.read(found.blocks) or UNSET,
    )


def posted(found: PostMessageResponse) -> shapes.Posted:
    """Where a message was stored."""
    return shapes.Posted(found.message, found.seq, moment(found.at), found.duplicate)


def report(found: Report) -> shapes.Report:
    """A reported message, with its neighbours."""
    return shapes.Report(**_report(found))


def escalated_report(found: Report) -> shapes.EscalatedReport:
    """A report for administrators."""
    return shapes.EscalatedReport(**_report(found), channel=found.channel)


def _report(found: Report) -> dict[str, Any]:
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


def audit_record(found: AuditRecord) -> shapes.AuditRecord:
    """A record of the audit log. `details` stays the text that is sealed, and `at` has its microseconds."""
    return shapes.AuditRecord(
        number=found.number,
        at=found.at.ToDatetime(tzinfo=UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z",
        actor=found.actor,
        action=found.action,
        channel=found.channel or None,
        subject=found.subject or None,
        details=found.details,
        previous=found.previous.hex(),
        digest=found.digest.hex(),
    )


def event(found: Event) -> Raw:
    """A log entry: the bytes that the messages service encoded once, whichever door they leave by."""
    return Raw(found.payload)


def upload(found: Upload) -> shapes.Upload:
    """An upload's state."""
    reason = found.reason or UNSET
    return shapes.Upload(found.id, to_word(UploadState, found.state), found.name, found.size, found.type, reason, *_extent(found))


def created_upload(found: Upload, form: UploadForm) -> shapes.CreatedUpload:
    """A new upload, and how its bytes get where they belong."""
    how = shapes.UploadForm(form.method, form.url, dict(form.headers), dict(form.fields) or UNSET)
    return shapes.CreatedUpload(found.id, to_word(UploadState, found.state), how)


def _extent(found: Attachment | Upload) -> tuple[int | UnsetType, int | UnsetType]:
    """Width and height, of an image."""
    return (found.width, found.height) if found.width and found.height else (UNSET, UNSET)
