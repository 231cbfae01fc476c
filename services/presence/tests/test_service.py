"""The service over gRPC: gateways attach, watch, fail and return; instances share one store."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

import grpc
import pytest
import redis.asyncio

from chassis.rpc_errors import from_call
from hubbub.presence.v1 import presence_pb2
from hubbub.presence.v1 import presence_service_pb2 as messages
from presence import attachment
from presence.leases import Timing, User
from services.presence.tests.conftest import Gateway, Instance, instance, user

if TYPE_CHECKING:
    Start = Callable[[], contextlib.AbstractAsyncContextManager[Instance]]

QUICK = Timing(lease_milliseconds=700, grace_milliseconds=500)


@pytest.fixture
def start(valkey_url: str) -> Start:
    """Return a function that starts another instance."""
    return lambda: instance(valkey_url, QUICK)


@pytest.fixture
async def one(start: Start) -> AsyncIterator[Instance]:
    async with start() as started:
        yield started


async def test_a_watched_user_is_sent_at_once_and_after_each_change(one: Instance) -> None:
    gateway = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada", "bob"])
    assert sorted(await gateway.until("bob", "offline")) == [("ada", "online"), ("bob", "offline")]
    await gateway.change("bob", "c2", "away")
    assert await gateway.until("bob", "away") == [("bob", "away")]
    await gateway.change("bob", "c2", "")
    assert await gateway.until("bob", "offline") == [("bob", "offline")]


async def test_instances_see_each_others_users(one: Instance, start: Start) -> None:
    async with start() as two:
        watching = await Gateway.attach(two, "w", {}, watch=["ada"])
        await watching.until("ada", "offline")
        gateway = await Gateway.attach(one, "g", {"c1": ("ada", "dnd")})
        await watching.until("ada", "dnd")
        gateway.call.cancel()
        await watching.until("ada", "offline")


async def test_moving_to_another_instance_changes_no_presence(one: Instance, start: Start) -> None:
    watching = await Gateway.attach(one, "w", {}, watch=["ada", "bob"])
    await watching.until("bob", "offline")
    async with start() as two:
        gateway = await Gateway.attach(two, "g", {"c1": ("ada", "online"), "c2": ("bob", "online")})
        await watching.until("bob", "online")
        two.stopping.set()
        assert await gateway.end() is grpc.StatusCode.UNAVAILABLE
    again = await Gateway.attach(one, "g", {"c1": ("ada", "online")})
    await watching.until("bob", "offline")
    await again.change("ada", "c1", "away")
    await watching.until("ada", "away")
    assert [status for who, status in watching.seen if who == "ada"] == ["offline", "online", "away"]


async def test_after_a_wipe_gateways_must_attach_again(one: Instance, client: redis.asyncio.Redis) -> None:
    gateway = await Gateway.attach(one, "g", {"c1": ("ada", "online")})
    await gateway.watch("ada")
    await gateway.until("ada", "online")
    await client.flushall()
    assert await gateway.end() is grpc.StatusCode.UNAVAILABLE
    again = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    await again.until("ada", "online")


async def test_changes_missed_during_a_lost_subscription_are_sent(one: Instance, client: redis.asyncio.Redis) -> None:
    gateway = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    await gateway.until("ada", "online")
    for status in ("away", "dnd", "online", "away"):
        await client.client_kill_filter(_type="pubsub")
        await gateway.change("ada", "c1", status)
        await gateway.until("ada", status)


async def test_a_replaced_attachment_ends(one: Instance) -> None:
    former = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    await former.until("ada", "online")
    present = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    assert await former.end() is grpc.StatusCode.UNAVAILABLE
    assert present.seen == []
    await present.until("ada", "online")


async def test_an_attachment_closed_by_the_gateway_ends_with_ok_and_drops_its_watches(one: Instance) -> None:
    gateway = await Gateway.attach(one, "g", {}, watch=["ada"])
    await gateway.until("ada", "offline")
    await gateway.call.done_writing()
    assert await gateway.end() is grpc.StatusCode.OK
    assert not one.watch.watches(User("acme/ada"))


async def test_watches_beyond_the_bound_are_ignored_and_the_attachment_goes_on(
    one: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment, "MAX_WATCHED", 2)
    gateway = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    await gateway.until("ada", "online")
    await gateway.watch("bob", "cat", "ada", "dan")
    await gateway.until("bob", "offline")
    await gateway.change("ada", "c1", "away")
    await gateway.until("ada", "away")
    assert {who for who, _ in gateway.seen} == {"ada", "bob"}
    assert [one.watch.watches(User(f"acme/{name}")) for name in ("ada", "bob", "cat", "dan")] == [True, True, False, False]


async def test_unwatched_users_are_not_sent(one: Instance) -> None:
    gateway = await Gateway.attach(one, "g", {}, watch=["ada", "bob"])
    await gateway.until("bob", "offline")
    await gateway.call.write(messages.AttachRequest(unwatch=[user("ada")]))
    await gateway.change("ada", "c1", "online")
    await gateway.change("bob", "c2", "online")
    assert await gateway.until("bob", "online") == [("bob", "online")]


async def test_tenants_are_separate(one: Instance) -> None:
    gateway = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    await gateway.until("ada", "online")
    asked = [user("ada"), user("ada", tenant="other")]
    answer = await one.stub.GetPresence(messages.GetPresenceRequest(users=asked))
    assert [(presence.user.tenant, presence.status) for presence in answer.presences] == [
        ("acme", presence_pb2.STATUS_ONLINE),
        ("other", presence_pb2.STATUS_OFFLINE),
    ]


async def test_last_seen_is_set_for_offline_users_only(one: Instance) -> None:
    gateway = await Gateway.attach(one, "g", {"c1": ("ada", "online")}, watch=["ada"])
    await gateway.until("ada", "online")
    (there,) = (await one.stub.GetPresence(messages.GetPresenceRequest(users=[user("ada")]))).presences
    assert not there.HasField("last_seen")
    await gateway.change("ada", "c1", "")
    await gateway.until("ada", "offline")
    (gone,) = (await one.stub.GetPresence(messages.GetPresenceRequest(users=[user("ada")]))).presences
    assert gone.last_seen.seconds > 1_700_000_000


@pytest.mark.parametrize(
    "request_",
    [
        messages.AttachRequest(),
        messages.AttachRequest(lease=messages.Lease(gateway="g" * 200)),
        messages.AttachRequest(
            lease=messages.Lease(gateway="g"),
            changes=[messages.ConnectionChange(user=user("ada"), connection="c", status=presence_pb2.Status.ValueType(99))],
        ),
        messages.AttachRequest(
            lease=messages.Lease(gateway="g"),
            changes=[messages.ConnectionChange(user=user("ada"), connection="c", status=presence_pb2.STATUS_OFFLINE)],
        ),
        messages.AttachRequest(
            lease=messages.Lease(gateway="g"), changes=[messages.ConnectionChange(user=user(""), connection="c")]
        ),
        messages.AttachRequest(lease=messages.Lease(gateway="g"), watch=[user("ada", tenant="a/b")]),
    ],
)
async def test_an_invalid_message_ends_the_attachment_with_its_reason(one: Instance, request_: messages.AttachRequest) -> None:
    call = one.stub.Attach()
    await call.write(request_)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call.read()
    assert from_call(raised.value).reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize("asked", [[user("ada")] * 1_001, [presence_pb2.UserRef(tenant="acme")]])
async def test_an_invalid_request_is_refused(one: Instance, asked: list[presence_pb2.UserRef]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await one.stub.GetPresence(messages.GetPresenceRequest(users=asked))
    assert from_call(raised.value).reason == "INVALID_ARGUMENT"


async def test_many_connections_can_be_reported_at_once(one: Instance) -> None:
    names = [f"user-{number}" for number in range(3_000)]
    gateway = await Gateway.attach(one, "g", {f"c-{name}": (name, "online") for name in names})
    await gateway.watch(*names)
    seen: set[tuple[str, int]] = set()
    async with asyncio.timeout(15):
        while len(seen) < len(names):
            answer = await gateway.call.read()
            assert isinstance(answer, messages.AttachResponse)
            seen |= {(presence.user.user, presence.status) for presence in answer.presences}
    assert seen == {(name, presence_pb2.STATUS_ONLINE) for name in names}
