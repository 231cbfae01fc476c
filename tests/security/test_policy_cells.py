"""Every cell of the policy (kind of channel, role, action, own or other's message) over socket, HTTP and gRPC."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import grpc
import pytest

from chassis.errors import HubbubError
from chassis.rpc_errors import from_call
from hubbub.events.v1 import events_pb2
from hubbub.events.v1.events_pb2 import PostMessage
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as calls
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from messages.policy import Action, ChannelKind, Role, allows
from tests.client import Api, Socket
from tests.flow.world import World, live

PEOPLE = {
    kind: [Role.MEMBER] if kind is ChannelKind.DIRECT else [Role.OWNER, Role.MODERATOR, Role.MEMBER, Role.READER]
    for kind in ChannelKind
}


@dataclass
class Stage:
    """A channel of one kind with a member in every role, each with an open socket."""

    world: World
    kind: ChannelKind
    room: str
    host: Api
    """The creator, a member beside the users under test; in a direct channel the other user."""
    people: dict[Role, Api]
    sockets: dict[Role, Socket]
    rpc: MessagesServiceStub
    counter: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def path(self) -> str:
        return f"/v1/channels/{self.room}"

    def key(self) -> str:
        return f"k{next(self.counter)}"

    def caller(self, role: Role) -> nouns.Caller:
        return nouns.Caller(tenant=self.world.tenant, user=self.people[role].user)

    async def message(self, author: Api) -> str:
        """Post a message over an interface that allows it, also for a user whose role may not post."""
        return str((await author.post(self.room, "words", self.key()))["message"])

    async def member(self, role: Role = Role.READER) -> str:
        """A new member."""
        user = f"{self.kind}-{self.key()}"
        await self.world.person(user)
        await self.host.ok("POST", f"{self.path}/members", {"users": [user], "role": role})
        return user

    async def outsider(self) -> str:
        """A new user of the tenant who is not a member."""
        user = f"{self.kind}-{self.key()}"
        await self.world.person(user)
        return user


Act = Callable[[Stage, Role], Awaitable[str]]


@pytest.fixture(params=list(ChannelKind))
async def stage(request: pytest.FixtureRequest, world: World) -> AsyncIterator[Stage]:
    kind: ChannelKind = request.param
    people = {role: await world.person(f"the-{role}", number % 2) for number, role in enumerate(PEOPLE[kind])}
    host = await world.person("host")
    room = await world.room(host, *(people.values() if kind is ChannelKind.DIRECT else ()), kind=kind)
    async with AsyncExitStack() as stack:
        for role, api in people.items():
            if kind is not ChannelKind.DIRECT:
                await host.ok("POST", f"/v1/channels/{room}/members", {"users": [api.user], "role": role})
        sockets = {role: await stack.enter_async_context(live(api)) for role, api in people.items()}
        channel = await stack.enter_async_context(world.stack.channel("messages"))
        yield Stage(world, kind, room, host, people, sockets, MessagesServiceStub(channel))


async def judge(stage: Stage, action: Action, *doors: Act, roles: set[Role] | None = None) -> None:
    """Check that every interface answers each role as the policy says."""
    for role in stage.people:
        if roles is not None and role not in roles:
            continue
        expected = "" if allows(action, stage.kind, role) else "NOT_ALLOWED"
        for door in doors:
            assert await door(stage, role) == expected, (stage.kind, role, action, door.__name__)


async def framed(stage: Stage, role: Role, type_: str, **fields: object) -> str:
    """The reason of a frame's answer; empty for an ack."""
    frame = await stage.sockets[role].request(type_, channel=stage.room, **fields)
    return str(frame["reason"]) if frame["type"] == "error" else ""


async def over_http(stage: Stage, role: Role, method: str, path: str, body: object = None) -> str:
    return (await stage.people[role].call(method, stage.path + path, body)).reason


async def called(call: Awaitable[object]) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        refusal = from_call(error)
        assert isinstance(refusal, HubbubError)
        return refusal.reason
    return ""


async def written_by(stage: Stage, role: Role) -> str:
    """A message of the user's own; a user whose role may not post wrote it while in another role."""
    api = stage.people[role]
    if allows(Action.POST, stage.kind, role):
        return await stage.message(api)
    await stage.host.ok("PATCH", f"{stage.path}/members/{api.user}", {"role": "moderator"})
    message = await stage.message(api)
    await stage.host.ok("PATCH", f"{stage.path}/members/{api.user}", {"role": role})
    return message


@pytest.mark.usefixtures("door")
async def test_posting(stage: Stage) -> None:
    async def socket(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "send", key=stage.key(), text="may I?")

    async def http(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "POST", "/messages", {"text": "may I?"})

    async def rpc(stage: Stage, role: Role) -> str:
        request = calls.PostMessageRequest(caller=stage.caller(role), channel=stage.room, message=PostMessage(text="may I?"))
        return await called(stage.rpc.PostMessage(request, timeout=5))

    await judge(stage, Action.POST, socket, http, rpc)


