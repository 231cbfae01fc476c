"""The answers of the HTTP API, as docs/protocol.md defines them. The OpenAPI document is generated from them.

`convert` makes them from the services' answers. Log entries and pages of messages come encoded: `Entry` only describes them.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from chassis.blocks import Blocks

ItemT = TypeVar("ItemT")

ChannelKind = Literal["direct", "group", "public", "broadcast", "qa"]
History = Literal["all", "joined"]
EventName = Literal[
    "message.posted",
    "message.edited",
    "message.deleted",
    "reaction.added",
    "reaction.removed",
    "message.pinned",
    "message.unpinned",
    "member.joined",
    "member.left",
    "member.removed",
    "member.role_changed",
    "channel.created",
    "channel.updated",
]
MemberRole = Literal["owner", "moderator", "member", "reader"]

Whole = Annotated[int, Meta(ge=0)]
Uuid = Annotated[str, Meta(extra_json_schema={"format": "uuid"})]
NumericDate = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""RFC 3339, UTC."""
KindName = Annotated[str, Meta(extra_json_schema={"enum": get_args(ChannelKind)})]
HistoryName = Annotated[str, Meta(extra_json_schema={"enum": get_args(History)})]
RoleName = Annotated[str, Meta(extra_json_schema={"enum": get_args(MemberRole)})]
StateName = Annotated[str, Meta(extra_json_schema={"enum": ("pending", "scanning", "clean", "blocked", "failed")})]


class Page(msgspec.Struct, Generic[ItemT]):
    """A page of a list."""

    items: list[ItemT]
    next: str | UnsetType = UNSET
    """Cursor of the next page; absent on the last one."""


class SearchPage(Page[ItemT]):
    """A page of what a search found."""

    incomplete: bool | UnsetType = UNSET
    """True while the index lags or is being built, so that messages may be missing; else absent."""
    complete_to: NumericDate | UnsetType = UNSET
    """The time up to which an incomplete index has every message; absent if it has never had all of them."""


class User(msgspec.Struct):
    """A user."""

    user: str
    name: str
    bot: bool | UnsetType = UNSET
    """True for a bot; else absent."""


class Me(msgspec.Struct):
    """The caller."""

    user: str
    tenant: str
    name: str
    roles: list[str]


class Member(msgspec.Struct):
    """A member of a channel."""

    user: str
    name: str
    role: RoleName
    bot: bool | UnsetType = UNSET
    """True for a bot; else absent."""


class Members(msgspec.Struct):
    """A page of a channel's members."""

    items: list[Member]
    total: Whole
    """How many members the channel has."""
    next: str | UnsetType = UNSET
    """Cursor of the next page; absent on the last one."""


class Added(msgspec.Struct):
    """The members who were added."""

    items: list[Member]
    invited: list[str] | UnsetType = UNSET
    """Users who were invited instead."""


class Invitation(msgspec.Struct):
    """An invitation to a channel."""

    channel: Uuid
    kind: KindName
    name: str
    inviter: str
    role: RoleName
    at: NumericDate


class Attachment(msgspec.Struct):
    """A clean upload as messages show it."""

    id: Uuid
    name: str
    size: Whole
    type: str
    width: Whole | UnsetType = UNSET
    height: Whole | UnsetType = UNSET


class Reaction(msgspec.Struct):
    """An emoji and the users who reacted with it."""

    emoji: str
    count: Whole
    users: list[str]


class Message(msgspec.Struct):
    """A message in its present state; a deleted one has no content."""

    id: Uuid
    channel: Uuid
    seq: Whole
    sender: str
    text: str | None
    at: NumericDate
    edited_at: NumericDate | None
    deleted: bool
    thread: Uuid | None
    attachments: list[Attachment]
    mentions: list[str]
    reactions: list[Reaction]
    pinned: bool
    truncated: bool | UnsetType = UNSET
    """A preview: a text was cut after 1 KiB, or longer sealed content was left out."""
    sealed: bytes | UnsetType = UNSET
    """Content that only clients can read, in base64; then `text` is null."""
    blocks: Blocks | UnsetType = UNSET
    """What a bot's message shows in place of its text."""


class ChannelSummary(msgspec.Struct, kw_only=True):
    """A channel in the caller's list; `role` is null if the caller is not a member."""

    id: Uuid
    kind: KindName
    name: str
    topic: str
    role: RoleName | None
    seq: Whole
    read_seq: Whole
    unread: Whole
    muted: bool
    last_message: Message | None
    peer: User | UnsetType = UNSET
    """The other user of a direct channel."""


class Channel(ChannelSummary, kw_only=True):
    """A channel with its details."""

    slow_mode_seconds: Whole
    history: HistoryName
    members: Whole
    """How many members it has."""
    invited: list[str] | UnsetType = UNSET
    """Of a new channel: the users who were invited instead of added."""


class Entry(msgspec.Struct):
    """An event of a channel's log; `data` depends on the kind."""

    type: Literal["event"]
    channel: Uuid
    seq: Annotated[int, Meta(ge=1)]
    kind: str
    actor: str
    at: NumericDate
    data: dict[str, Any]


class Posted(msgspec.Struct, omit_defaults=True):
    """Where a message was stored; `duplicate` if its key was used before."""

    message: Uuid
    seq: Annotated[int, Meta(ge=1)]
    at: NumericDate
    duplicate: bool = False


class Ticket(msgspec.Struct):
    """A one-time ticket for the socket; `expires_in` in seconds."""

    ticket: str
    expires_in: Whole


