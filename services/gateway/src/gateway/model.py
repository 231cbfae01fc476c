"""The data that the rooms of the gateway share: connections, their users, and the channels that they receive.

`wire.registry` creates and ends connections, `wire.writer` writes their backlogs, and `hub.hub` decides which connection receives
which channel.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias

from gateway.identity.identity import Identity
from gateway.protocol.close_codes import Close
from gateway.rates.bucket import Bucket
from gateway.serial_queue import SerialQueue
from gateway.trail import Mark, Trail
from hubbub.events.v1.events_pb2 import Event

Backlog: TypeAlias = "tuple[Backlog | None, bytes]"
"""Queued payloads, a linked list: the backlog before, and the last payload. Connections with the same queue share one backlog."""
NO_FILE = -1
"""No file descriptor."""
BUFFERED_BYTES = 512 * 1024
"""Bytes buffered for one connection in one channel while it catches up."""
AHEAD_EVENTS = 1_000
"""Events beyond a gap that are kept until it is closed; later ones are fetched again."""


class Framed(bytes):
    """Bytes that are framed already, such as a pong. `Wire.join` passes them through."""

    marks: tuple[Mark, ...] = ()
    """What they tell about channels, where the kind of client has trails (`gateway.trail`)."""


class Wire(Protocol):
    """How payloads become bytes for one kind of client; one instance serves all clients of its kind.

    A payload is the JSON text of one frame of docs/protocol.md. Everything but the writer handles payloads only.
    """

    def join(self, payloads: Sequence[bytes]) -> bytes:
        """Frame the payloads, in order, in one piece. A `Framed` one is taken as it is."""
        ...

    def close(self, reason: Close) -> bytes:
        """The last bytes for a client whose connection ends for this reason."""
        ...

    def counts(self, connection: Connection) -> bool:
        """Whether the connection counts towards its user's limit of connections."""
        ...


class Account:
    """A user with at least one connection to this gateway."""

    __slots__ = ("blocked_by", "blocked_by_many", "blocks", "channels", "connections", "gains", "tenant", "user")

    def __init__(self, tenant: str, user: str) -> None:
        self.tenant = tenant
        self.user = user
        self.connections: set[Connection] = set()
        """The user's connections here."""
        self.channels: dict[str, Channel] = {}
        """Channels of which the user is a member. The user's connections stand only in these and in those of `gains`."""
        self.gains: dict[str, Gain] = {}
        """Channels whose `member.joined` has been seen and is being verified."""
        self.blocks: set[str] = set()
        """Users whom this one has blocked."""
        self.blocked_by: set[str] = set()
        """Users who have blocked this one."""
        self.blocked_by_many = False
        """More users have blocked this one than `blocked_by` names."""

    def may_watch(self, user: str) -> bool:
        """Whether this user may see the other one's presence."""
        return user not in self.blocked_by and not (self.blocked_by_many and user != self.user)


class Connection:
    """One connected client."""

    __slots__ = (
        "account",
        "backlog",
        "bucket",
        "catching",
        "closing",
        "commands",
        "due",
        "file",
        "flow",
        "flowing",
        "id",
        "identity",
        "last_frame",
        "opened_at",
        "paused",
        "resumed",
        "sending",
        "trail",
        "transport",
        "waiting",
        "watched",
        "wire",
    )

    def __init__(
        self, connection_id: str, identity: Identity, account: Account, wire: Wire, *, bucket: Bucket, last_frame: int
    ) -> None:
        self.id = connection_id
        self.identity = identity
        self.opened_at = time.time()
        """Unix seconds."""
        self.account = account
        self.wire = wire
        """How its payloads are framed."""
        self.transport: asyncio.Transport | None = None
        """Where bytes go; None before the upgrade."""
        self.file = NO_FILE
        """The socket's file descriptor, from the upgrade until the client is gone."""
        self.backlog: Backlog | None = None
        """Payloads that wait for the next flush; None if there are none."""
        self.paused = False
        """The transport holds bytes that the client has not read."""
        self.resumed: asyncio.Future[None] | None = None
        """Resolved when `paused` ends; None if no task waits for that."""
        self.closing: Close | None = None
        """Why the connection ends; None while it is open."""
        self.flowing = False
        """The first `sync` has opened the flow of events."""
        self.waiting: dict[Channel, int] = {}
        """Channels in which it is waiting, with the positions from which it starts. Here and not in the channels, because a user
        may be in thousands, and each connection passes through this state."""
        self.catching: set[Channel] | None = None
        """Channels in which it is catching up, including those that its user has left meanwhile; None if there are none."""
        self.due = 0
        """The second in which the sweep examines it."""
        self.last_frame = last_frame
        """The second (of the sweep's clock) in which the last frame came."""
        self.bucket = bucket
        """Rate limit of this connection."""
        self.commands = 0
        """Number of commands sent so far."""
        self.flow: SerialQueue | None = None
        """Its `sync` frames in order; None until the first."""
        self.sending: SerialQueue | None = None
        """Its `send` frames behind one whose attachments are being resolved; None until the first of those."""
        self.watched: frozenset[str] = frozenset()
        """Users whose presence it receives."""
        self.trail: Trail | None = None
        """What was last written to it; None for a client whose sessions are not recovered."""

    def pause(self) -> None:
        """The client reads more slowly than the gateway writes."""
        self.paused = True

    def resume(self) -> None:
        """The client has read everything."""
        self.paused = False
        if self.resumed is not None:
            if not self.resumed.done():
                self.resumed.set_result(None)
            self.resumed = None


