"""Who may do what to a channel: the one table, by action, kind of channel and role. `docs/permissions.md` is made from it.

Python asks `allows`; the statements that judge a batch of commands get the same table as data (`permitted`). That nobody sees a
channel of another tenant or one they are no member of is not policy but visibility, and lives in the queries.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache


class Role(StrEnum):
    """A member's role, lowest first."""

    READER = "reader"
    MEMBER = "member"
    MODERATOR = "moderator"
    OWNER = "owner"

    @property
    def rank(self) -> int:
        """Position in the order of roles."""
        return _ORDER[self]


class ChannelKind(StrEnum):
    """A kind of channel."""

    DIRECT = "direct"
    GROUP = "group"
    PUBLIC = "public"
    BROADCAST = "broadcast"
    QA = "qa"


class Action(StrEnum):
    """Something a member may want to do."""

    READ = "read"
    POST = "post"
    SKIP_SLOW_MODE = "post without waiting in slow mode"
    EDIT_OWN = "edit one's own message"
    DELETE_OWN = "delete one's own message"
    DELETE_OTHERS = "delete somebody else's message"
    REACT = "react"
    PIN = "pin and unpin"
    CHANGE = "change name, topic or slow mode"
    ADD = "add people"
    SET_ROLE = "change a member's role"
    REMOVE = "remove, ban and unban people"
    REPORT = "report a message to the moderators"
    HANDLE_REPORTS = "see and resolve reports"
    SILENCE = "silence a member for a while, and lift it"
    LEAVE = "leave"


_ORDER = {role: rank for rank, role in enumerate(Role)}
_READER, _MEMBER, _MODERATOR, _NOBODY = Role.READER, Role.MEMBER, Role.MODERATOR, None

# The lowest role that may, in channels of each kind.
_LOWEST: dict[Action, tuple[Role | None, ...]] = {
    #                       direct      group       public      broadcast   qa
    Action.READ:           (_READER,    _READER,    _READER,    _READER,    _READER),
    Action.POST:           (_MEMBER,    _MEMBER,    _MEMBER,    _MODERATOR, _MEMBER),
    Action.SKIP_SLOW_MODE: (_NOBODY,    _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.EDIT_OWN:       (_READER,    _READER,    _READER,    _READER,    _READER),
    Action.DELETE_OWN:     (_READER,    _READER,    _READER,    _READER,    _READER),
    Action.DELETE_OTHERS:  (_NOBODY,    _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.REACT:          (_MEMBER,    _MEMBER,    _MEMBER,    _MEMBER,    _MEMBER),
    Action.PIN:            (_MEMBER,    _MEMBER,    _MODERATOR, _MODERATOR, _MODERATOR),
    Action.CHANGE:         (_NOBODY,    _MEMBER,    _MODERATOR, _MODERATOR, _MODERATOR),
    Action.ADD:            (_NOBODY,    _MEMBER,    _MODERATOR, _MODERATOR, _MODERATOR),
    Action.SET_ROLE:       (_NOBODY,    _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.REMOVE:         (_NOBODY,    _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.REPORT:         (_NOBODY,    _READER,    _READER,    _READER,    _READER),
    Action.HANDLE_REPORTS: (_NOBODY,    _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.SILENCE:        (_NOBODY,    _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.LEAVE:          (_NOBODY,    _READER,    _READER,    _READER,    _READER),
}  # fmt: skip

JOINABLE = frozenset({ChannelKind.PUBLIC})
"""Kinds whose details the whole tenant sees, and which anybody who is not banned may join."""


def allows(action: Action, kind: ChannelKind, role: Role) -> bool:
    """Whether a member of this role may do it in channels of this kind."""
    least = lowest(action, kind)
    return least is not None and role.rank >= least.rank


def outranks(role: Role, other: Role) -> bool:
    """Whether `role` stands above `other`: nobody grants a role above their own, nor touches a member who has one."""
    return role.rank > other.rank


def first_role(kind: ChannelKind) -> Role:
    """The role of whoever makes a channel."""
    return Role.MEMBER if kind is ChannelKind.DIRECT else Role.OWNER


def lowest(action: Action, kind: ChannelKind) -> Role | None:
    """The lowest role that may do it in channels of this kind; None when nobody may."""
    return _LOWEST[action][list(ChannelKind).index(kind)]


@cache
def permitted(action: Action) -> list[str]:
    """Every `kind/role` that may do it, as a parameter for the statements in `messages.commands`."""
    return [f"{kind}/{role}" for kind in ChannelKind for role in Role if allows(action, kind, role)]