class BrowserSession(msgspec.Struct):
    """A browser in which the caller is signed in."""

    id: Uuid
    created_at: NumericDate
    last_seen: NumericDate
    """To within a minute."""
    ends_at: NumericDate
    """When it ends unless it is used before."""
    user_agent: str
    """The browser's own description, at most 200 characters."""
    current: bool
    """Whether this request comes from it."""


class Login(msgspec.Struct):
    """A token; `expires_in` in seconds."""

    token: str
    expires_in: Whole


class SignInProvider(msgspec.Struct):
    """Where people sign in."""

    label: str
    url: str


class SignInOptions(msgspec.Struct):
    """The ways to sign in, and whether this browser is signed in."""

    development: bool
    provider: SignInProvider | None
    signed_in: bool
    ends_at: NumericDate | None
    """When the session ends."""


class Upload(msgspec.Struct):
    """An upload's state."""

    id: Uuid
    state: StateName
    name: str
    size: Whole
    type: str
    reason: str | UnsetType = UNSET
    width: Whole | UnsetType = UNSET
    height: Whole | UnsetType = UNSET


class UploadForm(msgspec.Struct):
    """How to upload the bytes. With `fields` it is a form whose file part is named `file`."""

    method: str
    url: str
    headers: dict[str, str]
    fields: dict[str, str] | UnsetType = UNSET


class CreatedUpload(msgspec.Struct):
    """An announced upload."""

    id: Uuid
    state: StateName
    upload: UploadForm


class CreatedReport(msgspec.Struct):
    """A report, new or the caller's earlier one."""

    id: Uuid


class Report(msgspec.Struct):
    """A reported message as it was, with its neighbours in their present state."""

    id: Uuid
    message: Uuid
    sender: str
    text: str
    reporter: str
    reason: str
    at: NumericDate
    context: list[Message]


class EscalatedReport(Report):
    """A report about a moderator or owner, for administrators."""

    channel: Uuid


class AuditRecord(msgspec.Struct):
    """An action of a moderator or administrator. `details` is a JSON text; `previous` and `digest` are hexadecimal."""

    number: Annotated[int, Meta(ge=1)]
    at: NumericDate
    actor: str
    action: str
    channel: Uuid | None
    subject: str | None
    details: str
    previous: str
    digest: str


class Webhook(msgspec.Struct):
    """A subscription of the tenant. An empty list of kinds or channels means all."""

    id: Uuid
    url: str
    description: str
    events: list[Annotated[str, Meta(extra_json_schema={"enum": get_args(EventName)})]]
    channel_kinds: list[KindName]
    channels: list[str]
    state: Annotated[str, Meta(extra_json_schema={"enum": ("active", "disabled", "suspended")})]
    reason: Annotated[str, Meta(extra_json_schema={"enum": ("", "requested", "gone", "failing", "backlog")})]
    """Why it is not active; empty if it is."""
    created_by: str
    created_at: NumericDate
    waiting: Whole
    dead: Whole
    failing_since: NumericDate | None
    previous_secret_until: NumericDate | None


class WebhookWithSecret(msgspec.Struct):
    """A webhook and its new secret, which is never shown again."""

    webhook: Webhook
    secret: str


class Delivery(msgspec.Struct):
    """One event for one webhook."""

    id: Uuid
    channel: Uuid
    seq: Whole
    event: str
    state: Annotated[str, Meta(extra_json_schema={"enum": ("waiting", "delivered", "dead")})]
    attempts: Whole
    created_at: NumericDate
    next_at: NumericDate | None
    finished_at: NumericDate | None
    status: Whole
    """HTTP status of the last answer; 0 without one."""
    outcome: str


class DeliveryDetail(Delivery):
    """A delivery with what was sent, as JSON text, and the beginning of the last answer."""

    body: str
    answer: str


class Resent(msgspec.Struct):
    """How many dead letters are sent again."""

    count: Whole


class Command(msgspec.Struct):
    """A slash command as users see it."""

    name: str
    description: str
    hint: str
    bot: str


class CommandDetail(Command):
    """A slash command as administrators see it."""

    id: Uuid
    url: str
    created_by: str
    created_at: NumericDate


class CommandWithSecret(msgspec.Struct):
    """A new slash command and its secret, which is never shown again."""

    command: CommandDetail
    secret: str


class CommandRun(msgspec.Struct):
    """The answer to a slash command: its `text` for the caller alone, or its `message` in the channel; later, neither."""

    visibility: Annotated[str, Meta(extra_json_schema={"enum": ("caller", "channel", "later")})]
    text: str | UnsetType = UNSET
    message: Uuid | UnsetType = UNSET


class ActionRun(msgspec.Struct):
    """The answer to an action: its `text` for the caller alone, or the new or changed `message`; none or later, neither."""

    visibility: Annotated[str, Meta(extra_json_schema={"enum": ("caller", "channel", "message", "later")})]
    text: str | UnsetType = UNSET
    message: Uuid | UnsetType = UNSET


class ActionEndpoint(msgspec.Struct):
    """Where the buttons and options in the messages of a bot are answered."""

    id: Uuid
    bot: str
    url: str
    created_by: str
    created_at: NumericDate


class ActionEndpointWithSecret(msgspec.Struct):
    """A new endpoint of actions and its secret, which is never shown again."""

    endpoint: ActionEndpoint
    secret: str


class CommandAnswer(msgspec.Struct):
    """The message that an answer became or changed."""

    message: Uuid


class IntegrationAuditRecord(msgspec.Struct):
    """What an administrator, or the service itself, did to a webhook or command."""

    number: Whole
    at: NumericDate
    actor: str
    """Empty for the service."""
    action: str
    subject: Uuid
    reason: str
