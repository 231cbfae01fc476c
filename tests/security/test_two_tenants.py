"""Two tenants whose people have the same ids: whatever one asks about the other's is answered as if it were not there."""

import uuid
from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from gateway.http.routes import TABLE
from hubbub.events.v1.events_pb2 import PostMessage
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as calls
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from tests.client import Api
from tests.flow.world import World, live

UNKNOWN = {name: str(uuid.uuid4()) for name in ("channel", "message", "upload", "report")}
BODIES: Mapping[tuple[str, str], object] = {
    ("PATCH", "/v1/channels/{channel}"): {"name": "mine now"},
    ("POST", "/v1/channels/{channel}/members"): {"users": ["bob"]},
    ("PATCH", "/v1/channels/{channel}/members/{user:path}"): {"role": "owner"},
    ("PUT", "/v1/channels/{channel}/mute"): {"muted": True},
    ("PUT", "/v1/channels/{channel}/bans/{user:path}"): {"reason": "x"},
    ("PUT", "/v1/channels/{channel}/silences/{user:path}"): {"reason": "x", "seconds": 9},
    ("POST", "/v1/channels/{channel}/messages"): {"text": "hello, neighbours"},
    ("POST", "/v1/channels/{channel}/messages/{message}/reports"): {"reason": "x"},
    ("POST", "/v1/channels/{channel}/reports/{report}/resolve"): {"resolution": "acted"},
}
DOORS = [(method, path) for path, handlers in TABLE for method in handlers if any(f"{{{name}}}" in path for name in UNKNOWN)]


async def furnished(world: World) -> tuple[Api, Api, dict[str, str]]:
    """Ann and bob of the first tenant with one of everything, in a channel that the whole tenant sees."""
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob, kind="public")
    message = (await bob.post(room, "our secret", "the-key"))["message"]
    report = (await bob.ok("POST", f"/v1/channels/{room}/messages/{message}/reports", {"reason": "x"}, status=201))["id"]
    announced = {"name": "a.txt", "size": 3, "type": "text/plain", "channel": room}
    upload = (await ann.ok("POST", "/v1/uploads", announced, status=201))["id"]
    return ann, bob, {"channel": room, "message": message, "report": report, "upload": upload}


async def neighbour(world: World, user: str = "ann") -> Api:
    """Somebody of the second tenant, with all the power that there is in it."""
    return await world.person(user, tenant=f"{world.tenant}-2", roles=["admin"])


def at(path: str, ids: Mapping[str, str]) -> str:
    return path.replace(":path", "").format(user="bob", **ids)


async def test_every_path_answers_for_the_others_ids_what_it_answers_for_unknown_ones(world: World) -> None:
    ann, _, ids = await furnished(world)
    eve = await neighbour(world)
    await neighbour(world, "bob")
    before = await ann.log(ids["channel"])
    assert len(DOORS) > 20
    for method, path in DOORS:
        body = BODIES.get((method, path))
        answers = [await eve.call(method, at(path, known), body) for known in (ids, UNKNOWN)]
        assert [answer.status for answer in answers] == [404, 404], (method, path)
        assert answers[0].body == answers[1].body, (method, path)
    for query in ("", f"&channel={ids['channel']}"):
        answer = await eve.call("GET", f"/v1/search?q=secret{query}")
        assert answer.reason == "NOT_FOUND" if query else answer.body == {"items": []}
    own = {"name": "a.txt", "size": 3, "type": "text/plain", "channel": ids["channel"]}
    await eve.refused("POST", "/v1/uploads", own, reason="NOT_FOUND")
    assert (await eve.ok("GET", "/v1/channels"))["items"] == (await eve.ok("GET", "/v1/channels?joinable=1"))["items"] == []
    assert await ann.log(ids["channel"]) == before


