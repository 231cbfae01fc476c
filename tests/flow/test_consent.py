"""What a user does to another: blocks at every door, invitations, and channels whose earlier messages newcomers may not see."""

import json
import uuid

import grpc
import pytest

from chassis.identity import GATEWAY
from hubbub.events.v1.events_pb2 import Attachment, PostMessage
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from tests.client import connect, shapes
from tests.flow.world import World, eventually, live


async def test_a_block_holds_wherever_one_acts_on_the_other(world: World) -> None:
    ann, eve, bob = await world.people("ann", "eve", "bob")
    direct = await world.room(ann, eve, kind="direct")
    shared = await world.room(bob, ann, eve)
    async with live(ann) as seeing, live(eve) as acting, live(bob) as witness:
        await acting.send("watch", users=["ann"])
        await acting.expect("presence", user="ann", status="online")
        await ann.ok("PUT", "/v1/me/blocks/eve", status=204)
        await acting.expect("presence", user="ann", status="offline")
        for channel in (direct, shared):
            await acting.send("typing", channel=channel)
        await witness.expect("typing", channel=shared, user="eve")
        await seeing.round_trip()
        assert seeing.received("typing") == []
        posted = await eve.post(shared, "@ann @bob", mentions=["ann", "bob"])
        event = await seeing.expect("event", channel=shared, seq=posted["seq"])
        assert event["data"]["mentions"] == ["bob"]
        await eve.refused("POST", f"/v1/channels/{direct}/messages", {"text": "x"}, reason="NOT_ALLOWED")
        await eve.refused("POST", "/v1/channels", {"kind": "group", "name": "hi", "members": ["ann"]}, reason="NOT_ALLOWED")
        mine = await eve.create("group", name="mine", members=["bob"])
        await eve.refused("POST", f"/v1/channels/{mine}/members", {"users": ["ann"]}, reason="NOT_ALLOWED")
        await ann.ok("DELETE", "/v1/me/blocks/eve", status=204)
        await acting.expect("presence", user="ann", status="online")
    await ann.ok("PUT", "/v1/me/blocks/eve", status=204)
    async with live(world.elsewhere(eve)) as again, live(ann):
        await again.send("watch", users=["ann", "bob"])
        await again.expect("presence", user="ann", status="offline")


async def test_who_left_sees_an_invitation_and_decides(world: World) -> None:
    ann, eve = await world.people("ann", "eve")
    room = await world.room(eve, ann)
    await ann.ok("DELETE", f"/v1/channels/{room}/members/ann", status=204)
    added = await eve.ok("POST", f"/v1/channels/{room}/members", {"users": ["ann"]})
    assert added == {"items": [], "invited": ["ann"]}
    assert await ann.channels() == []
    (invitation,) = (await ann.ok("GET", "/v1/me/invitations"))["items"]
    assert {**invitation, "at": ""} == {
        "channel": room, "kind": "group", "name": "a room", "inviter": "eve", "role": "member", "at": "",
    }  # fmt: skip
    async with live(ann) as socket:
        await ann.ok("POST", f"/v1/channels/{room}/accept", shape=shapes.channel_details)
        await socket.expect("joined")
    await ann.ok("DELETE", f"/v1/channels/{room}/members/ann", status=204)
    await eve.ok("POST", f"/v1/channels/{room}/members", {"users": ["ann"]})
    await ann.ok("POST", f"/v1/channels/{room}/decline", status=204)
    await eve.refused("POST", f"/v1/channels/{room}/members", {"users": ["ann"]}, reason="NOT_ALLOWED")


async def test_an_invitation_reaches_the_users_open_sockets_at_every_gateway_once(world: World) -> None:
    ann, eve = await world.people("ann", "eve")
    room = await world.room(eve, ann)
    await ann.ok("DELETE", f"/v1/channels/{room}/members/ann", status=204)
    async with live(ann) as here, live(world.elsewhere(ann)) as there, live(eve) as inviter:
        for _ in range(2):
            await eve.ok("POST", f"/v1/channels/{room}/members", {"users": ["ann"]})
        (listed,) = (await ann.ok("GET", "/v1/me/invitations"))["items"]
        for socket in (here, there):
            assert (await socket.expect("invited"))["invitation"] == listed
        await ann.ok("POST", f"/v1/channels/{room}/accept")
        for socket in (here, there):
            await socket.expect("joined")
            assert len(socket.received("invited")) == 1
        assert inviter.received("invited") == []


