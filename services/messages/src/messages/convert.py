"""Converts between domain values and protobuf, both ways. The client's JSON of an event is encoded by `payload`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from chassis import blocks
from chassis.blocks import Block
from chassis.bots import is_bot
from chassis.errors import InvalidArgument, NotAllowed
from chassis.proto_enums import from_word, requested_word
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import validate
from messages.audit import Record
from messages.commands.model import Body, Command, Delete, Edit, Pin, Post, React, Read
from messages.message import (
    MEMBER_KINDS,
    Attachment,
    Caller,
    ChannelListing,
    CommandId,
    Entry,
    Invitation,
    Member,
    MembershipView,
    Message,
    Reads,
    Receipt,
    TenantId,
    User,
    UserId,
)
from messages.payload import event_frame, hidden_frame, rfc3339
from messages.policy import ChannelKind, Role
from messages.store.erasure import Erasure
from messages.store.reports import Report
from messages.store.sessions import BrowserSession

PREVIEW_BYTES = 1_024


def command(request: events.Command) -> Command:
    """Read one command of a batch. Raises a `HubbubError` when it is invalid."""
    return Command(
        TenantId(validate.tenant(request.tenant)),
        validate.channel_id(request.channel),
        validate.user_id(request.actor),
        request.key,
        CommandId(request.id),
        request.gateway,
        _body(request),
        request.token_issued_at,
    )


def _body(request: events.Command) -> Body:
    match request.WhichOneof("body"):
        case "post":
            validate.key(request.key)
            return post(request.post, request.actor)
        case "edit":
            return edit(request.edit, request.actor)
        case "delete":
            return Delete(validate.message_id(request.delete.message))
        case "react":
            react = request.react
            return React(validate.message_id(react.message), validate.emoji(react.emoji), react.remove)
        case "pin":
            return Pin(validate.message_id(request.pin.message), request.pin.remove)
        case "read":
            return Read(validate.seq(request.read.seq))
        case _:
            raise InvalidArgument("Unknown kind of command")


def upload_ids(request: events.PostMessage) -> list[str]:
    """The ids of the uploads that a message to post names. Raises a `HubbubError` when one is invalid."""
    validate.at_most(request.attachments, validate.ATTACHMENTS, "attachments")
    return [validate.uuid(each.id) for each in request.attachments]


def post(request: events.PostMessage, actor: str) -> Post:
    """Read a message that `actor` posts. Raises a `HubbubError` when it is invalid."""
    attachments, mentions, thread = request.attachments, request.mentions, request.thread
    sealed = validate.sealed(request.sealed) if request.WhichOneof("content") == "sealed" else None
    if not attachments and not mentions and not thread and sealed is None and not request.blocks:  # as in most messages
        return Post(validate.text(request.text))
    validate.at_most(attachments, validate.ATTACHMENTS, "attachments")
    validate.at_most(mentions, validate.MENTIONS, "mentions")
    return Post(
        validate.text(request.text, may_be_empty=bool(attachments)) if sealed is None else None,
        validate.message_id(thread) if thread else None,
        [_attachment(each) for each in attachments],
        validate.mentioned(mentions),
        sealed,
        _blocks(request.blocks, actor, request.text if sealed is None else None, [each.id for each in attachments]),
    )


def edit(request: events.EditMessage | rpc.EditMessageRequest, actor: str) -> Edit:
    """Read a change of a message's content by `actor`. Raises a `HubbubError` when it is invalid."""
    message, sealed = validate.message_id(request.message), request.WhichOneof("content") == "sealed"
    text = None if sealed else validate.text(request.text)
    return Edit(message, text, validate.sealed(request.sealed) if sealed else None, _blocks(request.blocks, actor, text, []))


def _blocks(given: Iterable[events.Block], actor: str, text: str | None, uploads: Sequence[str]) -> list[Block]:
    """Read the blocks of a message with this text and these uploads. Raises `NotAllowed` unless the actor is a bot."""
    found = blocks.read(given)
    if found:
        if not is_bot(actor):
            raise NotAllowed("Only bots post blocks")
        blocks.check(found, text, uploads)
    return found


def _attachment(upload: events.Attachment) -> Attachment:
    """Only the form is checked here: the gateway has checked the upload with the media service."""
    return Attachment(
        validate.uuid(upload.id),
        validate.line(upload.name, "file name", validate.FILE_NAME_CHARACTERS),
        upload.size,
        validate.line(upload.type, "media type", validate.MEDIA_TYPE_CHARACTERS),
        upload.width,
        upload.height,
    )


