"""Writes the policy as the page that people read: `docs/permissions.md`. `python -m messages permissions` prints it."""

from __future__ import annotations

from messages import policy
from messages.policy import Action, ChannelKind

_NOBODY = "nobody"

_HEAD = """# Who may do what

Made from [`policy.py`](../services/messages/src/messages/policy.py) by `make docs`; a test compares the two, and another walks every
cell through the socket, HTTP and gRPC ([`tests/security/test_policy_cells.py`](../tests/security/test_policy_cells.py)).

Roles, lowest first: {roles}. A cell names the **lowest** role that may; all above it may too.

"""  # noqa: E501 - lines of the page

_TAIL = """
Nobody grants a role above their own, nor acts on a member who stands above them. Whoever may not is answered `NOT_ALLOWED`.
The worker judges every command in the transaction that stores it, by the channel as it is then: a removal or a lost role holds for
every command that is stored after it, whichever gateway took it and whenever.

## Reading

Whoever may read a channel, reads it at every door; whoever may not, at none. With `history: "joined"` a member reads from their own
`member.joined` on, at every door alike.

| door | who | where it is judged |
|---|---|---|
| history, the log, members (`GET /v1/channels/{id}/messages`, `/events`, `/members`) | members | `service.access`, for each call |
| live events, receipts, typing (socket) | members | the gateway's `hub`, entry by entry in the order of the log: after the removal nothing is sent |
| resuming (`sync`) | members | `queries.log.POSITIONS`; else `gone` |
| search | members | `queries.messages.SEARCH` joins the caller's memberships |
| upload, its link and thumbnail (`/v1/uploads`, `/v1/media`) | members of its channel, at the moment of asking; of what was posted, who may read a message that carries it | the gateway asks the messages service for the channel |
| details of a channel | members; of a {joinable} channel the whole tenant | `service.access.visible` |
| presence (`watch`), people (`GET /v1/users`) | everybody of the tenant | the tenant of the token |

## Outside a channel

| caller | {joinable} channel | any other channel |
|---|---|---|
| of the tenant, no member | sees its details, may join; everything else: `NOT_A_MEMBER` | `NOT_FOUND`, as if there were none |
| banned from it | sees its details; everything else: `NOT_ALLOWED` | `NOT_FOUND` |
| of another tenant | `NOT_FOUND` | `NOT_FOUND` |
| blocked, or with a void token | `NOT_AUTHENTICATED` | `NOT_AUTHENTICATED` |

Making a channel is everybody's; its maker is its owner, of a direct channel both are `member`.

## Between moderators and members, and between people

A silenced member reads, and deletes what they wrote; posting, editing, reacting and pinning are refused with `NOT_ALLOWED` until the
silence ends, also after leaving and joining again. Nobody lifts their own. The same holds in a `direct` channel for somebody whom the
other person has blocked; a new direct channel with that person is refused too. Channels with more people are not touched by blocks.

A report keeps what was said, also if it is deleted meanwhile, until a moderator resolves it. A `direct` channel has no moderators: there
one blocks.

## The tenant's administrator

{admin}

## Other services

A service that calls over gRPC has scopes, tenants and a quota ([grpc.md](grpc.md#scopes)). They say which RPCs it may call and for whose users;
what such a call may do is then judged by its user, as above.
"""  # noqa: E501 - rows of a table

ADMIN = """A token whose `roles` hold `admin` revokes and blocks users of its own tenant and reads its audit log. It
opens no channel: in channels an administrator is what their membership says, and reads nothing of those they are no member of."""


def page() -> str:
    """The whole page, Markdown."""
    roles = " · ".join(f"`{role}`" for role in policy.Role)
    joinable = " or ".join(f"`{kind}`" for kind in ChannelKind if kind in policy.JOINABLE)
    head = "| | " + " | ".join(f"`{kind}`" for kind in ChannelKind) + " |\n|---" + "|---" * len(ChannelKind) + "|\n"
    tail = _TAIL.replace("{joinable}", joinable).replace("{admin}", ADMIN)
    return _HEAD.format(roles=roles) + head + "".join(map(_row, Action)) + tail


def _row(action: Action) -> str:
    cells = [policy.lowest(action, kind) or _NOBODY for kind in ChannelKind]
    return f"| {action} | " + " | ".join(cells) + " |\n"
