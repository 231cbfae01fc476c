"""Hands every entry of a channel's log to the local sockets of its members: once, in order, whole, and nothing past a fence.

The hub is synchronous and knows no network. Entries come in by `take` in whatever order and number the bus and the
fetches bring them; `head` is the last one handed on, entries at or below it are repeats, entries beyond the next one wait
in `ahead` while `on_gap` has the hole fetched. Sockets move between the places of `channel.Channel`; on the live path
there is no check per delivery, only a set of sockets and a frame.

How a socket starts without a hole and without a leak:

1. The gateway follows the bus before it loads any session, and `recent` remembers what passes by while one is loaded.
2. `open` puts the session (a snapshot of the store) into the hub in one synchronous step: entries after the snapshot that
   passed meanwhile are made good from `recent` (a membership that ended is not opened, a hole is fetched), entries still to
   come find the channel in place. From then on the invariant of `Channel.head` holds. A snapshot older than the one by which
   the channel became known here (`Channel.base`) proves no membership, as nobody has seen the entries in between: such a
   channel is left out of `hello` and announced by `joined` once the store confirms it.
3. The first `sync` opens the flow. A position equal to the head goes live at once, one that is ahead of it goes live when
   the head arrives, any other is read from the store by `catchup` while the hub buffers what happens (`begin`, `finish`).

Fence: the entry that ends a membership goes to the user's sockets, then `left`, and they are out of the channel before the
next entry is taken. A socket that is catching up has its buffer end at that entry.

What it leaves to others: what an entry does to memberships (`membership`), fetching (`fill`, `catchup`), comparing with the
store (`audit`), joining writes (`outbox`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from gateway.connection import Account, Connection
from gateway.metrics import CHANNELS, DELIVERIES, EVENTS
from gateway.outbound.channel import AHEAD_EVENTS, Catching, Channel
from gateway.outbound.frames import ChannelView, Left, encode
from gateway.outbound.membership import ENDED, JOINED, MEMBERSHIP, RESYNC_NEEDED, Memberships
from gateway.outbound.outbox import Outbox
from gateway.outbound.recent import Load, Recent
from gateway.outbound.wire import text_frame
from hubbub.events.v1.events_pb2 import Event

_delivered = EVENTS.labels("delivered")
_repeated = EVENTS.labels("repeated")
_early = EVENTS.labels("early")
_elsewhere = EVENTS.labels("elsewhere")


class Hub:
    """Every channel with a local member."""

    def __init__(
        self,
        outbox: Outbox,
        recent: Recent,
        accounts: dict[tuple[str, str], Account],
        close: Callable[[Connection, int], None],
    ) -> None:
        self._outbox = outbox
        self._recent = recent
        self._accounts = accounts
        """Users with a local socket, by tenant and id; the roster keeps it."""
        self._close = close
        self.channels: dict[str, Channel] = {}
        self._catching: dict[Connection, set[Channel]] = {}
        """Where each socket is catching up, also in channels that its user has left meanwhile."""
        self.on_gap: Callable[[Channel], None] = lambda _channel: None
        """Called when a channel's `target` lies beyond its head and nobody is filling it."""
        self.on_doubt: Callable[[Account], None] = lambda _account: None
        """Called when a user may be a member somewhere without the hub's knowing; answers with `compare`, sooner or later."""
        self.memberships = Memberships(self, outbox, recent, accounts, close)

    # What the bus and the fetches bring.

    def take(self, event: Event) -> None:
        """Hand an entry on in its turn; repeats are dropped, early ones kept until their turn."""
        channel = self.channels.get(event.channel)
        if channel is None:
            self._take_elsewhere(event)
        elif event.seq == channel.head + 1:
            self._hand_on(channel, event)
            while channel.ahead and (held := channel.ahead.pop(channel.head + 1, None)) is not None:
                self._hand_on(channel, held)
        elif event.seq > channel.head:
            _early.inc()
            if len(channel.ahead) < AHEAD_EVENTS:
                channel.ahead[event.seq] = event
            self.expect(channel, event.seq)
        else:
            self._take_again(channel, event)

    def expect(self, channel: Channel, seq: int) -> None:
        """An entry is known to exist: have everything up to it fetched unless it is here."""
        channel.target = max(channel.target, seq)
        if channel.target > channel.head and not channel.filling:
            self.on_gap(channel)

    def _hand_on(self, channel: Channel, event: Event) -> None:
        channel.head = seq = event.seq
        if channel.live or channel.catching:
            frame = text_frame(event.payload)
            if channel.live:
                self._outbox.broadcast(channel.live, frame)
                DELIVERIES.inc(len(channel.live))
            for connection, catching in tuple(channel.catching.items()):
                if not catching.add(seq, frame):
                    self._close(connection, RESYNC_NEEDED)
        if channel.later and (arrived := channel.later.pop(seq, None)) is not None:
            channel.live |= arrived
        _delivered.inc()
        if event.kind in MEMBERSHIP:
            self.memberships.changed(channel, event)

    def _take_again(self, channel: Channel, event: Event) -> None:
        """A repeat; but one that a session was ahead of, when it made the channel known here, comes for the first time."""
        _repeated.inc()
        account = self._accounts.get((event.tenant, event.subject))
        if account is not None and event.kind == JOINED:
            self.memberships.suspected(channel, account, exact=False)

    def _take_elsewhere(self, event: Event) -> None:
        _elsewhere.inc()
        self._recent.passed(event.channel, event.seq)
        if event.kind not in MEMBERSHIP:
            return
        self._recent.member(event)
        account = self._accounts.get((event.tenant, event.subject))
        if account is not None and event.kind == JOINED:
            self.memberships.suspected(self.add(event.channel, event.tenant, event.seq), account, exact=True)

    # Which channels there are.

    def add(self, channel_id: str, tenant: str, head: int) -> Channel:
        """Know a channel from a position on; it stays as long as it has accounts."""
        channel = self.channels[channel_id] = Channel(channel_id, tenant, head)
        CHANNELS.set(len(self.channels))
        return channel

    def leave(self, channel: Channel, account: Account) -> None:
        """A user is out of a channel, or no longer here."""
        channel.accounts.discard(account)
        self.release(channel)
        if account.connections and channel.target > channel.head and channel.id not in self.channels:
            self.on_doubt(account)  # entries that nobody will fetch now may have taken the user back

    def release(self, channel: Channel) -> None:
        """Forget a channel without local members; what passed in it may still matter to a session being loaded."""
        if channel.accounts or self.channels.get(channel.id) is not channel:
            return
        del self.channels[channel.id]
        CHANNELS.set(len(self.channels))
        self._recent.passed(channel.id, max(channel.head, channel.target))
        ahead, channel.ahead = channel.ahead, {}
        for seq in sorted(ahead):
            self.take(ahead[seq])
        if (successor := self.channels.get(channel.id)) is not None:
            self.expect(successor, channel.target)

    # The life of a socket.

    def open(self, connection: Connection, session: Iterable[ChannelView], load: Load) -> list[ChannelView]:
        """Put a session into the hub; the channels it has now, with the positions at which they start. See the module."""
        account = connection.account
        passed = load.memberships(account.tenant, account.user)
        opened = []
        for snapshot in session:
            event = passed.pop(snapshot.id, None)
            since = event if event is not None and event.seq > snapshot.seq else None
            if since is not None and since.kind in ENDED:
                continue
            channel = self.channels.get(snapshot.id) or self.add(snapshot.id, account.tenant, snapshot.seq)
            if channel.id not in account.channels and snapshot.seq < channel.base:
                self.memberships.suspected(channel, account, exact=False)  # unseen entries in between may have ended it
                continue
            channel.accounts.add(account)
            start = channel.waiting[connection] = max(snapshot.seq, channel.head)
            account.channels[channel.id] = channel
            if len(account.connections) > 1:
                self.memberships.suspected(channel, account, exact=False)  # the user's other sockets may not know of it yet
            role = snapshot.role if since is None else since.role
            same = (start, role) == (snapshot.seq, snapshot.role)
            opened.append(snapshot if same else msgspec.structs.replace(snapshot, seq=start, role=role))
            self.expect(channel, load.head(channel.id))
        for event in passed.values():
            if event.kind == JOINED:
                channel = self.channels.get(event.channel) or self.add(event.channel, account.tenant, event.seq)
                self.memberships.suspected(channel, account, exact=True)
                self.expect(channel, load.head(channel.id))
        return opened

    def compare(self, account: Account, session: Iterable[ChannelView], load: Load) -> None:
        """Find memberships in a fresh session that the hub has missed; one that ended shows in its channel's log."""
        for snapshot in session if account.connections else ():
            channel = self.channels.get(snapshot.id) or self.add(snapshot.id, account.tenant, snapshot.seq)
            self.memberships.suspected(channel, account, exact=False)
            self.expect(channel, load.head(channel.id))

    def drop(self, connection: Connection) -> None:
        """The socket is closed or closing: take it out everywhere; the last one takes its user out as well."""
        account = connection.account
        places = [*account.channels.values(), *(gain.channel for gain in account.gains.values())]
        for channel in (*places, *self._catching.get(connection, ())):
            self.forget(channel, connection)
        account.connections.discard(connection)
        if not account.connections:
            for channel in places:
                self.leave(channel, account)
            account.channels.clear()

    def forget(self, channel: Channel, connection: Connection) -> None:
        """Take the socket out of one channel, wherever it stands."""
        self._uncatch(channel, connection)
        channel.live.discard(connection)
        channel.waiting.pop(connection, None)
        channel.take_later(connection)

    def expel(self, channel: Channel, code: int) -> None:
        """Close every local socket of a channel whose log cannot be kept whole here."""
        for account in tuple(channel.accounts):
            for connection in tuple(account.connections):
                if channel.holds(connection):
                    self._close(connection, code)

    # Catching up.

    def begin(self, channel: Channel, connection: Connection) -> None:
        """Buffer for a socket from here on; whatever place it stood in, a failed catch-up takes it back there."""
        resume = channel.waiting.pop(connection, None) or channel.take_later(connection) or channel.head
        channel.live.discard(connection)
        self.catch(channel, connection, resume)

    def finish(self, channel: Channel, connection: Connection, through: int) -> None:
        """A socket has everything up to `through`: give it what was buffered beyond, and let it go live (or out)."""
        catching = self._uncatch(channel, connection)
        if catching is None:  # closed meanwhile
            return
        if connection.flowing:
            for seq, frame in catching.frames:
                if seq > through:
                    self._outbox.send(connection, frame)
        if catching.fence:
            self._outbox.send(connection, encode(Left(channel.id)))
        elif connection.flowing:
            self.place(channel, connection, through)
        else:
            channel.waiting[connection] = through

    def abandon(self, channel: Channel, connection: Connection) -> None:
        """The catch-up failed before it sent anything: go on from where the socket stood."""
        catching = channel.catching.get(connection)
        if catching is not None:
            self.finish(channel, connection, catching.resume)

    def catch(self, channel: Channel, connection: Connection, resume: int, *, exact: bool = False) -> None:
        """Buffer for a socket from here on, and from nothing before."""
        channel.catching[connection] = Catching(resume, exact=exact)
        self._catching.setdefault(connection, set()).add(channel)

    def _uncatch(self, channel: Channel, connection: Connection) -> Catching | None:
        catching = channel.catching.pop(connection, None)
        if catching is not None:
            self._catching[connection].discard(channel)
            if not self._catching[connection]:
                del self._catching[connection]
        return catching

    def place(self, channel: Channel, connection: Connection, position: int) -> None:
        """A flowing socket has everything up to `position`, and nothing beyond it that was handed on: live, or later."""
        channel.waiting.pop(connection, None)
        if channel.head >= position:
            channel.live.add(connection)
        else:
            channel.later.setdefault(position, set()).add(connection)
