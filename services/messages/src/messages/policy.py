"""The permission table: which role may do what, by action and kind of channel. `docs/permissions.md` is generated from it.

Python calls `allows`; the statements that judge commands receive the same table as parameters (`permitted`).
Visibility (other tenants, channels that the user is not a member of) is not part of the table: the queries enforce it.
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
        """Position in the order of roles, lowest first."""
        return _ORDER[self]


class ChannelKind(StrEnum):
    """A kind of channel."""

    DIRECT = "direct"
    GROUP = "group"
    PUBLIC = "public"
    BROADCAST = "broadcast"
    QA = "qa"


class Action(StrEnum):
    """An action of a member."""

    READ = "read"
    POST = "post"
    SKIP_SLOW_MODE = "post without waiting in slow mode"
    EDIT_OWN = "edit one's own message"
    DELETE_OWN = "delete one's own message"
    DELETE_OTHERS = "delete another member's message"
    REACT = "react"
    PIN = "pin and unpin"
    CHANGE = "change name, topic or slow mode"
    ADD = "add people"
    SET_ROLE = "change a member's role"
    REMOVE = "remove, ban and unban people"
    REPORT = "report a message to the moderators"
    HANDLE_REPORTS = "see and resolve reports"
    SILENCE = "silence a member for a while, and lift it"
    MANAGE_HOOKS = "create, list, rotate and remove incoming webhooks"
    LEAVE = "leave"


_ORDER = {role: rank for rank, role in enumerate(Role)}
_READER, _MEMBER, _MODERATOR, _OWNER, _NO_ROLE = Role.READER, Role.MEMBER, Role.MODERATOR, Role.OWNER, None

# The lowest role that may, in channels of each kind.
_LOWEST: dict[Action, tuple[Role | None, ...]] = {
    #                       direct      group       public      broadcast   qa
    Action.READ:           (_READER,    _READER,    _READER,    _READER,    _READER),
    Action.POST:           (_MEMBER,    _MEMBER,    _MEMBER,    _MODERATOR, _MEMBER),
    Action.SKIP_SLOW_MODE: (_NO_ROLE,   _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.EDIT_OWN:       (_MEMBER,    _MEMBER,    _MEMBER,    _MODERATOR, _MEMBER),
    Action.DELETE_OWN:     (_READER,    _READER,    _READER,    _READER,    _READER),
    Action.DELETE_OTHERS:  (_NO_ROLE,   _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.REACT:          (_MEMBER,    _MEMBER,    _MEMBER,    _MEMBER,    _MEMBER),
    Action.PIN:            (_MEMBER,    _MEMBER,    _MODERATOR, _MODERATOR, _MODERATOR),
    Action.CHANGE:         (_NO_ROLE,   _MEMBER,    _MODERATOR, _MODERATOR, _MODERATOR),
    Action.ADD:            (_NO_ROLE,   _MEMBER,    _MODERATOR, _MODERATOR, _MODERATOR),
    Action.SET_ROLE:       (_NO_ROLE,   _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.REMOVE:         (_NO_ROLE,   _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.REPORT:         (_NO_ROLE,   _READER,    _READER,    _READER,    _READER),
    Action.HANDLE_REPORTS: (_NO_ROLE,   _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.SILENCE:        (_NO_ROLE,   _MODERATOR, _MODERATOR, _MODERATOR, _MODERATOR),
    Action.MANAGE_HOOKS:   (_NO_ROLE,   _OWNER,     _OWNER,     _OWNER,     _OWNER),
    Action.LEAVE:          (_NO_ROLE,   _READER,    _READER,    _READER,    _READER),
}  # fmt: skip

SPEECH = frozenset({Action.POST, Action.EDIT_OWN, Action.CHANGE, Action.ADD})
"""Actions that put a member's words, or people, before the others: silences and slow mode hold for each of them.

Silences also hold for reactions and pins. Slow mode does not: an emoji is no sentence.
"""

JOINABLE = frozenset({ChannelKind.PUBLIC})
"""Kinds whose details the whole tenant sees. Every user of the tenant may join, unless banned."""


def allows(action: Action, kind: ChannelKind, role: Role) -> bool:
    """Whether a member with this role may do it in channels of this kind."""
    least = lowest(action, kind)
    return least is not None and role.rank >= least.rank


def outranks(role: Role, other: Role) -> bool:
    """Whether `role` is above `other`. A member can neither grant a role above their own nor act on a member who has one."""
    return role.rank > other.rank


def first_role(kind: ChannelKind) -> Role:
    """The role of a channel's creator."""
    return Role.MEMBER if kind is ChannelKind.DIRECT else Role.OWNER


def lowest(action: Action, kind: ChannelKind) -> Role | None:
    """The lowest role that may do it in channels of this kind; None when no role may."""
    return _LOWEST[action][list(ChannelKind).index(kind)]


@cache
def permitted(action: Action) -> list[str]:
    """Every `kind/role` that may do it, as a parameter for the statements in `messages.commands`."""
    return [f"{kind}/{role}" for kind in ChannelKind for role in Role if allows(action, kind, role)]
