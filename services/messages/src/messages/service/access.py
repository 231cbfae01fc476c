"""Authorizes a caller's access to a channel: first visibility, then the permission table (`policy`).

A channel that does not exist, belongs to another tenant, or is invisible to the caller is always refused with `NotFound`.
"""

from __future__ import annotations

from chassis.errors import NotAllowed, NotAMember, NotFound
from messages import policy
from messages.message import MembershipView
from messages.policy import Action, Role


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


def may_act_on(own: Role, other: Role) -> None:
    """Raise `NotAllowed` for granting, or acting on, a role above the caller's own."""
    if policy.outranks(other, own):
        raise NotAllowed
