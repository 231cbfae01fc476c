"""Between the domain and protobuf, both ways. An event's client JSON is made here, by `payload`, once in its life."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from chassis.errors import InvalidArgument
from chassis.proto_enums import from_word, requested_word
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from messages import validate
from messages.audit import Record
from messages.commands.model import Body, Command, Delete, Edit, Pin, Post, React, Read
from messages.message import (
    Attachment,
    Caller,
    CommandId,
    Entry,
    EntryKind,
    Member,
    Message,
    Receipt,
    Standing,
    TenantId,
    User,
    UserId,
    View,
)
from messages.payload import event_frame, rfc3339
from messages.policy import ChannelKind, Role
from messages.store.reports import Report

_MEMBER_KINDS = frozenset({
    EntryKind.MEMBER_JOINED, EntryKind.MEMBER_LEFT, EntryKind.MEMBER_REMOVED, EntryKind.MEMBER_ROLE_CHANGED
})  # fmt: skip


def command(given: events.Command) -> Command:
    """Read one command of a batch; raises a `HubbubError` for what can never be stored."""
    return Command(
        TenantId(validate.tenant(given.tenant)),
        validate.channel_id(given.channel),
        validate.user_id(given.actor),
        given.key,
        CommandId(given.id),
        given.gateway,
        _body(given),
        given.token_issued_at,
    )


def _body(given: events.Command) -> Body:
    match given.WhichOneof("body"):
        case "post":
            validate.key(given.key)
            return post(given.post)
        case "edit":
            return Edit(validate.message_id(given.edit.message), validate.text(given.edit.text))
        case "delete":
            return Delete(validate.message_id(given.delete.message))
        case "react":
            react = given.react
            return React(validate.message_id(react.message), validate.emoji(react.emoji), react.remove)
        case "pin":
            return Pin(validate.message_id(given.pin.message), given.pin.remove)
        case "read":
            return Read(validate.seq(given.read.seq))
        case _:
            raise InvalidArgument("The command wants nothing that is known here")


def post(given: events.PostMessage) -> Post:
    """Read what somebody wants to post; raises a `HubbubError`."""
    attachments, mentions, thread = given.attachments, given.mentions, given.thread
    if not attachments and not mentions and not thread:  # most of them
        return Post(validate.text(given.text))
    validate.at_most(attachments, validate.ATTACHMENTS, "attachments")
    validate.at_most(mentions, validate.MENTIONS, "mentions")
    return Post(
        validate.text(given.text, may_be_empty=bool(attachments)),
        validate.message_id(thread) if thread else None,
        [_attachment(each) for each in attachments],
        [validate.user_id(user) for user in mentions],
    )


def _attachment(given: events.Attachment) -> Attachment:
    """Whoever accepted the command has asked the media service about it; here only its form is looked at."""
    return Attachment(
        validate.uuid(given.id),
        validate.line(given.name, "file name", validate.FILE_NAME_CHARACTERS),
        given.size,
        validate.line(given.type, "media type", validate.MEDIA_TYPE_CHARACTERS),
        given.width,
        given.height,
    )


def caller(given: nouns.Caller) -> Caller:
    """Read on whose behalf a call is made; raises `InvalidArgument`."""
    return Caller(TenantId(validate.tenant(given.tenant)), validate.user_id(given.user), given.admin, given.token_issued_at)


def role(given: events.Role.ValueType) -> Role:
    """Read a role; raises `InvalidArgument`."""
    return Role(requested_word(events.Role, given, "role"))


def channel_kind(given: nouns.ChannelKind.ValueType) -> ChannelKind:
    """Read the kind of a new channel; raises `InvalidArgument`."""
    return ChannelKind(requested_word(nouns.ChannelKind, given, "kind"))


def history(given: nouns.History.ValueType) -> str:
    """Read what members of a new channel may read; raises `InvalidArgument`."""
    return requested_word(nouns.History, given or nouns.HISTORY_ALL, "history")


def resolution(given: nouns.ReportResolution.ValueType) -> str:
    """Read how a report is closed; raises `InvalidArgument`."""
    return requested_word(nouns.ReportResolution, given, "resolution")


def event(entry: Entry) -> events.Event:
    """A log entry for whoever reads the log."""
    made = events.Event()
    write_event(made, entry)
    return made


def write_event(made: events.Event, entry: Entry, gateway: str = "") -> int:
    """Write a log entry into an empty event; `gateway` is who awaits its acknowledgement. Returns the payload's bytes.

    Into one that its batch has made, field by field: a sixth of what it costs to make one from keywords and copy it there.
    """
    at = rfc3339(entry.at)
    payload = event_frame(entry, at)
    made.tenant = entry.tenant
    made.channel = entry.channel
    made.seq = entry.seq
    made.kind = entry.kind  # type: ignore[assignment]  # the numbers are the proto's
    made.actor = entry.actor
    made.at = at
    made.payload = payload
    if entry.message:
        made.message = entry.message
    if entry.command:
        made.command = entry.command
    if gateway:
        made.gateway = gateway
    if entry.kind in _MEMBER_KINDS:
        made.subject = entry.details.user
        made.role = from_word(events.Role, entry.details.role or "")
    return len(payload)


def receipt(moved: Receipt) -> events.Receipt:
    """A read position that moved. The connection is the command's id without its number."""
    return events.Receipt(
        tenant=moved.tenant,
        channel=moved.channel,
        user=moved.user,
        read_seq=moved.read_seq,
        connection=moved.command.rpartition(".")[0],
    )