class Shown(NamedTuple):
    """An event as its channel's members see it."""

    seq: int
    payload: bytes
    about: int
    """Members whose floor is at or above this position see `hidden`. 0: every member sees `payload`."""
    hidden: bytes

    def to(self, floor: int) -> bytes:
        """The payload for a member with this floor."""
        return self.hidden if 0 < self.about <= floor else self.payload


def shown(event: Event) -> Shown:
    """The event's payloads."""
    hidden = event.hidden_payload
    return Shown(event.seq, event.payload, event.about if hidden else 0, hidden)


def is_change(event: Event) -> bool:
    """Whether it is a change of the roster, which has no number in the log, and not an entry."""
    return not event.payload


def order(event: Event) -> tuple[int, int]:
    """The key by which entries and roster changes of a channel are sorted: a change follows the entry at its position."""
    return (event.seq, event.roster if is_change(event) else 0)


class Catching:
    """Events of a channel that are buffered for a connection while it catches up."""

    __slots__ = ("events", "exact", "fence", "floor", "joining", "resume", "size")

    def __init__(self, resume: int, *, exact: bool, joining: bool) -> None:
        self.joining = joining
        """The membership is being verified, and the client has not been told of it."""
        self.exact = exact
        """The membership is known to begin at `resume`: its `member.joined` is that very event."""
        self.resume = resume
        """Position to continue from if the catch-up fails before it has sent anything."""
        self.events: list[Shown] = []
        """The events since."""
        self.size = 0
        """Bytes of all payloads."""
        self.fence = 0
        """Position of the event that ended the membership: nothing after it is kept. 0 if there is none."""
        self.floor = 0
        """The floor of a membership that has ended since, or that was verified: the channel forgets it with the member."""

    def add(self, event: Shown) -> bool:
        """Buffer one event; False if there is no room."""
        if self.fence:
            return True
        self.events.append(event)
        self.size += len(event.payload) + len(event.hidden)
        return self.size <= BUFFERED_BYTES


