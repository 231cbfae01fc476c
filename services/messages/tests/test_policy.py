"""Every cell of the permission table, through the statements and RPCs that enforce it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from chassis.errors import NotAllowed
from chassis.proto_enums import from_word
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages import permissions, policy
from messages.commands.model import Body, Delete, Edit, Pin, Post, React
from messages.message import MessageId
from messages.policy import Action, ChannelKind, Role
from services.messages.tests.conftest import Town, refused

ROLES = ["reader", "member", "moderator", "owner"]
KINDS = ["group", "public", "broadcast", "qa"]
# The lowest role that may, in group, public, broadcast, qa; written by hand from the protocol.
EXPECTED = {
    "post": ("member", "member", "moderator", "member"),
    "edit own": ("member", "member", "moderator", "member"),
    "edit other": (None, None, None, None),
    "delete own": ("reader", "reader", "reader", "reader"),
    "delete other": ("moderator", "moderator", "moderator", "moderator"),
    "react": ("member", "member", "member", "member"),
    "pin": ("member", "moderator", "moderator", "moderator"),
    "change": ("member", "moderator", "moderator", "moderator"),
    "add": ("member", "moderator", "moderator", "moderator"),
    "set role": ("moderator", "moderator", "moderator", "moderator"),
    "remove": ("moderator", "moderator", "moderator", "moderator"),
    "ban": ("moderator", "moderator", "moderator", "moderator"),
    "unban": ("moderator", "moderator", "moderator", "moderator"),
    "leave": ("reader", "reader", "reader", "reader"),
    "list webhooks": ("owner", "owner", "owner", "owner"),
}


class Stage:
    """A channel with an owner, another member, and a member whose role is tested."""

    def __init__(self, town: Town, channel: str) -> None:
        self.town = town
        self.channel = channel

    async def message_of(self, user: str) -> MessageId:
        """A message of an author who may have become a reader."""
        return MessageId((await self.town.post(self.channel, user)).message)

    async def order(self, body: Body) -> None:
        (outcome,) = await self.town.do(self.town.command(self.channel, "you", body))
        if outcome.error:
            raise outcome.error

    async def attempt(self, action: str, own: MessageId, other: MessageId) -> bool:
        """Try an action as the member under test; return whether it was allowed."""
        service, channel, you = self.town.service, self.channel, self.town.caller("you")
        attempts: dict[str, Callable[[], Awaitable[object]]] = {
            "post": lambda: self.order(Post("x")),
            "edit own": lambda: self.order(Edit(own, "x")),
            "edit other": lambda: self.order(Edit(other, "x")),
            "delete own": lambda: self.order(Delete(own)),
            "delete other": lambda: self.order(Delete(other)),
            "react": lambda: self.order(React(other, "x")),
            "pin": lambda: self.order(Pin(other)),
            "change": lambda: service.UpdateChannel(rpc.UpdateChannelRequest(caller=you, channel=channel, topic="x"), None),
            "add": lambda: service.AddMembers(
                rpc.AddMembersRequest(caller=you, channel=channel, users=["new"], role=events.ROLE_READER), None
            ),
            "set role": lambda: service.SetMemberRole(
                rpc.SetMemberRoleRequest(caller=you, channel=channel, user="low", role=events.ROLE_MEMBER), None
            ),
            "remove": lambda: service.RemoveMember(rpc.RemoveMemberRequest(caller=you, channel=channel, user="low"), None),
            "ban": lambda: service.BanUser(rpc.BanUserRequest(caller=you, channel=channel, user="low"), None),
            "unban": lambda: service.UnbanUser(rpc.UnbanUserRequest(caller=you, channel=channel, user="new"), None),
            "list webhooks": lambda: service.ListHooks(rpc.ListHooksRequest(caller=you, channel=channel), None),
            "leave": lambda: service.RemoveMember(rpc.RemoveMemberRequest(caller=you, channel=channel, user="you"), None),
        }
        try:
            await attempts[action]()
        except NotAllowed:
            return False
        return True


async def _set_role(town: Town, channel: str, user: str, role: str) -> None:
    request = rpc.SetMemberRoleRequest(caller=town.caller("boss"), channel=channel, user=user, role=from_word(events.Role, role))
    await town.service.SetMemberRole(request, None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("role", ROLES)
async def test_each_role_may_do_exactly_what_the_protocol_says(town: Town, kind: str, role: str) -> None:
    await town.people("new")
    for action, lowest in EXPECTED.items():
        stage = Stage(town, await town.channel("boss", "you", "low", kind=kind))
        await _set_role(town, stage.channel, "low", "reader")
        await _set_role(town, stage.channel, "you", "owner")
        own, other = await stage.message_of("you"), await stage.message_of("boss")
        await _set_role(town, stage.channel, "you", role)
        needed = lowest[KINDS.index(kind)]
        may = needed is not None and ROLES.index(role) >= ROLES.index(needed)
        assert await stage.attempt(action, own, other) is may, (action, role, kind)


@pytest.mark.parametrize(
    ("action", "may"),
    [
        ("post", True), ("edit own", True), ("edit other", False), ("delete own", True), ("delete other", False),
        ("react", True), ("pin", True), ("change", False), ("add", False), ("leave", False), ("ban", False),
    ],
)  # fmt: skip
async def test_a_direct_channel_is_limited_to_its_two_users(town: Town, action: str, may: bool) -> None:
    await town.people("low", "new")
    stage = Stage(town, await town.channel("boss", "you", kind="direct"))
    own, other = await stage.message_of("you"), await stage.message_of("boss")
    assert await stage.attempt(action, own, other) is may


@pytest.mark.parametrize(("role", "granted"), [("member", "moderator"), ("moderator", "owner")])
async def test_a_role_above_ones_own_cannot_be_granted(town: Town, role: str, granted: str) -> None:
    channel = await town.channel("boss", "you", "low")
    await town.people("new")
    await _set_role(town, channel, "you", role)
    you = town.caller("you")
    add = rpc.AddMembersRequest(caller=you, channel=channel, users=["new"], role=from_word(events.Role, granted))
    await refused(town.service.AddMembers(add, None), NotAllowed)
    change = rpc.SetMemberRoleRequest(caller=you, channel=channel, user="low", role=from_word(events.Role, granted))
    await refused(town.service.SetMemberRole(change, None), NotAllowed)


async def test_a_member_with_a_higher_role_cannot_be_changed(town: Town) -> None:
    channel = await town.channel("boss", "you")
    await _set_role(town, channel, "you", "moderator")
    you, service = town.caller("you"), town.service
    demote = rpc.SetMemberRoleRequest(caller=you, channel=channel, user="boss", role=events.ROLE_READER)
    await refused(service.RemoveMember(rpc.RemoveMemberRequest(caller=you, channel=channel, user="boss"), None), NotAllowed)
    await refused(service.BanUser(rpc.BanUserRequest(caller=you, channel=channel, user="boss"), None), NotAllowed)
    await refused(service.SetMemberRole(demote, None), NotAllowed)


def test_moderators_and_owners_do_not_wait_in_slow_mode() -> None:
    waits = {(kind, role) for kind in ChannelKind for role in Role if not policy.allows(Action.SKIP_SLOW_MODE, kind, role)}
    assert {role for kind, role in waits if kind is not ChannelKind.DIRECT} == {Role.READER, Role.MEMBER}


async def test_a_demoted_author_changes_no_words(town: Town) -> None:
    channel = await town.channel("boss", "you")
    message = await Stage(town, channel).message_of("you")
    await _set_role(town, channel, "you", "reader")
    (outcome,) = await town.do(town.command(channel, "you", Edit(message, "x")))
    assert isinstance(outcome.error, NotAllowed)
    (outcome,) = await town.do(town.command(channel, "you", Delete(message)))
    assert outcome.error is None


def test_the_permissions_page_is_up_to_date() -> None:
    stored = Path(__file__).parents[3] / "docs" / "permissions.md"
    assert stored.read_text() == permissions.page(), "run `make docs`"