async def test_every_frame_answers_for_the_others_ids_as_for_unknown_ones(world: World) -> None:
    ann, _, ids = await furnished(world)
    eve = await neighbour(world)
    own = await eve.create("group", name="eve's")
    before = await ann.log(ids["channel"])
    frames: list[tuple[str, dict[str, Any]]] = [
        ("send", {"key": "the-key", "text": "our secret"}),
        ("edit", {"text": "changed"}),
        ("delete", {}),
        ("react", {"emoji": "+1"}),
        ("pin", {}),
    ]
    async with live(eve) as socket:
        for type_, fields in frames:
            for room in (ids["channel"], own):  # the other's message in a channel of one's own is not there either
                if type_ == "send" and room == own:
                    fields = {**fields, "thread": ids["message"]}  # noqa: PLW2901 - the variation
                target = {} if type_ == "send" else {"message": ids["message"]}
                answer = await socket.request(type_, channel=room, **target, **fields)
                assert (answer["type"], answer.get("reason")) == ("error", "NOT_FOUND"), (type_, room)
        attached = await socket.request("send", channel=own, key="k", text="x", attachments=[ids["upload"]])
        assert attached["reason"] == "NOT_FOUND"
        synced = await socket.open(**{ids["channel"]: 0})
        assert synced["channels"] == {ids["channel"]: {"status": "gone"}}
        async with live(ann) as theirs:
            await socket.send("read", channel=ids["channel"], seq=1)
            await socket.send("typing", channel=ids["channel"])
            await socket.send("watch", users=["bob"])
            await ann.post(ids["channel"], "among us")
            await theirs.expect("event", kind="message.posted")
            await socket.round_trip()
            assert not theirs.received("typing")
            assert not theirs.received("receipt")
        assert not socket.received("event", channel=ids["channel"])
    assert len(await ann.log(ids["channel"])) == len(before) + 1


async def test_deeds_of_an_administrator_reach_the_namesake_in_their_own_tenant_alone(world: World) -> None:
    _, bob, _ = await furnished(world)
    eve, other_bob = await neighbour(world), await neighbour(world, "bob")
    async with live(bob) as socket, live(other_bob) as theirs:
        await eve.ok("PUT", "/v1/me/blocks/bob", status=204)
        await eve.ok("PUT", "/v1/admin/users/bob/block", status=204)
        assert await theirs.closed() == 4501
        await eve.ok("POST", "/v1/admin/users/bob/revoke", status=204)
        await socket.round_trip()
    await bob.ok("GET", "/v1/me")
    await other_bob.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    assert {each["subject"] for each in (await eve.ok("GET", "/v1/admin/audit"))["items"]} == {"bob"}
    admin = await world.person("root", roles=["admin"])
    assert (await admin.ok("GET", "/v1/admin/audit"))["items"] == []


RPCS = [method for method in calls.DESCRIPTOR.services_by_name["MessagesService"].methods if not method.server_streaming]
ABOUT_A_CHANNEL = [
    method.name
    for method in RPCS
    if {"caller", "channel"} <= {field.name for field in method.input_type.fields} and method.name != "SearchMessages"
]


@pytest.mark.parametrize("name", ABOUT_A_CHANNEL)
async def test_every_rpc_answers_for_the_others_ids_as_for_unknown_ones(world: World, name: str) -> None:
    ann, _, ids = await furnished(world)
    await neighbour(world)
    before = await ann.log(ids["channel"])
    caller = nouns.Caller(tenant=f"{world.tenant}-2", user="ann", admin=True)
    shape = getattr(calls, f"{name}Request")
    fields = shape.DESCRIPTOR.fields_by_name
    filled: dict[str, Any] = {"caller": caller, "user": "bob", "users": ["bob"], "role": "member", "text": "x", "reason": "x"}
    filled |= {"seconds": 9, "resolution": "acted", "key": "the-key"}
    told = []
    async with grpc.aio.insecure_channel(str(world.stack.endpoints["services"]["messages"])) as channel:  # type: ignore[index]
        for known in (ids, UNKNOWN):
            given = {**filled, **known, "message": PostMessage(text="x") if name == "PostMessage" else known["message"]}
            asked = shape(**{field: value for field, value in given.items() if field in fields})
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await getattr(MessagesServiceStub(channel), name)(asked, timeout=5)
            told.append((refusal.value.code(), refusal.value.details()))
    assert told[0] == told[1]
    assert told[0][0] is grpc.StatusCode.NOT_FOUND
    assert await ann.log(ids["channel"]) == before
