"""Membership: joining, leaving, removal, and what a user outside the channel can see."""

import asyncio
import uuid
from typing import Any

import pytest

from tests.client import Api, Socket, connect, shapes
from tests.flow.world import World, live, texts


def members(answer: dict[str, Any]) -> dict[str, str]:
    return {item["user"]: item["role"] for item in answer["items"]}


async def removed_and_gone_on(owner: Api, room: str, user: str) -> tuple[int, int]:
    """Remove a member and post; returns the numbers of the removal and of the post."""
    await owner.ok("DELETE", f"/v1/channels/{room}/members/{user}", status=204)
    after = (await owner.post(room, "they are gone"))["seq"]
    return after - 1, after


async def nothing_above(socket: Socket, witness: Socket, room: str, removal: int) -> None:
    """Check that a connection received nothing above the removal, once a witness at the same gateway has received it."""
    await witness.expect("event", channel=room, seq=removal + 1)
    await socket.round_trip()
    assert max(event["seq"] for event in socket.received("event", channel=room)) == removal


async def test_a_new_channel_begins_with_its_creation_and_its_members(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    created, first, second = await bob.log(room)
    assert (created["kind"], created["actor"], created["data"]["name"]) == ("channel.created", "ann", "a room")
    assert (first["kind"], first["data"]) == ("member.joined", {"user": "ann", "role": "owner"})
    assert (second["kind"], second["data"]) == ("member.joined", {"user": "bob", "role": "member"})


async def test_added_members_receive_joined_on_every_connection(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann)
    async with live(ann) as owner, live(bob) as one, live(world.elsewhere(bob)) as two:
        body = {"users": ["bob"], "role": "moderator"}
        added = await ann.ok("POST", f"/v1/channels/{room}/members", body, shape=shapes.items(shapes.member))
        assert members(added) == {"bob": "moderator"}
        for socket in (one, two):
            channel = (await socket.expect("joined"))["channel"]
            assert (channel["id"], channel["role"]) == (room, "moderator")
        event = await owner.expect("event", kind="member.joined")
        assert event["data"] == {"user": "bob", "role": "moderator"}


async def test_adding_an_existing_member_has_no_effect(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    before = await ann.log(room)
    added = await ann.ok("POST", f"/v1/channels/{room}/members", {"users": ["bob"]})
    assert added["items"] == []
    assert await ann.log(room) == before


async def test_a_removed_member_receives_the_removal_then_left_and_nothing_above(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    room = await world.room(ann, bob, cat)
    witness = world.elsewhere(ann)
    async with live(bob) as out, live(witness) as beside:
        assert bob.url == witness.url
        removal, _ = await removed_and_gone_on(ann, room, "bob")
        event = await out.expect("event", kind="member.removed")
        assert (event["seq"], event["actor"], event["data"]["user"]) == (removal, "ann", "bob")
        assert (await out.expect("left"))["channel"] == room
        await nothing_above(out, beside, room, removal)
        order = [frame["type"] for frame in out.frames if frame["type"] in {"event", "left"}]
        assert order == ["event", "left"]


async def test_a_removed_member_has_no_access_by_any_interface_at_any_gateway(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    message = (await ann.post(room, "findable words"))["message"]
    await removed_and_gone_on(ann, room, "bob")
    for api in (bob, world.elsewhere(bob)):
        for path in ("", "/members", "/messages", "/events"):
            await api.refused("GET", f"/v1/channels/{room}{path}", reason="NOT_FOUND")
        await api.refused("POST", f"/v1/channels/{room}/messages", {"text": "let me in"}, reason="NOT_FOUND")
        assert (await api.ok("GET", "/v1/search?q=findable"))["items"] == []
        assert await api.channels() == []
        async with connect(api) as socket:
            assert socket.hello["channels"] == []
            assert (await socket.open(**{room: 0}))["channels"] == {room: {"status": "gone"}}
            assert (await socket.post(room, "k", "let me in"))["reason"] == "NOT_FOUND"
            error = await socket.request("react", channel=room, message=message, emoji="👍")
            assert error["reason"] == "NOT_FOUND"


async def test_a_leaving_member_receives_left_and_nothing_above(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as out, live(world.elsewhere(ann)) as beside:
        await bob.ok("DELETE", f"/v1/channels/{room}/members/bob", status=204)
        event = await out.expect("event", kind="member.left")
        await out.expect("left", channel=room)
        await ann.post(room, "bob left")
        await nothing_above(out, beside, room, event["seq"])


async def test_a_returning_member_starts_at_the_return_and_may_read_what_it_missed(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as socket:
        await removed_and_gone_on(ann, room, "bob")
        await socket.expect("left")
        await ann.ok("POST", f"/v1/channels/{room}/members", {"users": ["bob"]})
        joined = (await socket.expect("joined"))["channel"]
        posted = await ann.post(room, "welcome back")
        await socket.expect("event", seq=posted["seq"])
        above = [event["seq"] for event in socket.received("event", channel=room) if event["seq"] > joined["seq"]]
        assert above == list(range(joined["seq"] + 1, posted["seq"] + 1))
        assert texts(await bob.messages(room)) == ["they are gone", "welcome back"]


async def test_history_joined_shows_a_member_the_log_from_their_own_joining(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, history="joined")
    await ann.post(room, "before")
    await ann.ok("POST", f"/v1/channels/{room}/members", {"users": ["bob"]})
    head = (await ann.post(room, "after"))["seq"]
    assert texts(await bob.messages(room)) == ["after"]
    assert [entry["seq"] for entry in await bob.log(room)] == [head - 1, head]
    assert (await bob.ok("GET", "/v1/search?q=before"))["items"] == []
    async with connect(bob) as socket:
        synced = await socket.request("sync", positions={room: 0})
        assert synced["channels"][room] == {"status": "complete", "seq": head}
        await socket.expect("event", seq=head)
        assert [event["seq"] for event in socket.received("event")] == [head - 1, head]
    assert texts(await ann.messages(room)) == ["before", "after"]


async def test_history_all_shows_a_new_member_everything(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann)
    await ann.post(room, "before")
    await ann.ok("POST", f"/v1/channels/{room}/members", {"users": ["bob"]})
    assert texts(await bob.messages(room)) == ["before"]


async def test_the_same_two_people_always_get_the_same_direct_channel(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    made = await asyncio.gather(
        *(
            api.call("POST", "/v1/channels", {"kind": "direct", "members": [other.user]})
            for api, other in [(ann, bob), (bob, ann)] * 3
        )
    )
    assert len({answer.body["id"] for answer in made}) == 1
    assert sorted(answer.status for answer in made) == [200] * 5 + [201]
    assert members(await ann.ok("GET", f"/v1/channels/{made[0].body['id']}/members")) == {"ann": "member", "bob": "member"}


async def test_no_third_user_can_enter_a_direct_channel(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    room = await world.room(ann, bob, kind="direct")
    await ann.refused("POST", f"/v1/channels/{room}/members", {"users": ["cat"]}, reason="NOT_ALLOWED")
    await cat.refused("POST", f"/v1/channels/{room}/join", reason="NOT_FOUND")
    await ann.refused("POST", "/v1/channels", {"kind": "direct", "members": ["bob", "cat"]}, reason="INVALID_ARGUMENT")


async def test_a_direct_channel_with_an_unknown_user_is_not_found(world: World) -> None:
    ann = await world.person("ann")
    await world.person("foreigner", tenant=f"{world.tenant}-x")
    for name in ("unknown", "foreigner"):
        await ann.refused("POST", "/v1/channels", {"kind": "direct", "members": [name]}, reason="NOT_FOUND")


async def test_a_public_channel_shows_its_details_to_the_tenant_and_its_messages_to_members(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, kind="public")
    await ann.post(room, "inside")
    details = await bob.ok("GET", f"/v1/channels/{room}", shape=shapes.channel_details)
    assert (details["id"], details["name"]) == (room, "a room")
    for path in ("/messages", "/events"):
        await bob.refused("GET", f"/v1/channels/{room}{path}", reason="NOT_A_MEMBER")
    await bob.refused("POST", f"/v1/channels/{room}/messages", {"text": "x"}, reason="NOT_A_MEMBER")
    async with connect(bob) as socket:
        assert (await socket.post(room, "k", "x"))["reason"] == "NOT_A_MEMBER"


async def test_joining_a_public_channel_is_200_with_the_channel_and_joined_on_the_socket(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, kind="public")
    await ann.post(room, "inside")
    async with live(bob) as socket:
        channel = await bob.ok("POST", f"/v1/channels/{room}/join", shape=shapes.channel_details)
        assert (channel["id"], channel["role"]) == (room, "member")
        joined = (await socket.expect("joined"))["channel"]
        assert joined["id"] == room
        posted = await ann.post(room, "welcome")
        assert (await socket.expect("event", kind="message.posted"))["seq"] == posted["seq"]
    assert texts(await bob.messages(room)) == ["inside", "welcome"]


@pytest.mark.parametrize("kind", ["group", "broadcast", "qa"])
async def test_only_public_channels_can_be_joined(world: World, kind: str) -> None:
    ann, bob = await world.people("ann", "bob")
    await bob.refused("POST", f"/v1/channels/{await world.room(ann, kind=kind)}/join", reason="NOT_FOUND")


async def test_unknown_hidden_and_foreign_channels_are_answered_identically(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    foreigner = await world.person("foreigner", tenant=f"{world.tenant}-x")
    hidden, foreign = await world.room(bob), await world.room(foreigner, kind="public")
    calls = [
        ("GET", "", None),
        ("PATCH", "", {"topic": "x"}),
        ("GET", "/members", None),
        ("POST", "/members", {"users": ["ann"]}),
        ("PATCH", "/members/bob", {"role": "member"}),
        ("DELETE", "/members/ann", None),
        ("POST", "/join", None),
        ("PUT", "/bans/bob", {"reason": "x"}),
        ("DELETE", "/bans/bob", None),
        ("GET", "/messages", None),
        ("POST", "/messages", {"text": "x"}),
        ("GET", "/events", None),
        ("PUT", "/mute", {"muted": True}),
    ]
    for method, path, body in calls:
        answers = [await ann.call(method, f"/v1/channels/{room}{path}", body) for room in (hidden, foreign, uuid.uuid4(), "x")]
        assert [answer.status for answer in answers] == [404] * 4, (method, path)
        assert all(answer.body == answers[0].body for answer in answers), (method, path)


async def test_a_banned_user_is_removed_and_kept_out_until_the_ban_is_lifted(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob, kind="public")
    async with live(bob) as socket:
        await ann.ok("PUT", f"/v1/channels/{room}/bans/bob", {"reason": "spam"}, status=204)
        await socket.expect("event", kind="member.removed")
        await socket.expect("left", channel=room)
        assert (await socket.post(room, "k", "x"))["type"] == "error"
    await bob.refused("POST", f"/v1/channels/{room}/join", reason="NOT_ALLOWED")
    await ann.refused("POST", f"/v1/channels/{room}/members", {"users": ["bob"]}, reason="NOT_ALLOWED")
    await ann.ok("DELETE", f"/v1/channels/{room}/bans/bob", status=204)
    await bob.ok("POST", f"/v1/channels/{room}/join")


async def test_a_ban_may_have_an_end(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob, kind="public")
    await ann.ok("PUT", f"/v1/channels/{room}/bans/bob", {"reason": "cool down", "seconds": 600}, status=204)
    await bob.refused("POST", f"/v1/channels/{room}/join", reason="NOT_ALLOWED")


async def test_a_role_change_is_an_event_and_takes_effect_at_once(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as socket:
        changed = await ann.ok("PATCH", f"/v1/channels/{room}/members/bob", {"role": "reader"}, shape=shapes.member)
        assert changed["role"] == "reader"
        event = await socket.expect("event", kind="member.role_changed")
        assert event["data"] == {"user": "bob", "role": "reader"}
        assert (await socket.post(room, "k", "x"))["reason"] == "NOT_ALLOWED"