def caller(request: nouns.Caller) -> Caller:
    """Read the user on whose behalf a call is made. Raises `InvalidArgument`."""
    return Caller(
        TenantId(validate.tenant(request.tenant)),
        validate.user_id(request.user),
        request.admin,
        request.token_issued_at,
        request.session and validate.uuid(request.session),
    )


def role(value: events.Role.ValueType) -> Role:
    """Read a role; raises `InvalidArgument`."""
    return Role(requested_word(events.Role, value, "role"))


def channel_kind(value: nouns.ChannelKind.ValueType) -> ChannelKind:
    """Read the kind of a new channel; raises `InvalidArgument`."""
    return ChannelKind(requested_word(nouns.ChannelKind, value, "kind"))


def history(value: nouns.History.ValueType) -> str:
    """Read what members of a new channel may read; raises `InvalidArgument`."""
    return requested_word(nouns.History, value or nouns.HISTORY_ALL, "history")


def resolution(value: nouns.ReportResolution.ValueType) -> str:
    """Read how a report is closed; raises `InvalidArgument`."""
    return requested_word(nouns.ReportResolution, value, "resolution")


def event(entry: Entry) -> events.Event:
    """A log entry as an event."""
    made = events.Event()
    write_event(made, entry)
    return made


def event_for(entry: Entry, floor: int) -> events.Event:
    """A log entry as the event for a member who may read what is above `floor`."""
    made = event(entry)
    if made.about and made.about <= floor and made.hidden_payload:
        made.payload = made.hidden_payload
    made.ClearField("about")
    made.ClearField("hidden_payload")
    return made


def write_event(made: events.Event, entry: Entry, gateway: str = "") -> int:
    """Write a log entry into an empty event of a batch; `gateway` awaits the acknowledgement. Returns the payload's bytes.

    Setting the fields in place costs a sixth of building an event from keywords and copying it into the batch.
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
    if entry.about:
        made.about = entry.about
        made.hidden_payload = hidden_frame(entry, at)
    if entry.roster:
        made.roster = entry.roster
    if entry.kind in MEMBER_KINDS:
        _write_member(made, entry)
    return len(payload)


def write_change(made: events.Event, change: Entry) -> None:
    """Write a roster change into an empty event of a batch."""
    made.tenant = change.tenant
    made.channel = change.channel
    made.seq = change.seq
    made.kind = change.kind  # type: ignore[assignment]  # the numbers are the proto's
    made.actor = change.actor
    made.at = rfc3339(change.at)
    made.roster = change.roster
    _write_member(made, change)


def change(value: Entry) -> events.Event:
    """A roster change as an event."""
    made = events.Event()
    write_change(made, value)
    return made


def _write_member(made: events.Event, entry: Entry) -> None:
    made.subject = entry.details.user
    made.role = from_word(events.Role, entry.details.role or "")
    made.members = entry.members
    if entry.welcome is not None:
        welcome = entry.welcome
        made.welcome.CopyFrom(events.Welcome(kind=welcome.kind, name=welcome.name, floor=welcome.floor))


def reads(many: Reads) -> events.Reads:
    """Read positions that moved in a large channel."""
    made = events.Reads(tenant=many.receipts[0].tenant, channel=many.channel, seq=many.seq, author=many.author, seen=many.seen)
    made.users.extend(each.user for each in many.receipts)
    made.read_seqs.extend(each.read_seq for each in many.receipts)
    made.connections.extend(_connection(each) for each in many.receipts)
    return made


def _connection(moved: Receipt) -> str:
    """The connection that sent the command: its id without the counter."""
    return moved.command.rpartition(".")[0]


def receipt(moved: Receipt) -> events.Receipt:
    """A read position that moved."""
    return events.Receipt(
        tenant=moved.tenant,
        channel=moved.channel,
        user=moved.user,
        read_seq=moved.read_seq,
        connection=_connection(moved),
    )


def timestamp(at: datetime) -> Timestamp:
    """A point in time."""
    made = Timestamp()
    made.FromDatetime(at)
    return made


def user(value: User) -> nouns.User:
    """A user as protobuf."""
    return nouns.User(id=value.id, name=value.name, bot=is_bot(value.id))


def members(values: Iterable[Member]) -> list[nouns.Member]:
    """Members as protobuf."""
    return [
        nouns.Member(user=each.user, name=each.name, role=from_word(events.Role, each.role), bot=is_bot(each.user))
        for each in values
    ]


def invitation(value: Invitation) -> nouns.Invitation:
    """An invitation as protobuf."""
    return nouns.Invitation(
        channel=value.channel,
        kind=from_word(nouns.ChannelKind, value.kind),
        name=value.name,
        inviter=value.inviter,
        role=from_word(events.Role, value.role),
        at=timestamp(value.at),
    )


def channel(membership: MembershipView) -> nouns.Channel:
    """A channel without the fields that only listings show."""
    return nouns.Channel(
        id=membership.id,
        kind=from_word(nouns.ChannelKind, membership.kind),
        name=membership.name,
        topic=membership.topic,
        role=from_word(events.Role, membership.role or ""),
        seq=membership.head,
        read_seq=membership.read_seq,
        muted=membership.muted,
        slow_mode_seconds=membership.slow_mode_seconds,
        history=from_word(nouns.History, membership.history),
        floor=membership.floor if membership.role else 0,
        members=membership.members,
        roster=membership.roster,
    )


def channel_listing(listed: ChannelListing) -> nouns.Channel:
    """A channel as a user's channel list shows it."""
    made = channel(listed.membership)
    made.unread = listed.unread
    if listed.peer:
        made.peer.CopyFrom(user(listed.peer))
    if listed.last_message:
        made.last_message.CopyFrom(preview(listed.last_message))
    return made