class Channel:
    """A channel with at least one local member: how far its log was delivered here, and where each connection stands.

    Members of large channels join and leave without an entry: by a change of the roster, which has numbers of its own. A change
    takes effect between two entries: after the one at its position (`Event.seq`), and before any that was numbered later.

    A connection is in at most one of four states:

    - *waiting* (`Connection.waiting`): it has not sent its first `sync`; it starts from that position unless it names another.
    - *catching*: its missing events are being read; new ones are buffered for it.
    - *later*: it read a newer state from the store than this gateway has delivered; it goes live when `head` reaches its
      position.
    - *live*: it has everything up to `head` and receives what follows.
    """

    __slots__ = (
        "accounts",
        "ahead",
        "archived_to",
        "base",
        "base_roster",
        "catching",
        "changes",
        "changes_ahead",
        "filling",
        "floors",
        "head",
        "id",
        "later",
        "live",
        "members",
        "roster",
        "roster_target",
        "target",
        "tenant",
    )

    def __init__(self, channel_id: str, tenant: str, head: int, roster: int = 0, members: int = 0) -> None:
        self.id = channel_id
        self.tenant = tenant
        self.head = head
        """Last event delivered here. Every later one comes over the bus, is being fetched, or is found by `hub.reconcile`."""
        self.base = head
        """The first `head`: events up to it, memberships included, were not delivered here."""
        self.base_roster = roster
        """The first `roster`."""
        self.members = members
        """How many members the channel has, as far as known."""
        self.archived_to = 0
        """The store's log begins after this entry, as far as known."""
        self.accounts: set[Account] = set()
        """Local members, and users whose membership is being verified. Without any, the hub drops the channel."""
        self.floors: dict[Account, int] = {}
        """Members who may not read entries up to a position, nor what later entries say about them. Others have the floor 0."""
        self.catching: dict[Connection, Catching] = {}
        self.later: dict[int, set[Connection]] = {}
        self.live: set[Connection] = set()
        self.ahead: dict[int, Event] = {}
        """Events that came before their turn."""
        self.target = head
        """Highest event known to exist."""
        self.filling = False
        """What lies between `head` and `target`, and between `roster` and `roster_target`, is being fetched."""
        self.roster = roster
        """Last roster change received: every earlier one was received too. An entry numbered after a later one must wait."""
        self.roster_target = roster
        """Highest roster change known to exist."""
        self.changes: deque[Event] = deque()
        """Changes up to `roster` that wait until `head` reaches their position."""
        self.changes_ahead: dict[int, Event] = {}
        """Changes that came before their turn, by number."""

    @property
    def behind(self) -> bool:
        """Whether an event or a roster change is known to exist that has not come."""
        return self.target > self.head or self.roster_target > self.roster

    def floor(self, connection: Connection) -> int:
        """The floor of the connection's user."""
        return self.floors.get(connection.account, 0)

    def raise_floor(self, account: Account, floor: int) -> None:
        """The user's membership has this floor. A later membership has a higher one, so an older answer changes nothing."""
        if floor > self.floors.get(account, 0):
            self.floors[account] = floor

    def is_open(self, connection: Connection) -> bool:
        """Whether the connection is of a current member and has opened its flow."""
        return connection.flowing and self.id in connection.account.channels and self.holds(connection)

    def open_connections(self) -> Iterator[Connection]:
        """Connections of current members that have opened their flow."""
        yield from self.live
        for connections in self.later.values():
            yield from connections
        for connection in self.catching:
            if connection.flowing and self.id in connection.account.channels:
                yield connection

    def holds(self, connection: Connection) -> bool:
        """Whether the connection is in any state here."""
        return (
            connection in self.live
            or self in connection.waiting
            or connection in self.catching
            or any(connection in group for group in self.later.values())
        )

    def position(self, connection: Connection) -> int | None:
        """Up to where the connection has every event; None if its client does not know of the channel.

        If it is catching up: where it stood when that began.
        """
        if connection in self.live:
            return self.head
        if (waiting := connection.waiting.get(self)) is not None:
            return waiting
        if (catching := self.catching.get(connection)) is not None:
            return None if catching.joining else catching.resume
        return next((seq for seq, group in self.later.items() if connection in group), None)

    def catch(self, connection: Connection, resume: int, *, exact: bool = False, joining: bool = False) -> None:
        """Buffer for a connection from now on, and forget what was buffered before."""
        self.catching[connection] = Catching(resume, exact=exact, joining=joining)
        if connection.catching is None:
            connection.catching = set()
        connection.catching.add(self)

    def begin_catching(self, connection: Connection) -> None:
        """Buffer for a connection from now on; a failed catch-up returns it to its present position."""
        resume = connection.waiting.pop(self, None) or self._take_later(connection) or self.head
        self.live.discard(connection)
        self.catch(connection, resume)

    def end_catching(self, connection: Connection) -> Catching | None:
        """Take the connection out of *catching*; its buffer, or None if it is not there."""
        catching = self.catching.pop(connection, None)
        if catching is not None and connection.catching is not None:
            connection.catching.discard(self)
            if not connection.catching:
                connection.catching = None
        return catching

    def place(self, connection: Connection, position: int) -> None:
        """The connection has every event up to `position`, and none beyond it: put it in *live* or *later*."""
        if connection.waiting:
            connection.waiting.pop(self, None)
        if self.head >= position:
            self.live.add(connection)
        else:
            self.later.setdefault(position, set()).add(connection)

    def remove(self, connection: Connection) -> None:
        """Take the connection out in any state: it receives nothing more of this channel."""
        self.live.discard(connection)
        if connection.waiting:
            connection.waiting.pop(self, None)
        if self.catching:
            self.end_catching(connection)
        if self.later:
            self._take_later(connection)

    def _take_later(self, connection: Connection) -> int:
        """Take the connection out of *later*; its position there, or 0."""
        for seq, group in self.later.items():
            if connection in group:
                group.discard(connection)
                if not group:
                    del self.later[seq]
                return seq
        return 0


class Gain:
    """A user who seems to have become a member; the store is asked unless the event that says so says everything."""

    __slots__ = ("account", "again", "channel", "event", "fence", "newcomers")

    def __init__(self, channel: Channel, account: Account, newcomers: list[Connection], event: Event | None) -> None:
        self.channel = channel
        self.event = event
        """The event, if it came in its turn and has a `welcome`: then the membership is certain."""
        self.account = account
        self.newcomers = newcomers
        """The user's connections that were not in the channel; they are *catching* from the event on."""
        self.again = False
        """Another `member.joined` came after the store was asked: a negative answer may be older than that."""
        self.fence = 0
        """Position of an event that ended the membership again; 0 if there is none."""