@pytest.mark.usefixtures("door")
async def test_editing_ones_own(stage: Stage) -> None:
    async def socket(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "edit", message=await written_by(stage, role), text="better")

    async def rpc(stage: Stage, role: Role) -> str:
        message = await written_by(stage, role)
        request = calls.EditMessageRequest(caller=stage.caller(role), channel=stage.room, message=message, text="better")
        return await called(stage.rpc.EditMessage(request, timeout=5))

    await judge(stage, Action.EDIT_OWN, socket, rpc)


@pytest.mark.usefixtures("door")
async def test_no_role_may_edit_another_users_message(stage: Stage) -> None:
    message = await stage.message(stage.host)
    for role in stage.people:
        assert await framed(stage, role, "edit", message=message, text="not yours") == "NOT_ALLOWED"
        request = calls.EditMessageRequest(caller=stage.caller(role), channel=stage.room, message=message, text="not yours")
        assert await called(stage.rpc.EditMessage(request, timeout=5)) == "NOT_ALLOWED"


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("action", [Action.DELETE_OWN, Action.DELETE_OTHERS])
async def test_deleting(stage: Stage, action: Action) -> None:
    async def target(stage: Stage, role: Role) -> str:
        return await (written_by(stage, role) if action is Action.DELETE_OWN else stage.message(stage.host))

    async def socket(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "delete", message=await target(stage, role))

    async def rpc(stage: Stage, role: Role) -> str:
        message = await target(stage, role)
        request = calls.DeleteMessageRequest(caller=stage.caller(role), channel=stage.room, message=message)
        return await called(stage.rpc.DeleteMessage(request, timeout=5))

    await judge(stage, action, socket, rpc)


@pytest.mark.usefixtures("door")
async def test_reacting_and_pinning_of_ones_own_and_others(stage: Stage) -> None:
    async def react(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "react", message=await stage.message(stage.host), emoji="+1")

    async def react_to_own(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "react", message=await written_by(stage, role), emoji="+1")

    async def pin(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "pin", message=await stage.message(stage.host))

    async def pin_own(stage: Stage, role: Role) -> str:
        return await framed(stage, role, "pin", message=await written_by(stage, role))

    await judge(stage, Action.REACT, react, react_to_own)
    await judge(stage, Action.PIN, pin, pin_own)


@pytest.mark.usefixtures("door")
async def test_changing_the_channel_and_skipping_its_slow_mode(stage: Stage) -> None:
    async def http(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "PATCH", "", {"topic": stage.key()})

    async def rpc(stage: Stage, role: Role) -> str:
        request = calls.UpdateChannelRequest(caller=stage.caller(role), channel=stage.room, topic=stage.key())
        return await called(stage.rpc.UpdateChannel(request, timeout=5))

    await judge(stage, Action.CHANGE, http, rpc)
    if stage.kind is ChannelKind.DIRECT:
        return
    await stage.host.ok("PATCH", stage.path, {"slow_mode_seconds": 60})
    for role in (role for role in stage.people if allows(Action.POST, stage.kind, role)):
        reasons = {await framed(stage, role, "send", key=stage.key(), text="quick") for _ in range(2)}
        unhurried = allows(Action.SKIP_SLOW_MODE, stage.kind, role)
        assert reasons == ({""} if unhurried else {"", "SLOW_MODE"}), (stage.kind, role)


async def test_adding_people(stage: Stage) -> None:
    async def http(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "POST", "/members", {"users": [await stage.outsider()], "role": "reader"})

    async def rpc(stage: Stage, role: Role) -> str:
        users = [await stage.outsider()]
        request = calls.AddMembersRequest(caller=stage.caller(role), channel=stage.room, users=users, role=events_pb2.ROLE_READER)
        return await called(stage.rpc.AddMembers(request, timeout=5))

    await judge(stage, Action.ADD, http, rpc)


async def test_roles_removals_and_bans(stage: Stage) -> None:
    if stage.kind is ChannelKind.DIRECT:
        for method, path, body in (
            ("PATCH", "/members/host", {"role": "reader"}),
            ("DELETE", "/members/host", None),
            ("PUT", "/bans/host", {"reason": "mine"}),
            ("PUT", "/silences/host", {"seconds": 60, "reason": "mine"}),
            ("DELETE", "/members/the-member", None),
        ):
            assert await over_http(stage, Role.MEMBER, method, path, body) == "NOT_ALLOWED"
        return

    async def change_role(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "PATCH", f"/members/{await stage.member()}", {"role": "member"})

    async def remove(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "DELETE", f"/members/{await stage.member()}")

    async def ban(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "PUT", f"/bans/{await stage.member()}", {"reason": "loud"})

    async def unban(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "DELETE", f"/bans/{await stage.outsider()}")

    async def remove_rpc(stage: Stage, role: Role) -> str:
        request = calls.RemoveMemberRequest(caller=stage.caller(role), channel=stage.room, user=await stage.member())
        return await called(stage.rpc.RemoveMember(request, timeout=5))

    async def silence(stage: Stage, role: Role) -> str:
        path = f"/silences/{await stage.member()}"
        granted = await over_http(stage, role, "PUT", path, {"seconds": 60, "reason": "loud"})
        assert await over_http(stage, role, "DELETE", path) == granted
        return granted

    await judge(stage, Action.SILENCE, silence)
    await judge(stage, Action.SET_ROLE, change_role)
    await judge(stage, Action.REMOVE, remove, ban, unban, remove_rpc)