def message(value: Message) -> nouns.Message:
    """A message in its current state."""
    made = nouns.Message(
        id=value.id,
        channel=value.channel,
        seq=value.seq,
        sender=value.sender,
        at=timestamp(value.at),
        edited_at=timestamp(value.edited_at) if value.edited_at else None,
        deleted=value.deleted,
        thread=value.details.thread or "",
        attachments=[
            events.Attachment(id=each.id, name=each.name, size=each.size, type=each.type, width=each.width, height=each.height)
            for each in value.details.attachments
        ],
        mentions=list[str](value.details.mentions),
        reactions=[nouns.Reaction(emoji=each.emoji, count=each.count, users=list[str](each.users)) for each in value.reactions],
        pinned=value.pinned,
    )
    blocks.write(value.details.blocks, made.blocks)
    if value.sealed is not None:
        made.sealed = value.sealed
    elif value.text is not None:
        made.text = value.text
    return made


def preview(value: Message) -> nouns.Message:
    """A message whose text is cut after `PREVIEW_BYTES`. Sealed content cannot be cut, so it is left out."""
    made = message(value)
    if len(made.sealed) > PREVIEW_BYTES:
        made.sealed, made.truncated = b"", True
    text = made.text.encode()
    if len(text) > PREVIEW_BYTES:
        made.text = text[:PREVIEW_BYTES].decode(errors="ignore")
        made.truncated = True
    return made


def revocation(
    revocation_id: str, tenant: TenantId, user_id: UserId, revoked_before: float, *, blocked: bool
) -> events.Revocation:
    """The revocation state of a user, to be applied by every gateway."""
    return events.Revocation(id=revocation_id, tenant=tenant, user=user_id, revoked_before=revoked_before, blocked=blocked)


def erased(user: Erasure) -> events.Revocation:
    """That what a user wrote is erased from the log, to be applied by every gateway."""
    return events.Revocation(id=uuid.uuid4().hex, tenant=user.tenant, user=user.pseudonym, erased=True)


def browser_session(session: BrowserSession) -> nouns.BrowserSession:
    """A browser session that has not ended."""
    return nouns.BrowserSession(
        id=session.id,
        created_at=timestamp(session.created_at),
        seen_at=timestamp(session.seen_at),
        ends_at=timestamp(session.ends_at),
        user_agent=session.user_agent,
    )


def audit_record(record: Record) -> nouns.AuditRecord:
    """A record of the audit log."""
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
    """A report, with the messages around the reported one."""
    return nouns.Report(
        id=found.id,
        message=found.message,
        sender=found.sender,
        text=found.text or "",
        reporter=found.reporter,
        reason=found.reason,
        at=timestamp(found.at),
        context=[message(each) if each.id == found.message else preview(each) for each in context],
        channel=found.channel,
    )