def timestamp(at: datetime) -> Timestamp:
    """A moment."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


def user(known: User) -> nouns.User:
    """A user."""
    return nouns.User(id=known.id, name=known.name)


def members(known: Iterable[Member]) -> list[nouns.Member]:
    """Members."""
    return [nouns.Member(user=each.user, name=each.name, role=from_word(events.Role, each.role)) for each in known]


def channel(standing: Standing) -> nouns.Channel:
    """A channel without what only lists show."""
    return nouns.Channel(
        id=standing.id,
        kind=from_word(nouns.ChannelKind, standing.kind),
        name=standing.name,
        topic=standing.topic,
        role=from_word(events.Role, standing.role or ""),
        seq=standing.head,
        read_seq=standing.read_seq,
        muted=standing.muted,
        slow_mode_seconds=standing.slow_mode_seconds,
        history=from_word(nouns.History, standing.history),
    )


def view(seen: View) -> nouns.Channel:
    """A channel as a user's list shows it."""
    made = channel(seen.standing)
    made.unread = seen.unread
    if seen.peer:
        made.peer.CopyFrom(user(seen.peer))
    if seen.last_message:
        made.last_message.CopyFrom(message(seen.last_message))
    return made


def message(known: Message) -> nouns.Message:
    """A message as it stands now."""
    return nouns.Message(
        id=known.id,
        channel=known.channel,
        seq=known.seq,
        sender=known.sender,
        text=known.text,
        at=timestamp(known.at),
        edited_at=timestamp(known.edited_at) if known.edited_at else None,
        deleted=known.deleted,
        thread=known.details.thread or "",
        attachments=[
            events.Attachment(id=each.id, name=each.name, size=each.size, type=each.type, width=each.width, height=each.height)
            for each in known.details.attachments
        ],
        mentions=list[str](known.details.mentions),
        reactions=[nouns.Reaction(emoji=each.emoji, count=each.count, users=list[str](each.users)) for each in known.reactions],
        pinned=known.pinned,
    )


def revocation(decision: str, tenant: TenantId, user_id: UserId, revoked_before: float, *, blocked: bool) -> events.Revocation:
    """A decision about a user that every gateway must carry out."""
    return events.Revocation(id=decision, tenant=tenant, user=user_id, revoked_before=revoked_before, blocked=blocked)


def audit_record(record: Record) -> nouns.AuditRecord:
    """What was done."""
    return nouns.AuditRecord(
        number=record.number,
        at=timestamp(record.at),
        actor=record.actor,
        action=record.action,
        channel=record.channel or "",
        subject=record.subject,
        details=record.details,
        previous=record.previous,
        digest=record.digest,
    )


def report(found: Report, context: Iterable[Message]) -> nouns.Report:
    """A reported message, with its neighbours."""
    return nouns.Report(
        id=found.id,
        message=found.message,
        sender=found.sender,
        text=found.text or "",
        reporter=found.reporter,
        reason=found.reason,
        at=timestamp(found.at),
        context=[message(each) for each in context],
    )
