"""What a caller may see and do, judged from how they stand to a channel: visibility first, then `policy`.

Unknown, another tenant's and invisible are one answer.
"""

from __future__ import annotations

from chassis.errors import NotAllowed, NotAMember, NotFound
from messages import policy
from messages.message import Standing
from messages.policy import Action, Role


def visible(standing: Standing | None) -> Standing:
    """A channel whose details the caller may see; raises `NotFound`."""
    if standing is None or (standing.role is None and standing.kind not in policy.JOINABLE):
        raise NotFound
    return standing


def member(standing: Standing | None) -> tuple[Standing, Role]:
    """A channel that the caller is a member of; raises `NotFound`, `NotAMember`, `NotAllowed` for the banned."""
    seen = visible(standing)
    if seen.role is not None:
        return seen, seen.role
    if seen.banned:
        raise NotAllowed
    raise NotAMember


def may(standing: Standing | None, action: Action) -> tuple[Standing, Role]:
    """A channel to which the caller may do `action`; raises as `member`, `NotAllowed` by policy."""
    seen, role = member(standing)
    if not policy.allows(action, seen.kind, role):
        raise NotAllowed
    return seen, role


def touch(own: Role, other: Role) -> None:
    """Raise `NotAllowed` for granting, or acting on, a role above one's own."""
    if policy.outranks(other, own):
        raise NotAllowed
