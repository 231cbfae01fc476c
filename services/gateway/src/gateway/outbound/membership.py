"""What entries do to memberships: the fence at one that ends a membership, the welcome after one that begins it.

A membership that ends is obeyed at once and nobody is asked. One that begins is verified with the store first (an old entry may
have come again, and `joined` shows what no entry has: kind, name, role); meanwhile the hub buffers for the user's sockets, so
that they get what followed. Asking is `catchup`'s, handing entries on is `hub`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from gateway.connection import Account, Connection
from gateway.outbound.channel import Channel, Gain
from gateway.outbound.frames import ChannelView, Joined, Left, encode
from gateway.outbound.outbox import Outbox
from gateway.outbound.recent import Recent
from hubbub.events.v1.events_pb2 import Event, EventKind

if TYPE_CHECKING:
    from gateway.outbound.hub import Hub

RESYNC_NEEDED = 4005
JOINED = EventKind.EVENT_KIND_MEMBER_JOINED
ENDED = (EventKind.EVENT_KIND_MEMBER_LEFT, EventKind.EVENT_KIND_MEMBER_REMOVED)
MEMBERSHIP = frozenset((JOINED, *ENDED, EventKind.EVENT_KIND_MEMBER_ROLE_CHANGED))


class Memberships:
    """Beginnings and ends of local users' memberships."""

    def __init__(
        self,
        hub: Hub,
        outbox: Outbox,
        recent: Recent,
        accounts: dict[tuple[str, str], Account],
        close: Callable[[Connection, int], None],
    ) -> None:
        self._hub = hub
        self._outbox = outbox
        self._recent = recent
        self._accounts = accounts
        self._close = close
        self.on_gain: Callable[[Gain], None] = lambda _gain: None
        """Called when a user with a local socket seems to have become a member; answers with `gained` or `not_gained`."""

    def changed(self, channel: Channel, event: Event) -> None:
        """A membership entry has been handed on."""
        self._recent.member(event)
        account = self._accounts.get((event.tenant, event.subject))
        if account is None:
            return
        if event.kind == JOINED:
            self.suspected(channel, account, exact=True)
        elif event.kind in ENDED:
            self._fence(channel, account, event.seq)

    def _fence(self, channel: Channel, account: Account, seq: int) -> None:
        left = encode(Left(channel.id))
        stays = False
        for connection in tuple(account.connections):
            if connection in channel.live or channel.waiting.get(connection, seq) < seq:
                self._hub.forget(channel, connection)
                self._outbox.send(connection, left)
            elif (catching := channel.catching.get(connection)) is not None:
                catching.fence = catching.fence or seq
            elif channel.holds(connection):
                stays = True  # a member again in a state of the store that is later than this entry
        gain = account.gains.get(channel.id)
        if gain is not None:
            gain.fence = gain.fence or seq
        if not stays:
            account.channels.pop(channel.id, None)
            if gain is None:
                self._hub.leave(channel, account)

    def suspected(self, channel: Channel, account: Account, *, exact: bool) -> None:
        """The user seems to be a member: have that verified for the sockets that do not stand in the channel.

        `exact` when the membership is known to hold from the head on, as its entry is the one just handed on.
        """
        under_way = account.gains.get(channel.id)
        if under_way is not None and under_way.fence:
            under_way = None  # it is about a membership that has ended since
        newcomers = []
        for connection in tuple(account.connections):
            catching = channel.catching.get(connection)
            if catching is not None and catching.fence:
                self._close(connection, RESYNC_NEEDED)  # removed and taken back within one catch-up
            elif catching is not None and under_way is not None and connection in under_way.newcomers:
                if exact:  # what was being verified was no membership yet
                    self._hub.catch(channel, connection, channel.head, exact=True)
            elif not channel.holds(connection):
                self._hub.catch(channel, connection, channel.head, exact=exact)
                newcomers.append(connection)
        if under_way is not None:
            under_way.newcomers += newcomers
            under_way.again |= exact
        elif newcomers:
            gain = account.gains[channel.id] = Gain(channel, account, newcomers)
            channel.accounts.add(account)
            self.on_gain(gain)
        self._hub.release(channel)  # unless somebody is in it

    def gained(self, gain: Gain, view: ChannelView) -> None:
        """The store confirms the membership; the newcomers are to be welcomed."""
        self._end_gain(gain, member=not gain.fence)
        if gain.channel.accounts:
            self._hub.expect(gain.channel, view.seq)

    def welcome(self, channel: Channel, connection: Connection, view: ChannelView) -> None:
        """Say `joined` to a newcomer, with the position from which it gets what follows.

        Where it is not known since when the user is a member, that is where the store was when it confirmed it: entries
        before may be such as the user was not to see.
        """
        if (catching := channel.catching.get(connection)) is not None:
            start = catching.resume if catching.exact else max(catching.resume, view.seq)
            self._outbox.send(connection, encode(Joined(msgspec.structs.replace(view, seq=start))))
            self._hub.finish(channel, connection, start)

    def not_gained(self, gain: Gain) -> None:
        """The store says that the user is no member: an old entry came again, or the membership has ended since."""
        if gain.again and not gain.fence:
            gain.again = False
            self.on_gain(gain)
            return
        for connection in gain.newcomers:
            self._hub.forget(gain.channel, connection)
        self._end_gain(gain, member=False)

    def _end_gain(self, gain: Gain, *, member: bool) -> None:
        channel, account = gain.channel, gain.account
        if account.gains.get(channel.id) is gain:
            del account.gains[channel.id]
        if member and account.connections:
            account.channels[channel.id] = channel
        if channel.id not in account.channels and channel.id not in account.gains:
            self._hub.leave(channel, account)