async def test_no_role_may_act_on_a_higher_role_or_grant_one(stage: Stage) -> None:
    for role, above in itertools.product(stage.people, stage.people):
        if above.rank > role.rank and allows(Action.SET_ROLE, stage.kind, role):
            subject = await stage.member(above)
            assert await over_http(stage, role, "PATCH", f"/members/{subject}", {"role": "reader"}) == "NOT_ALLOWED"
            assert await over_http(stage, role, "DELETE", f"/members/{subject}") == "NOT_ALLOWED"
            lower = await stage.member()
            assert await over_http(stage, role, "PATCH", f"/members/{lower}", {"role": above}) == "NOT_ALLOWED"


READS = ["", "/messages", "/events", "/members"]


@pytest.mark.usefixtures("door")
async def test_reading_and_leaving(stage: Stage) -> None:
    message = await stage.message(stage.host)
    for role, api in stage.people.items():
        for path in READS:
            assert await over_http(stage, role, "GET", path) == ""
        found = await api.ok("GET", f"/v1/search?q=words&channel={stage.room}")
        assert message in {each["id"] for each in found["items"]}
        synced = await stage.sockets[role].open(**{stage.room: 0})
        assert synced["channels"][stage.room]["status"] == "complete"
        await stage.sockets[role].expect("event", kind="message.posted")
        if stage.kind is not ChannelKind.DIRECT:
            assert await over_http(stage, role, "DELETE", f"/members/{api.user}") == ""
            reason = "NOT_A_MEMBER" if stage.kind is ChannelKind.PUBLIC else "NOT_FOUND"
            assert {await over_http(stage, role, "GET", path) for path in READS[1:]} == {reason}
            assert (await api.ok("GET", "/v1/search?q=words"))["items"] == []
            await stage.sockets[role].expect("left", channel=stage.room)
            assert await framed(stage, role, "send", key=stage.key(), text="still here?") == reason


async def test_an_administrator_of_the_tenant_has_no_rights_in_its_channels(stage: Stage) -> None:
    admin = await stage.world.person("admin", roles=["admin"])
    outside = "NOT_A_MEMBER" if stage.kind is ChannelKind.PUBLIC else "NOT_FOUND"
    for path in READS[1:]:
        await admin.refused("GET", stage.path + path, reason=outside)
    await admin.refused("POST", f"{stage.path}/messages", {"text": "I am the law"}, reason=outside)
    await admin.refused("PUT", f"{stage.path}/bans/host", {"reason": "x"}, reason=outside)
    assert (await admin.ok("GET", "/v1/search?q=words"))["items"] == []
    for role, api in stage.people.items():
        await api.refused("POST", "/v1/admin/users/host/revoke", reason="NOT_ALLOWED")
        request = calls.BlockUserRequest(caller=stage.caller(role), user="host", blocked=True)
        assert await called(stage.rpc.BlockUser(request, timeout=5)) == "NOT_ALLOWED"


async def test_reporting_and_handling_reports(stage: Stage) -> None:
    message = await stage.message(stage.host)

    async def report(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "POST", f"/messages/{message}/reports", {"reason": "rude"})

    async def look(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "GET", "/reports")

    async def look_rpc(stage: Stage, role: Role) -> str:
        request = calls.ListReportsRequest(caller=stage.caller(role), channel=stage.room)
        return await called(stage.rpc.ListReports(request, timeout=5))

    await judge(stage, Action.REPORT, report)
    await judge(stage, Action.HANDLE_REPORTS, look, look_rpc)


async def test_managing_incoming_webhooks(stage: Stage) -> None:
    async def create_and_remove(stage: Stage, role: Role) -> str:
        made = await stage.people[role].call("POST", f"{stage.path}/hooks", {"name": "builds"})
        if made.reason:
            return made.reason
        rotated = await over_http(stage, role, "POST", f"/hooks/{made.body['id']}/rotate")
        return rotated or await over_http(stage, role, "DELETE", f"/hooks/{made.body['id']}")

    async def look(stage: Stage, role: Role) -> str:
        return await over_http(stage, role, "GET", "/hooks")

    async def look_rpc(stage: Stage, role: Role) -> str:
        request = calls.ListHooksRequest(caller=stage.caller(role), channel=stage.room)
        return await called(stage.rpc.ListHooks(request, timeout=5))

    await judge(stage, Action.MANAGE_HOOKS, create_and_remove, look, look_rpc)
