"""Delivers every event of a channel's log to its local members: once, in order, without a gap, and not after a removal.

The hub is synchronous and does no I/O. Events enter by `take`, in any order and number.
`Channel.head` is the last one delivered; events at or below it are repeats; events beyond the next one wait in `Channel.ahead`
while `on_gap` has the gap fetched. Connections move between the states of `model.Channel`. On the live path there is no check
per delivery, only a set of connections and a payload.

How a connection starts without a gap and without a leak:

1. The gateway follows the bus before it loads any session, and `recent` records what passes while one is loaded.
2. `open` puts the session (a snapshot of the store) into the hub in one synchronous step. For events that passed after the
   snapshot it consults `recent`: a membership that ended is not opened, and a gap is fetched. Events still to come find the
   channel in place. A snapshot older than the one by which the channel became known here (`Channel.base`) proves no membership,
   because the events in between were not seen: the channel is left out of `hello`, and announced by `joined` once the store
   confirms the membership.
3. The first `sync` opens the flow. A position equal to the head goes live at once; one ahead of it goes live when the head
   reaches it; for any other, `catchup` sends what is missing, from memory (`tails`) or from the store, while the hub buffers new
   events (`begin_catching`, `finish`).

In large channels members join and leave by changes of the roster, which are numbered apart from the log. An entry says how
many changes precede it (`Event.roster`) and waits for them; a change waits for the entries that precede it. So both take effect
in the order in which the store made them, and a missing change is fetched like a missing entry.

The event that ends a membership is sent to the user's connections, followed by `left`, and they are out of the channel before
the next event is taken: `_end_membership`. The buffer of a connection that is catching up ends at that event. A membership that
begins by the next event of a known channel is certain, and the event has what `joined` shows (`Event.welcome`). Any other event
may be an old one that comes again: the store is asked, and meanwhile the hub buffers for the user's connections.

`fill` and `catchup` fetch, `gains` verifies new memberships, `reconcile` compares heads with the store, and `wire.writer` joins
writes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from chassis.proto_enums import to_word
from gateway.hub.epoch import StoreEpoch
from gateway.hub.recent import Load, Recent
from gateway.hub.tails import Tails
from gateway.metrics import CHANNELS, DELIVERIES, EVENTS, TAIL_BYTES
from gateway.model import AHEAD_EVENTS, Account, Channel, Connection, Gain, Shown, is_change, order, shown
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import ChannelView, Joined, Left, Membership, Place, Start, encode
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Event, EventKind, Role

DELETED = EventKind.EVENT_KIND_MESSAGE_DELETED
JOINED = EventKind.EVENT_KIND_MEMBER_JOINED
ENDED = (EventKind.EVENT_KIND_MEMBER_LEFT, EventKind.EVENT_KIND_MEMBER_REMOVED)
MEMBERSHIP = frozenset((JOINED, *ENDED, EventKind.EVENT_KIND_MEMBER_ROLE_CHANGED))
_delivered = EVENTS.labels("delivered")
_repeated = EVENTS.labels("repeated")
_early = EVENTS.labels("early")
_elsewhere = EVENTS.labels("elsewhere")


class Hub:
    """Every channel with a local member."""

    def __init__(self, registry: Registry) -> None:
        self._writer = registry.writer
        self._accounts = registry.accounts
        """Users with a local connection, by tenant and id."""
        self._close = registry.close
        registry.on_end.append(self._drop)
        self.recent = Recent()
        self.tails = Tails()
        TAIL_BYTES.set_function(lambda: self.tails.size)
        self.epoch = StoreEpoch(self._close_all)
        self.channels: dict[str, Channel] = {}
        CHANNELS.set_function(lambda: len(self.channels))
        self.on_gap: Callable[[Channel], None] = lambda _channel: None
        """Called when a channel's `target` is beyond its head and the gap is not being fetched."""
        self.on_doubt: Callable[[Account], None] = lambda _account: None
        """Called when a user may be a member of a channel unknown to the hub; `compare` answers, sooner or later."""
        self.on_gain: Callable[[Gain], None] = lambda _gain: None
        """Called when a local user seems to have become a member; `gained` or `not_gained` answers."""
        self.on_roster: Callable[[Channel], None] = lambda _channel: None
        """Called when a roster change has taken effect."""

    # Events from the bus and from fetches.

    def take(self, event: Event) -> None:
        """Deliver an event in its turn; drop a repeat, and keep an early one until its turn."""
        channel = self.channels.get(event.channel)
        if channel is None:
            self._take_elsewhere(event)
        elif event.seq == channel.head + 1 and event.roster <= channel.roster:
            self._deliver(channel, event)
            if channel.ahead or channel.changes:
                self._advance(channel)
        elif event.seq > channel.head:
            _early.inc()
            if len(channel.ahead) < AHEAD_EVENTS:
                channel.ahead[event.seq] = event
            self.expect(channel, event.seq, event.roster)
        else:
            self._take_again(channel, event)

    def take_change(self, change: Event) -> None:
        """Apply a roster change in its turn; drop a repeat, and keep an early one until its turn."""
        channel = self.channels.get(change.channel)
        if channel is None:
            self._take_elsewhere(change)
        elif change.roster <= channel.roster:
            self._take_again(channel, change)
        else:
            if len(channel.changes_ahead) < AHEAD_EVENTS:
                channel.changes_ahead[change.roster] = change
            while (held := channel.changes_ahead.pop(channel.roster + 1, None)) is not None:
                channel.roster += 1
                channel.changes.append(held)
            self._advance(channel)
            if self.channels.get(channel.id) is channel:
                self.expect(channel, change.seq, change.roster)

    def expect(self, channel: Channel, seq: int, roster: int) -> None:
        """An event and a roster change with these numbers exist: have everything up to them fetched unless it is here."""
        channel.target = max(channel.target, seq)
        channel.roster_target = max(channel.roster_target, roster)
        if channel.behind and not channel.filling:
            self.on_gap(channel)

    def _advance(self, channel: Channel) -> None:
        """Apply the changes and deliver the events whose turn has come."""
        while True:
            if channel.changes and channel.changes[0].seq <= channel.head:
                self._change_membership(channel, channel.changes.popleft())
                self.on_roster(channel)
            elif (held := channel.ahead.get(channel.head + 1)) is not None and held.roster <= channel.roster:
                del channel.ahead[held.seq]
                self._deliver(channel, held)
            else:
                return

    def _deliver(self, channel: Channel, event: Event) -> None:
        channel.head = seq = event.seq
        each = shown(event)
        self.tails.add(channel, each, erases=event.kind == DELETED)
        if channel.live:
            self._broadcast(channel, each)
            DELIVERIES.inc(len(channel.live))
        for connection, catching in tuple(channel.catching.items()) if channel.catching else ():
            if not catching.add(each):
                self._close(connection, Close.RESYNC_NEEDED)
        if channel.later and (arrived := channel.later.pop(seq, None)) is not None:
            channel.live |= arrived
        _delivered.inc()
        if event.kind in MEMBERSHIP:
            self._change_membership(channel, event)

    def _broadcast(self, channel: Channel, event: Shown) -> None:
        if not event.about or not channel.floors:
            self._writer.broadcast(channel.live, event.payload)
            return
        hidden = {connection for connection in channel.live if event.about <= channel.floor(connection)}
        self._writer.broadcast(hidden, event.hidden)
        self._writer.broadcast(channel.live - hidden, event.payload)

    def _take_again(self, channel: Channel, event: Event) -> None:
        """Drop a repeat. If a session made the channel known here, an event below its snapshot comes for the first time."""
        _repeated.inc()
        account = self._accounts.get((event.tenant, event.subject))
        if account is not None and event.kind == JOINED:
            self._verify(channel, account, exact=False)

    def _take_elsewhere(self, event: Event) -> None:
        _elsewhere.inc()
        self.recent.passed(event.channel, event.seq, event.roster)
        if event.kind not in MEMBERSHIP:
            return
        self.recent.member(event)
        account = self._accounts.get((event.tenant, event.subject))
        if account is not None and event.kind == JOINED:
            self._verify(self._add_at(event), account, exact=True)

    # Which channels there are.

    def _add(self, tenant: str, place: Place) -> Channel:
        """Know a channel from a snapshot on; it stays as long as it has accounts."""
        return self._know(Channel(place.channel, tenant, place.seq, place.roster, place.members))

    def _add_at(self, event: Event) -> Channel:
        """Know a channel from an event on."""
        return self._know(Channel(event.channel, event.tenant, event.seq, event.roster, event.members))

    def _know(self, channel: Channel) -> Channel:
        self.channels[channel.id] = channel
        return channel

    def _leave(self, channel: Channel, account: Account) -> None:
        """The user is out of the channel, or has no connection left."""
        channel.accounts.discard(account)
        channel.floors.pop(account, None)
        self._release(channel)
        if account.connections and channel.behind and channel.id not in self.channels:
            self.on_doubt(account)  # events that will not be fetched now may have made the user a member again

    def _release(self, channel: Channel) -> None:
        """Drop a channel without local members; what passed in it may still matter to a session that is being loaded."""
        if channel.accounts or self.channels.get(channel.id) is not channel:
            return
        del self.channels[channel.id]
        self.tails.forget(channel)
        self.recent.passed(channel.id, max(channel.head, channel.target), max(channel.roster, channel.roster_target))
        ahead = sorted([*channel.ahead.values(), *channel.changes, *channel.changes_ahead.values()], key=order)
        for waiting in (channel.ahead, channel.changes, channel.changes_ahead):
            waiting.clear()
        for event in ahead:
            (self.take_change if is_change(event) else self.take)(event)
        if (successor := self.channels.get(channel.id)) is not None:
            self.expect(successor, channel.target, channel.roster_target)

    # The life of a connection.

    def open(self, connection: Connection, session: Iterable[Place], load: Load) -> dict[str, Start | None]:
        """Put the memberships of a session into the hub.

        Return where channels start that differ from the session; None for one that is left out.
        """
        account = connection.account
        passed = load.memberships(account.tenant, account.user)
        alone, nothing_passed = len(account.connections) == 1, load.nothing_passed
        differing: dict[str, Start | None] = {}
        waiting = connection.waiting
        for place in session:
            channel_id, seq, floor, roster, _, archived_to = place
            event = passed.pop(channel_id, None) if passed else None
            since = event if event is not None and _follows(event, place) else None
            if since is not None and since.kind in ENDED:
                differing[channel_id] = None
                continue
            channel = self.channels.get(channel_id) or self._add(account.tenant, place)
            if (seq, roster) < (channel.base, channel.base_roster) and channel_id not in account.channels:
                self._verify(channel, account, exact=False)  # unseen events in between may have ended the membership
                differing[channel_id] = None
                continue
            channel.accounts.add(account)
            channel.archived_to = max(channel.archived_to, archived_to)
            if floor:
                channel.raise_floor(account, _floor(since) if since is not None and since.kind == JOINED else floor)
            start = waiting[channel] = max(seq, channel.head)
            account.channels[channel_id] = channel
            if not alone:
                self._verify(channel, account, exact=False)  # the user's other connections may not know of it yet
            if start != seq or since is not None:
                differing[channel_id] = Start(start, None if since is None else to_word(Role, since.role))
            if not nothing_passed:
                self.expect(channel, *load.head(channel_id))
        for event in passed.values():
            if event.kind == JOINED:
                channel = self.channels.get(event.channel) or self._add_at(event)
                self._verify(channel, account, exact=True)
                self.expect(channel, *load.head(channel.id))
        return differing

    def compare(self, account: Account, session: Iterable[Place], load: Load) -> None:
        """Find memberships that the hub has missed, from a fresh session; one that ended shows in its channel's log."""
        for place in session if account.connections else ():
            channel = self.channels.get(place.channel) or self._add(account.tenant, place)
            self._verify(channel, account, exact=False)
            self.expect(channel, *load.head(channel.id))

    def expel(self, channel: Channel) -> None:
        """Close every connection in a channel whose log cannot be completed here; the clients resync."""
        for account in tuple(channel.accounts):
            for connection in tuple(account.connections):
                if channel.holds(connection):
                    self._close(connection, Close.RESYNC_NEEDED)

    def _close_all(self) -> None:
        """The store has begun a new epoch: what was delivered, buffered and recorded here may not exist in it."""
        for account in tuple(self._accounts.values()):
            for connection in tuple(account.connections):
                self._close(connection, Close.RESYNC_NEEDED)
        self.recent.forget()
        self.tails.clear()

    def _drop(self, connection: Connection) -> None:
        """The connection has ended: take it out everywhere; the last one takes its user out as well."""
        account = connection.account
        places = [*account.channels.values(), *(gain.channel for gain in account.gains.values())]
        for channel in (*places, *(connection.catching or ())):
            channel.remove(connection)
        if account.connections:
            return
        for channel in places:
            channel.accounts.discard(account)
            if channel.floors:
                channel.floors.pop(account, None)
            if not channel.accounts:
                self._release(channel)
        account.channels.clear()

    # Catching up.

    def finish(self, channel: Channel, connection: Connection, through: int) -> None:
        """The connection has everything up to `through`: send what was buffered beyond it, and let it go live (or out)."""
        catching = channel.end_catching(connection)
        if catching is None:  # closed meanwhile
            return
        if connection.flowing:
            floor = max(catching.floor, channel.floor(connection))
            for event in catching.events:
                if event.seq > through:
                    self._writer.send(connection, event.to(floor))
        if catching.fence:
            self._writer.send(connection, encode(Left(channel.id)))
        elif connection.flowing:
            channel.place(connection, through)
        else:
            connection.waiting[channel] = through

    def abandon(self, channel: Channel, connection: Connection) -> None:
        """The catch-up failed before it sent anything: continue from the position before it."""
        catching = channel.catching.get(connection)
        if catching is not None:
            self.finish(channel, connection, catching.resume)

    # Memberships.

    def _change_membership(self, channel: Channel, event: Event) -> None:
        """A membership event was delivered, or a roster change has its turn."""
        self.recent.member(event)
        channel.members = event.members or channel.members
        account = self._accounts.get((event.tenant, event.subject))
        if account is None:
            return
        if event.kind == JOINED:
            self._verify(channel, account, exact=True, event=event if event.HasField("welcome") else None)
        elif event.kind in ENDED:
            self._end_membership(channel, account, event)

    def _end_membership(self, channel: Channel, account: Account, event: Event) -> None:
        """The event removed the user: the user's connections receive it unless it is a change, `left`, and nothing after.

        A session read at the position of a change may be older or newer than it. It is taken for older: if the user has become a
        member again since, a later change says so.
        """
        seq = event.seq + 1 if is_change(event) else event.seq
        left = encode(Left(channel.id))
        stays = False
        for connection in tuple(account.connections):
            if connection in channel.live or connection.waiting.get(channel, seq) < seq:
                channel.remove(connection)
                self._writer.send(connection, left)
            elif (catching := channel.catching.get(connection)) is not None:
                catching.fence = catching.fence or seq
                catching.floor = max(catching.floor, channel.floor(connection))
            elif channel.holds(connection):
                stays = True  # a member again in a state of the store that is later than this event
        gain = account.gains.get(channel.id)
        if gain is not None:
            gain.fence = gain.fence or seq
        if not stays:
            account.channels.pop(channel.id, None)
            if gain is None:
                self._leave(channel, account)

    def _verify(self, channel: Channel, account: Account, *, exact: bool, event: Event | None = None) -> None:
        """The user seems to be a member: have that verified for the user's connections that are not in the channel.

        `exact` if the membership is known to begin at the head, because its event is the one just delivered. `event` is that
        event if it suffices.
        """
        under_way = account.gains.get(channel.id)
        if under_way is not None and under_way.fence:
            under_way = None  # it concerns a membership that has ended since
        newcomers = []
        for connection in tuple(account.connections):
            catching = channel.catching.get(connection)
            if catching is not None and catching.fence:
                self._close(connection, Close.RESYNC_NEEDED)  # removed and added again within one catch-up
            elif catching is not None and under_way is not None and connection in under_way.newcomers:
                if exact:  # the membership that was being verified did not exist yet
                    channel.catch(connection, channel.head, exact=True, joining=True)
            elif not channel.holds(connection):
                channel.catch(connection, channel.head, exact=exact, joining=True)
                newcomers.append(connection)
        if under_way is not None:
            under_way.newcomers += newcomers
            under_way.again |= exact
        elif newcomers:
            gain = account.gains[channel.id] = Gain(channel, account, newcomers, event)
            channel.accounts.add(account)
            self.on_gain(gain)
        self._release(channel)

    def gained(self, gain: Gain, membership: Membership) -> None:
        """The membership is confirmed; the newcomers are to be welcomed."""
        gain.channel.raise_floor(gain.account, membership.floor)
        for connection in gain.newcomers:
            if (catching := gain.channel.catching.get(connection)) is not None:
                catching.floor = membership.floor
        self._end_gain(gain, member=not gain.fence)
        if gain.channel.accounts:
            self.expect(gain.channel, membership.view.seq, membership.roster)

    def welcome(self, channel: Channel, connection: Connection, view: ChannelView) -> None:
        """Send `joined` to a newcomer, with the position from which it receives events.

        If the beginning of the membership is not known, that is the store's head when it confirmed the membership: the user may
        not be allowed to see events before it.
        """
        if (catching := channel.catching.get(connection)) is not None:
            start = catching.resume if catching.exact else max(catching.resume, view.seq)
            self._writer.send(connection, encode(Joined(msgspec.structs.replace(view, seq=start))))
            self.finish(channel, connection, start)

    def not_gained(self, gain: Gain) -> None:
        """The store denies the membership: an old event came again, or the membership has ended since."""
        if gain.again and not gain.fence:
            gain.again = False
            self.on_gain(gain)
            return
        for connection in gain.newcomers:
            gain.channel.remove(connection)
        self._end_gain(gain, member=False)

    def _end_gain(self, gain: Gain, *, member: bool) -> None:
        channel, account = gain.channel, gain.account
        if account.gains.get(channel.id) is gain:
            del account.gains[channel.id]
        if member and account.connections:
            account.channels[channel.id] = channel
        if channel.id not in account.channels and channel.id not in account.gains:
            self._leave(channel, account)


def _follows(event: Event, place: Place) -> bool:
    """Whether the event was made after the session was read."""
    return event.roster > place.roster if is_change(event) else event.seq > place.seq


def _floor(joined: Event) -> int:
    """What the member who joined by this event may not read, where members may read from their joining on."""
    return joined.seq if is_change(joined) else joined.seq - 1