async def test_newcomers_see_nothing_of_earlier_messages_live_and_resumed(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, history="joined")
    posted = await ann.post(room, "SECRET: hunter2")
    async with connect(ann) as writer, live(bob) as reader:
        await writer.open()
        await ann.ok("POST", f"/v1/channels/{room}/members", {"users": ["bob"]})
        await reader.expect("joined")
        message = {"channel": room, "message": posted["message"]}
        await writer.request("edit", **message, text="SECRET: hunter2 (typo fixed)")
        await writer.request("react", **message, emoji="🎂")
        reply = await writer.request("send", channel=room, key="k", text="reply", thread=posted["message"])
        await reader.expect("event", seq=reply["seq"])
        lived = [frame for frame in reader.received("event") if frame["channel"] == room]
        own = [frame["data"] for frame in writer.received("event") if frame["kind"] == "message.edited"]
    assert own == [{"message": posted["message"], "text": "SECRET: hunter2 (typo fixed)"}]
    async with connect(world.elsewhere(bob)) as reader:
        await reader.open(**{room: 0})
        await reader.expect("event", seq=reply["seq"])
        resumed = [frame for frame in reader.received("event") if frame["channel"] == room]
    logged = await bob.log(room)
    for seen in (lived, resumed, logged):
        assert "SECRET" not in json.dumps(seen)
        assert "🎂" not in json.dumps(seen, ensure_ascii=False)
        edit, reaction, answer = seen[-3:]
        assert (edit["data"]["text"], reaction["data"]["emoji"]) == (None, "")
        assert (answer["data"]["text"], answer["data"]["thread"]) == ("reply", None)
    (shown,) = await bob.messages(room)
    assert (shown["text"], shown["thread"]) == ("reply", None)


async def test_the_channel_list_is_read_in_pages(world: World) -> None:
    ann = await world.person("ann")
    rooms = {await world.room(ann) for _ in range(5)}
    seen: list[str] = []
    path = "/v1/channels?limit=2"
    while path:
        page = await ann.ok("GET", path, shape=shapes.items(shapes.channel))
        assert len(page["items"]) <= 2
        seen += [each["id"] for each in page["items"]]
        path = f"/v1/channels?limit=2&cursor={page['next']}" if "next" in page else ""
    assert set(seen) == rooms
    assert len(seen) == len(rooms)


async def test_reports_about_the_owner_reach_the_administrators(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    root = await world.person("root", roles=["admin"])
    room = await world.room(ann, bob)
    message = (await ann.post(room, "abuse"))["message"]
    report = (await bob.ok("POST", f"/v1/channels/{room}/messages/{message}/reports", {"reason": "abuse"}, 201))["id"]
    assert (await ann.ok("GET", f"/v1/channels/{room}/reports"))["items"] == []
    await ann.refused("GET", "/v1/admin/reports", reason="NOT_ALLOWED")
    done = {"resolution": "dismissed"}
    await ann.refused("POST", f"/v1/channels/{room}/reports/{report}/resolve", done, reason="NOT_FOUND")
    (shown,) = (await root.ok("GET", "/v1/admin/reports"))["items"]
    assert (shown["id"], shown["channel"], shown["reporter"]) == (report, room, "bob")
    await root.ok("POST", f"/v1/admin/reports/{report}/resolve", done, 204)
    assert (await root.ok("GET", "/v1/admin/reports"))["items"] == []


async def test_hostile_words_and_ids_are_answered_with_400(world: World) -> None:
    ann = await world.person("ann")
    await ann.refused("GET", "/v1/users?cursor=WyJcdTAwMDAiLCJ4Il0", reason="INVALID_ARGUMENT")
    assert (await ann.call("GET", f"/v1/search?q={'-' * 50}")).status == 200
    for user in ("ann ", "..", "a\u200bnn", "a\nb"):
        answer = await world.anonymous().call("POST", "/v1/dev/login", {"user": user, "tenant": world.tenant})
        assert answer.status == 400, user
    named = await world.person("bob", name="B\u200bob\u202e")
    assert (await eventually(lambda: named.ok("GET", "/v1/me")))["name"] == "Bob"


async def test_a_post_over_grpc_carries_what_media_knows_of_the_uploads(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    announced = {"name": "a.txt", "size": 3, "type": "text/plain", "channel": room}
    pending = (await bob.ok("POST", "/v1/uploads", announced, 201))["id"]
    caller = nouns.Caller(tenant=world.tenant, user="ann")
    async with world.stack.channel("messages", GATEWAY) as channel:
        stub = MessagesServiceStub(channel)

        async def post(*uploads: str) -> str:
            lies = [Attachment(id=each, name="invoice.pdf", size=1, type="image/png") for each in uploads]
            message = PostMessage(text="x", attachments=lies)
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await stub.PostMessage(rpc.PostMessageRequest(caller=caller, channel=room, message=message), timeout=5)
            return refusal.value.code().name

        assert await post(pending) == "NOT_FOUND"  # of another user
        assert await post(str(uuid.uuid4())) == "NOT_FOUND"
        mine = (await ann.ok("POST", "/v1/uploads", announced, 201))["id"]
        assert await post(mine) == "FAILED_PRECONDITION"  # not clean
        assert await post(mine, mine) == "INVALID_ARGUMENT"
    assert await ann.messages(room) == []
