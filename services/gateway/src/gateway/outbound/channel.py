"""One channel's place in the hub: how far its log has been handed on here, and where each local socket stands in it.

A socket stands in at most one of four places:

- *waiting*: it has not opened its flow yet; the number is the position from which it will start unless it names another.
- *catching*: what it misses is on its way; what happens meanwhile is buffered for it.
- *later*: it has already been given more than this gateway has handed on (it read a newer state from the store); it goes
  live once the head reaches its position.
- *live*: it has everything up to `head` and gets what follows.

Moving sockets between these places is `hub`'s.
"""

from __future__ import annotations

from collections.abc import Iterator

from gateway.connection import Account, Connection
from hubbub.events.v1.events_pb2 import Event

BUFFERED_BYTES = 512 * 1024
"""What may be buffered for one socket in one channel while it catches up."""
AHEAD_EVENTS = 1_000
"""Entries beyond a gap that are kept until it is closed; later ones are fetched again."""


class Catching:
    """What happens in a channel while a socket reads what it misses."""

    __slots__ = ("exact", "fence", "frames", "resume", "size")

    def __init__(self, resume: int, *, exact: bool) -> None:
        self.exact = exact
        """The user is known to be a member since `resume`: of a newcomer whose `member.joined` is that very entry."""
        self.resume = resume
        """Position to go on from when the catch-up fails before it has sent anything."""
        self.frames: list[tuple[int, bytes]] = []
        """Position and frame of each entry since."""
        self.size = 0
        """Bytes of them."""
        self.fence = 0
        """The entry that ended the membership: nothing after it is kept. 0 while there is none."""

    def add(self, seq: int, frame: bytes) -> bool:
        """Keep one entry; False when there is no room."""
        if self.fence:
            return True
        self.frames.append((seq, frame))
        self.size += len(frame)
        return self.size <= BUFFERED_BYTES


class Channel:
    """A channel with at least one local member."""

    __slots__ = ("accounts", "ahead", "base", "catching", "filling", "head", "id", "later", "live", "target", "tenant", "waiting")

    def __init__(self, channel_id: str, tenant: str, head: int) -> None:
        self.id = channel_id
        self.tenant = tenant
        self.head = head
        """Last entry handed on here. Every later one will come over the bus, is being fetched, or is found by the audit."""
        self.base = head
        """Where `head` began: what came up to there has not been handed on here, memberships included."""
        self.accounts: set[Account] = set()
        """Local members, and users who are about to become one; without any, the hub forgets the channel."""
        self.waiting: dict[Connection, int] = {}
        self.catching: dict[Connection, Catching] = {}
        self.later: dict[int, set[Connection]] = {}
        self.live: set[Connection] = set()
        self.ahead: dict[int, Event] = {}
        """Entries that came before their turn."""
        self.target = head
        """The highest entry known to exist."""
        self.filling = False
        """Somebody is fetching what lies between `head` and `target`."""

    def open_connections(self) -> Iterator[Connection]:
        """Every local socket of a present member that has opened its flow."""
        yield from self.live
        for connections in self.later.values():
            yield from connections
        for connection in self.catching:
            if connection.flowing and self.id in connection.account.channels:
                yield connection

    def holds(self, connection: Connection) -> bool:
        """Whether the socket stands anywhere in the channel."""
        return (
            connection in self.live
            or connection in self.waiting
            or connection in self.catching
            or any(connection in group for group in self.later.values())
        )

    def take_later(self, connection: Connection) -> int:
        """Take the socket out of *later*; its position there, or 0."""
        for seq, group in self.later.items():
            if connection in group:
                group.discard(connection)
                if not group:
                    del self.later[seq]
                return seq
        return 0


class Gain:
    """A user's `member.joined` that is being verified."""

    __slots__ = ("account", "again", "channel", "fence", "newcomers")

    def __init__(self, channel: Channel, account: Account, newcomers: list[Connection]) -> None:
        self.channel = channel
        self.account = account
        self.newcomers = newcomers
        """The user's sockets that did not stand in the channel; they are *catching* from the entry on."""
        self.again = False
        """A `member.joined` has come since the store was asked: a "no" may be older than that."""
        self.fence = 0
        """Position of an entry that ended the membership again; 0 while there is none."""
