"""Decides whether a connection goes on with an earlier session, and from where.

It does only if nothing is missing: what the client has received is known exactly, and everything since can be sent. Memberships
are those of now: what was lost or gained meanwhile is told first, and a gained channel starts where its `joined` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.model import Channel, Connection
from gateway.protocol.outgoing import ChannelView, Joined, Left
from gateway.socketio.held import LOST, State


@dataclass(slots=True)
class Resumption:
    """How the session goes on."""

    left: list[Left] = field(default_factory=list)
    joined: list[Joined] = field(default_factory=list)
    starts: dict[Channel, int] = field(default_factory=dict)
    """Where the channels start that the client had and has."""


def resume(
    connection: Connection, state: State, offset: str | None, *, views: Sequence[ChannelView], epoch: str, most_events: int
) -> Resumption | None:
    """How a connection that has just opened goes on with an earlier session; None if it cannot.

    `views` are the channels of `hello`. Of a channel, at most `most_events` are sent.
    """
    positions = state.positions(offset)
    if positions is None or state.epoch != epoch:
        return None
    account, shown = connection.account, {view.id: view for view in views}
    standing = {channel.id: (channel, start) for channel, start in connection.waiting.items()}
    found = Resumption()
    for channel_id, position in positions.items():
        if channel_id in account.gains:  # not known yet
            return None
        if channel_id not in standing:
            found.left.append(Left(channel_id))
            continue
        channel, start = standing[channel_id]
        if position == LOST or channel.floor(connection) > position:  # lost, and gained again
            found.left.append(Left(channel_id))
            continue
        if not start - most_events <= position <= start or (position < start and position < channel.archived_to):
            return None
        found.starts[channel] = position
        del standing[channel_id]
    for channel_id in standing:
        view = shown.get(channel_id)
        if view is None:  # `hello` would not list it
            return None
        found.joined.append(Joined(view))
    return found
