"""When a revocation returns, it holds everywhere, even if a gateway hangs or has died, or the bus has lost its data."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Iterator

import grpc
import httpx
import pytest
import redis.asyncio

from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as calls
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from stack import Stack
from tests.client import Answer, Api, Refusal, Socket, connect
from tests.flow.world import World, eventually, live, refusal

REVOKED = 4501
WAYS = ["revoke", "block", "RevokeUser", "BlockUser"]
"""Over HTTP, and over gRPC as another product calls."""
PROMISED_SECONDS = 2.0
SLACK_SECONDS = 1.0
"""Allowance for a busy machine."""


@contextlib.asynccontextmanager
async def messages_of(world: World) -> AsyncIterator[MessagesServiceStub]:
    """The messages service over gRPC."""
    async with world.stack.channel("messages") as channel:
        yield MessagesServiceStub(channel)


def of(api: Api, world: World) -> nouns.Caller:
    """The same user as a caller over gRPC, with administrator rights."""
    return nouns.Caller(tenant=world.tenant, user=api.user, admin=True)


async def shut_out(world: World, admin: Api, way: str) -> float:
    """Revoke or block eve; returns the duration of the call in seconds."""
    began = time.monotonic()
    match way:
        case "revoke":
            await admin.ok("POST", "/v1/admin/users/eve/revoke", status=204)
        case "block":
            await admin.ok("PUT", "/v1/admin/users/eve/block", status=204)
        case "RevokeUser":
            async with messages_of(world) as messages:
                await messages.RevokeUser(calls.RevokeUserRequest(caller=of(admin, world), user="eve"), timeout=5)
        case "BlockUser":
            request = calls.BlockUserRequest(caller=of(admin, world), user="eve", blocked=True)
            async with messages_of(world) as messages:
                await messages.BlockUser(request, timeout=5)
    return time.monotonic() - began


async def remove(world: World, owner: Api, room: str, way: str) -> None:
    """Remove or ban eve."""
    async with messages_of(world) as messages:
        match way:
            case "remove":
                await owner.ok("DELETE", f"/v1/channels/{room}/members/eve", status=204)
            case "RemoveMember":
                request = calls.RemoveMemberRequest(caller=of(owner, world), channel=room, user="eve")
                await messages.RemoveMember(request, timeout=5)
            case "BanUser":
                await messages.BanUser(calls.BanUserRequest(caller=of(owner, world), channel=room, user="eve"), timeout=5)


@contextlib.contextmanager
def hanging(stack: Stack, name: str) -> Iterator[None]:
    """Pause a process during the block."""
    stack.kill(name, signal.SIGSTOP)
    try:
        yield
    finally:
        stack.kill(name, signal.SIGCONT)


@pytest.fixture
async def bus(product: Stack) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.from_url(str(product.endpoints["HUBBUB_BUS_URL"])) as client:
        yield client


@pytest.fixture
async def people(world: World) -> tuple[Api, Api, Api]:
    """An administrator at the first gateway; a victim and a friend at the second."""
    return (
        await world.person("root", 0, roles=["admin"]),
        await world.person("eve", 1),
        await world.person("bob", 1),
    )


async def out(api: Api) -> None:
    """Check that this token is refused over HTTP and by the upgrade."""
    await api.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    assert (await refusal(api)).status == 401


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("way", WAYS)
async def test_when_the_call_returns_sockets_are_closed_and_the_token_is_refused_everywhere(
    world: World, people: tuple[Api, Api, Api], way: str
) -> None:
    root, eve, _ = people
    async with live(eve) as here, live(world.elsewhere(eve)) as there:
        for api in (eve, world.elsewhere(eve)):
            await api.ok("GET", "/v1/me")  # the gateway caches it from here on
        ticket = await eve.ticket()
        assert await shut_out(world, root, way) < PROMISED_SECONDS
        for api in (eve, world.elsewhere(eve)):
            await out(api)
        assert [await here.closed(), await there.closed()] == [REVOKED, REVOKED]
    with pytest.raises(Refusal) as refused:
        async with connect(world.anonymous(1), query=f"?ticket={ticket}"):
            pass
    assert refused.value.status == 401


async def test_a_new_token_is_accepted_at_once_after_revocation_but_not_while_blocked(
    world: World, people: tuple[Api, Api, Api]
) -> None:
    root, eve, _ = people
    await shut_out(world, root, "revoke")
    again = await world.person("eve", 1)
    await again.ok("GET", "/v1/me")
    async with live(again):
        pass
    await shut_out(world, root, "block")
    await out(again)
    await root.ok("DELETE", "/v1/admin/users/eve/block", status=204)
    await again.ok("GET", "/v1/me")
    await eve.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")


@pytest.mark.usefixtures("door")
async def test_only_sockets_of_that_user_in_that_tenant_close(world: World, people: tuple[Api, Api, Api]) -> None:
    root, eve, bob = people
    namesake = await world.person("eve", 1, tenant=f"{world.tenant}-other")
    async with live(bob) as friend, live(namesake) as other:
        await shut_out(world, root, "block")
        for socket in (friend, other):
            await socket.round_trip()
        await namesake.ok("GET", "/v1/me")
    await eve.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")


@pytest.mark.parametrize("way", WAYS)
async def test_a_hanging_gateway_delays_nothing_and_sends_nothing_to_the_victim_when_it_wakes(
    world: World, people: tuple[Api, Api, Api], way: str
) -> None:
    root, eve, bob = people
    room = await world.room(bob, eve, root)
    async with live(eve) as victim, live(bob) as friend:
        await eve.ok("GET", "/v1/me")  # the hanging gateway has cached the token
        await victim.round_trip()
        seen = len(victim.frames)
        with hanging(world.stack, "gateway-1"):
            assert await shut_out(world, root, way) < PROMISED_SECONDS + SLACK_SECONDS
            await victim.send("ping", ref="waiting in the kernel")
            await victim.send("send", ref="late", channel=room, key="late", text="from beyond")
            asking = asyncio.create_task(eve.call("GET", "/v1/me"))
            await root.post(room, "not for eve")
        assert await victim.closed() == REVOKED
        assert victim.frames[seen:] == []
        assert (await asking).reason == "NOT_AUTHENTICATED"
        await friend.expect("event", channel=room, kind="message.posted")
    await out(eve)
    assert [message["text"] for message in await root.messages(room)] == ["not for eve"]


async def test_other_users_of_a_hanging_gateway_lose_nothing(world: World, people: tuple[Api, Api, Api]) -> None:
    root, eve, bob = people
    room = await world.room(bob, eve, root)
    async with live(bob) as friend:
        with hanging(world.stack, "gateway-1"):
            await shut_out(world, root, "block")
            numbers = [(await root.post(room, f"{number}"))["seq"] for number in range(20)]
        for seq in numbers:
            await friend.expect("event", channel=room, seq=seq)
        heard = [frame["seq"] for frame in friend.received("event", channel=room)]
        assert heard == sorted(set(heard))
        answer = await friend.post(room, "back", "here again")
        while answer["type"] == "error":  # it may answer UNAVAILABLE at first
            answer = await friend.post(room, "back", "here again")


async def test_a_dead_gateway_delays_nothing(world: World, people: tuple[Api, Api, Api]) -> None:
    root, eve, _ = people
    gone = world.stack.kill("gateway-1")
    assert await shut_out(world, root, "block") < PROMISED_SECONDS + SLACK_SECONDS
    await world.stack.started("gateway-1", after=gone)
    await world.stack.serving("gateway-1")
    await out(eve)


async def test_a_revocation_is_not_missed_when_the_bus_is_wiped(
    world: World, people: tuple[Api, Api, Api], bus: redis.asyncio.Redis
) -> None:
    root, eve, _ = people
    async with live(eve) as victim:
        await eve.ok("GET", "/v1/me")
        await bus.flushall()
        assert await shut_out(world, root, "block") < PROMISED_SECONDS + SLACK_SECONDS
        await out(eve)
        assert await victim.closed() == REVOKED


async def test_without_the_bus_a_revocation_is_stored_and_the_call_says_that_it_does_not_hold_yet(
    world: World, people: tuple[Api, Api, Api]
) -> None:
    root, eve, _ = people
    request = calls.BlockUserRequest(caller=of(root, world), user="eve", blocked=True)
    async with live(eve) as victim, messages_of(world) as messages:
        with hanging(world.stack, "valkey"):
            asked = root.call("PUT", "/v1/admin/users/eve/block"), messages.BlockUser(request, timeout=5)
            answer, refused = await asyncio.gather(*asked, return_exceptions=True)
            assert isinstance(answer, Answer)
            assert (answer.status, answer.reason) == (503, "UNAVAILABLE")
            assert isinstance(refused, grpc.aio.AioRpcError)
            assert (refused.code(), "not every gateway" in str(refused.details())) == (grpc.StatusCode.UNAVAILABLE, True)
            await eve.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
            await victim.send("ping", ref="not answered")
            assert await victim.closed() == REVOKED

        async def holds() -> bool:
            return (await root.call("PUT", "/v1/admin/users/eve/block")).status == 204

        await eventually(holds, within=20)
        await out(eve)


async def test_without_the_bus_other_users_still_get_answers(world: World, people: tuple[Api, Api, Api]) -> None:
    _, _, bob = people
    room = await world.room(bob)
    async with live(bob) as honest:
        with hanging(world.stack, "valkey"):
            await asyncio.sleep(2)  # the gateway's lease must have ended
            await honest.round_trip()
            refused = await honest.post(room, "k", "hello")
            assert (refused["type"], refused["reason"]) == ("error", "UNAVAILABLE")
        await settled(honest, room)


async def settled(socket: Socket, room: str) -> None:
    """Wait until a message can be stored again."""

    async def stored() -> bool:
        answer = await socket.post(room, "again", "hello again")
        return bool(answer["type"] == "ack")

    await eventually(stored, within=20)


async def test_a_removed_member_cannot_read_at_any_gateway(world: World, people: tuple[Api, Api, Api]) -> None:
    _, eve, bob = people
    room = await world.room(bob, eve)
    await bob.post(room, "a needle")
    for api in (eve, world.elsewhere(eve)):
        assert len(await api.messages(room)) == 1
    await bob.ok("DELETE", f"/v1/channels/{room}/members/eve", status=204)
    for api in (eve, world.elsewhere(eve)):
        for path in ("", "/messages", "/events", "/members"):
            await api.refused("GET", f"/v1/channels/{room}{path}", reason="NOT_FOUND")
        found = await api.ok("GET", "/v1/search?q=needle")
        assert found["items"] == []


@pytest.mark.parametrize("way", ["remove", "RemoveMember", "BanUser"])
async def test_a_member_removed_while_its_gateway_hangs_receives_nothing_above_the_removal(
    world: World, people: tuple[Api, Api, Api], way: str
) -> None:
    root, eve, bob = people
    room = await world.room(root, eve, bob)
    async with live(eve) as victim, live(bob) as friend, live(root) as owner:
        await victim.round_trip()
        with hanging(world.stack, "gateway-1"):
            await root.post(room, "before")
            await remove(world, root, room, way)
            secret = await root.post(room, "after")
            await owner.expect("event", channel=room, seq=secret["seq"])
            await owner.send("typing", channel=room)
            await owner.round_trip()
        await friend.expect("event", channel=room, seq=secret["seq"])
        await victim.expect("left", channel=room)
        await victim.round_trip()
        kinds = [(frame["seq"], frame["kind"]) for frame in victim.received("event", channel=room)]
        assert kinds == [(secret["seq"] - 2, "message.posted"), (secret["seq"] - 1, "member.removed")]
        assert victim.received("typing") == []


async def test_a_revocation_applies_to_sockets_that_open_during_it(world: World, people: tuple[Api, Api, Api]) -> None:
    root, eve, _ = people
    opened: list[int] = []

    async def keep_opening(api: Api, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                async with connect(api) as socket:
                    opened.append(await socket.closed(within=20))
            except (Refusal, httpx.HTTPError, OSError):
                opened.append(0)

    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(16):
            group.create_task(keep_opening(eve if number % 2 else world.elsewhere(eve), stop))
        await asyncio.sleep(0.1)
        await shut_out(world, root, "block")
        stop.set()
    assert set(opened) <= {0, REVOKED}
