"""Authorizes a caller's access to a channel: first visibility, then the permission table (`policy`).

A channel that does not exist, belongs to another tenant, or is invisible to the caller is always refused with `NotFound`.
"""

from __future__ import annotations

from chassis.errors import NotAllowed, NotAMember, NotFound, SlowMode
from chassis.postgres import Connection
from messages import policy
from messages.message import Caller, MembershipView
from messages.policy import Action, Role
from messages.store import members


def visible(membership: MembershipView | None) -> MembershipView:
    """Require that the caller may see the channel's details; raises `NotFound`."""
    if membership is None or (membership.role is None and membership.kind not in policy.JOINABLE):
        raise NotFound
    return membership


def member(membership: MembershipView | None) -> tuple[MembershipView, Role]:
    """Require that the caller is a member; raises `NotFound`, `NotAMember`, or `NotAllowed` for a banned user."""
    seen = visible(membership)
    if seen.role is not None:
        return seen, seen.role
    if seen.banned:
        raise NotAllowed
    raise NotAMember


def may(membership: MembershipView | None, action: Action) -> tuple[MembershipView, Role]:
    """Require that the caller may do `action`; raises as `member`, and `NotAllowed` by policy."""
    seen, role = member(membership)
    if not policy.allows(action, seen.kind, role):
        raise NotAllowed
    return seen, role


async def may_speak(
    connection: Connection, caller: Caller, membership: MembershipView | None, action: Action
) -> tuple[MembershipView, Role]:
    """Require that the caller may do an action of `policy.SPEECH` now, and count it as the member's latest words for slow mode.

    Raises as `may`, `NotAllowed` for a silenced member, and `SlowMode`.
    """
    seen, role = may(membership, action)
    silenced, wait = await members.speech(connection, caller, seen.id)
    if silenced:
        raise NotAllowed
    if seen.slow_mode_seconds and not policy.allows(Action.SKIP_SLOW_MODE, seen.kind, role):
        if wait > 0:
            raise SlowMode(retry_after=wait)
        await members.spoke(connection, caller, seen.id)
    return seen, role


def may_act_on(own: Role, other: Role) -> None:
    """Raise `NotAllowed` for granting, or acting on, a role above the caller's own."""
    if policy.outranks(other, own):
        raise NotAllowed
