"""Renders the permission table as `docs/permissions.md`; `python -m messages permissions` prints it."""

from __future__ import annotations

from messages import policy
from messages.policy import Action, ChannelKind

_NO_ROLE = "no role"

_HEAD = """# Who may do what

Generated from [`policy.py`](../services/messages/src/messages/policy.py) by `make docs`.
A test compares the two.
Another test tries every cell over the socket, HTTP and gRPC ([`tests/security/test_policy_cells.py`](../tests/security/test_policy_cells.py)).

Roles, lowest first: {roles}.
A cell names the **lowest** role that may; higher roles may too.

"""  # noqa: E501 - lines of the page

_TAIL = """
A member can neither grant a role above their own nor act on a member with a higher role.
A refused user receives `NOT_ALLOWED`.
The worker judges every command in the transaction that stores it, by the channel's state at that moment.
So a removal or a lost role applies to every command that is stored after it, also to commands that a gateway accepted before.

## Reading

The same rule applies to every way of reading a channel.
With `history: "joined"` a member reads entries from their own `member.joined` on.

| interface | who | enforced by |
|---|---|---|
| history, the log, members (`GET /v1/channels/{id}/messages`, `/events`, `/members`) | members | `service.access`, for each call |
| live events, receipts, typing (socket) | members | the gateway's `hub`, entry by entry in the order of the log: nothing is sent after the removal |
| resuming (`sync`) | members | `queries.log.POSITIONS`; else `gone` |
| search | members | `queries.search.CHANNELS`, the channels in which the index is asked, and `queries.search.FOUND`, which reads what was found |
| upload, its link and thumbnail (`/v1/uploads`, `/v1/media`) | members of its channel, at the time of the request; once posted, users who may read a message that carries it | the gateway asks the messages service for the channel |
| details of a channel | members; of a {joinable} channel the whole tenant | `service.access.visible` |
| presence (`watch`), people (`GET /v1/users`) | every user of the tenant | the tenant of the token |

## Outside a channel

| caller | {joinable} channel | any other channel |
|---|---|---|
| of the tenant, not a member | sees its details, may join; everything else: `NOT_A_MEMBER` | `NOT_FOUND`, as if it did not exist |
| banned from it | sees its details; everything else: `NOT_ALLOWED` | `NOT_FOUND` |
| of another tenant | `NOT_FOUND` | `NOT_FOUND` |
| blocked, or with a revoked token | `NOT_AUTHENTICATED` | `NOT_AUTHENTICATED` |

Every user may create a channel and becomes its owner; both users of a direct channel are `member`.

## Silences, blocks and reports

A silenced member can read, and delete their own messages.
Posting, editing, reacting and pinning are refused with `NOT_ALLOWED` until the silence ends, also after leaving and rejoining.
A member cannot lift their own silence.
The same applies in a `direct` channel to a user whom the other user has blocked; creating a new direct channel with that user is refused too.
Blocks have no effect in other kinds of channels.

A report keeps the reported text until a moderator resolves it, also when the message is deleted.
A `direct` channel has no moderators; its users block each other instead.

## The tenant's administrator

{admin}

## Other services

A service that calls over gRPC has scopes, tenants and a quota ([grpc.md](grpc.md#scopes)).
They determine which RPCs it may call, and for the users of which tenants.
The call is then judged by its user, as above.
"""  # noqa: E501 - rows of a table

ADMIN = """A token whose `roles` contain `admin` may revoke and block users of its own tenant and read its audit log.
It grants no access to channels: there, an administrator has only the role of their membership."""


def page() -> str:
    """The page, in Markdown."""
    roles = " · ".join(f"`{role}`" for role in policy.Role)
    joinable = " or ".join(f"`{kind}`" for kind in ChannelKind if kind in policy.JOINABLE)
    head = "| | " + " | ".join(f"`{kind}`" for kind in ChannelKind) + " |\n|---" + "|---" * len(ChannelKind) + "|\n"
    tail = _TAIL.replace("{joinable}", joinable).replace("{admin}", ADMIN)
    return _HEAD.format(roles=roles) + head + "".join(map(_row, Action)) + tail


def _row(action: Action) -> str:
    cells = [policy.lowest(action, kind) or _NO_ROLE for kind in ChannelKind]
    return f"| {action} | " + " | ".join(cells) + " |\n"
