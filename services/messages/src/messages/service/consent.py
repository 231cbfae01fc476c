"""Decides whom a caller may put into a channel, and who is invited instead. One rule for new channels and for existing ones."""

from __future__ import annotations

from collections.abc import Sequence

from chassis.errors import Conflict, NotAllowed, RateLimited
from chassis.postgres import Connection
from messages.limits import Limits
from messages.message import Caller, ChannelId, UserId
from messages.store import members


async def sort(
    connection: Connection,
    caller: Caller,
    channel: ChannelId | None,
    users: Sequence[UserId],
    limits: Limits,
    *,
    direct: bool = False,
) -> tuple[list[UserId], list[UserId]]:
    """Sort `users` into those who become members and those who are invited; `channel` is None for a new one.

    Invited is who left the channel, who was put into too many channels, and in tenants that ask for consent who shares no channel
    with the caller. A direct channel needs no consent. Raises `NotAllowed` if a user has blocked the caller or declined,
    `Conflict` if a user has too many channels or invitations, and `RateLimited` if the caller adds too many.
    """
    found = await members.candidates(connection, caller, channel, users, consent=limits.asks_consent(caller.tenant))
    if any(each.refuses or each.invited for each in found):
        raise NotAllowed
    invited = [
        each for each in found
        if not direct and (each.departed or each.stranger or each.unasked >= limits.unasked_channels_per_user)
    ]  # fmt: skip
    joining = [each for each in found if each not in invited]
    if any(each.channels >= limits.channels_per_user for each in joining):
        raise Conflict("A user has too many channels")
    if any(each.invitations >= limits.invitations_per_user and each.invited is None for each in invited):
        raise Conflict("A user has too many invitations")
    if users:
        added, wait = await members.count_added(connection, caller, len(users))
        if added > limits.members_added_per_hour:
            raise RateLimited("Too many members added within an hour", retry_after=wait)
    return [each.user for each in joining], [each.user for each in invited]


async def require_room(connection: Connection, caller: Caller, limits: Limits) -> None:
    """Raise `Conflict` if the caller has as many channels as a user can have."""
    (own,) = await members.candidates(connection, caller, None, [caller.user], consent=False)
    if own.channels >= limits.channels_per_user:
        raise Conflict("You have too many channels")
