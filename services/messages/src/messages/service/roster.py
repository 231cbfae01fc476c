"""Adds members to a locked channel and removes them.

Up to `NAMED_MEMBERS` members, each joining and leaving is an entry of the log. In a larger channel it is a change of the roster
instead, which only gateways learn of (docs/adr/0048). A removal by a moderator is always an entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from chassis.rooms import NAMED_MEMBERS
from messages.message import Details, EntryKind, UserId, Welcome
from messages.policy import ChannelKind, Role
from messages.service.rpc_base import Change
from messages.store import log, members
from messages.store.log import Draft


class Room(msgspec.Struct, frozen=True):
    """What a new member is told of the channel, and how many members it has."""

    kind: ChannelKind
    name: str
    history: str
    members: int = 0

    def welcome(self, before: int) -> Welcome:
        """For a member whose first entry follows `before`."""
        return Welcome(self.kind, self.name, before if self.history == "joined" else 0)


async def join(change: Change, roles: Mapping[UserId, Role], room: Room | None = None) -> None:
    """Add users who are no members. `room` describes a channel that is being created."""
    room = room or _room(change)
    size = room.members + len(roles)
    if size <= NAMED_MEMBERS:
        await _join_by_entries(change, roles, room)
    else:
        for role in dict.fromkeys(roles.values()):
            await _join_without_entries(change, [user for user in roles if roles[user] is role], role, room, size)
    if room.members <= NAMED_MEMBERS < size:
        await members.begin_counting_readers(change.connection, change.caller.tenant, change.channel)


async def leave(change: Change, user: UserId) -> None:
    """The member leaves."""
    size = _room(change).members
    if size <= NAMED_MEMBERS:
        await remove(change, user, EntryKind.MEMBER_LEFT)
        return
    made = await log.change_roster(change.connection, change.caller.tenant, change.channel, [user], None)
    change.roster += [msgspec.structs.replace(each, members=size - 1) for each in made.entries]
    change.unpublished += made.unpublished
    await members.remove(change.connection, change.caller.tenant, change.channel, user)


async def remove(change: Change, user: UserId, kind: EntryKind = EntryKind.MEMBER_REMOVED) -> None:
    """Remove the member, by an entry."""
    size = _room(change).members
    made = await log.append(
        change.connection, change.caller.tenant, change.channel, [Draft(kind, change.caller.user, Details(user=user))]
    )
    change.entries += [msgspec.structs.replace(each, members=size - 1) for each in made.entries]
    change.unpublished += made.unpublished
    await members.remove(change.connection, change.caller.tenant, change.channel, user)


async def _join_by_entries(change: Change, roles: Mapping[UserId, Role], room: Room) -> None:
    drafts = [Draft(EntryKind.MEMBER_JOINED, change.caller.user, Details(user=user, role=role)) for user, role in roles.items()]
    made = await log.append(change.connection, change.caller.tenant, change.channel, drafts)
    change.entries += [
        msgspec.structs.replace(each, members=size, welcome=room.welcome(each.seq - 1))
        for size, each in enumerate(made.entries, room.members + 1)
    ]
    change.unpublished += made.unpublished
    rows = [(each.details.user, roles[each.details.user], each.seq, each.seq) for each in made.entries]
    await members.add(change.connection, change.caller, change.channel, rows)


async def _join_without_entries(change: Change, users: Sequence[UserId], role: Role, room: Room, size: int) -> None:
    made = await log.change_roster(change.connection, change.caller.tenant, change.channel, users, role)
    change.roster += [msgspec.structs.replace(each, members=size, welcome=room.welcome(each.seq)) for each in made.entries]
    change.unpublished += made.unpublished
    rows = [(user, role, each.seq + 1, each.seq) for user, each in zip(users, made.entries, strict=True)]
    await members.add(change.connection, change.caller, change.channel, rows)


def _room(change: Change) -> Room:
    """The locked channel. Its membership was read after locking, so the count holds."""
    seen = change.membership
    assert seen is not None  # noqa: S101 - the caller has judged it
    return Room(seen.kind, seen.name, seen.history, seen.members)
