"""One socket and its user as the gateway sees them: state without behaviour.

Who changes it: `roster` (life), `outbox` (backlog), `outbound.hub` (channels), `outbound.catchup` (flow), `inbound` (the rest).
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from hubbub.messages.v1.messages_pb2 import Caller

if TYPE_CHECKING:
    from gateway.inbound.limits import Bucket
    from gateway.lane import Lane
    from gateway.outbound.channel import Channel, Gain


Backlog: TypeAlias = bytes | tuple[Any, ...]
"""A frame, or a pair of what waits before it (a backlog) and a frame: sockets for which the same waits share it."""
NOWHERE = -1
"""No file descriptor."""
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""What can still be spelled as a date; some tokens never end."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a verified token says its bearer is."""

    tenant: str
    user: str
    name: str
    """Display name the token gives; empty where it gives none."""
    roles: tuple[str, ...]
    issued_at: float
    expires_at: float
    """Unix seconds, both."""

    @property
    def ends_at(self) -> str:
        """`expires_at` as clients are told it: RFC 3339, UTC."""
        ends = datetime.fromtimestamp(min(self.expires_at, _LATEST), UTC)
        return ends.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

    @property
    def admin(self) -> bool:
        """Whether the bearer administers the tenant."""
        return "admin" in self.roles

    @property
    def caller(self) -> Caller:
        """The same as the services want to hear it."""
        return Caller(tenant=self.tenant, user=self.user, admin=self.admin, token_issued_at=self.issued_at)


class Account:
    """A user with at least one socket at this gateway."""

    __slots__ = ("channels", "connections", "gains", "tenant", "user")

    def __init__(self, tenant: str, user: str) -> None:
        self.tenant = tenant
        self.user = user
        self.connections: set[Connection] = set()
        """The user's sockets here."""
        self.channels: dict[str, Channel] = {}
        """Channels of which the user is known to be a member. A socket stands only in channels that are here or in `gains`."""
        self.gains: dict[str, Gain] = {}
        """Channels whose `member.joined` has been seen and is being verified."""


class Connection:
    """One socket."""

    __slots__ = (
        "account",
        "backlog",
        "bucket",
        "closing",
        "commands",
        "due",
        "file",
        "flow",
        "flowing",
        "heard",
        "id",
        "identity",
        "opened_at",
        "paused",
        "resumed",
        "sending",
        "transport",
        "watched",
    )

    def __init__(self, connection_id: str, identity: Identity, account: Account, bucket: Bucket, heard: int) -> None:
        self.id = connection_id
        self.identity = identity
        self.opened_at = time.time()
        """Unix seconds."""
        self.account = account
        self.transport: asyncio.Transport | None = None
        """Where bytes go; None before the upgrade."""
        self.file = NOWHERE
        """The socket's file descriptor, from the upgrade until the peer is gone: as long as there may be a backlog."""
        self.backlog: Backlog | None = None
        """What waits for the next round, complete with headers; None while nothing does."""
        self.paused = False
        """The transport holds something that the peer has not made room for."""
        self.resumed: asyncio.Future[None] | None = None
        """Resolved when `paused` ends, for whoever waits."""
        self.closing = 0
        """The close code once one is sent, -1 once the peer is gone; 0 while open."""
        self.flowing = False
        """The first `sync` has opened the flow."""
        self.due = 0
        """The second in which the sweep looks at it."""
        self.heard = heard
        """Second (of the sweep's clock) in which the last frame came."""
        self.bucket = bucket
        """What it may still send."""
        self.commands = 0
        """How many commands it has given."""
        self.flow: Lane | None = None
        """Its syncs, one after the other; None until the first."""
        self.sending: Lane | None = None
        """Sends that wait for one whose attachments are looked up; None until the first of those."""
        self.watched: frozenset[str] = frozenset()
        """Users whose presence it sees."""
