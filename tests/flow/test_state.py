"""State that is not in the log: read positions, unread counts, typing, presence, pings."""

import uuid

import pytest

from tests.client import Api, Socket, connect
from tests.flow.world import World, live


async def summary(api: Api, room: str) -> dict[str, int]:
    channel = next(channel for channel in await api.channels() if channel["id"] == room)
    return {name: channel[name] for name in ("read_seq", "unread")}


async def read(socket: Socket, witness: Socket, room: str, seq: int) -> None:
    """Move a read position and wait until another member has received the receipt."""
    await socket.send("read", channel=room, seq=seq)
    await witness.expect("receipt", channel=room, read_seq=seq)


async def test_a_read_position_is_sent_to_members_and_to_the_readers_other_sockets(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    seq = (await ann.post(room, "hello"))["seq"]
    async with live(bob) as reader, live(world.elsewhere(bob)) as other, live(ann) as member:
        await reader.send("read", channel=room, seq=seq)
        for socket in (other, member):
            receipt = await socket.expect("receipt")
            assert receipt == {"type": "receipt", "channel": room, "user": "bob", "read_seq": seq}
        await reader.round_trip()
        assert reader.received("receipt") == []
    assert await summary(bob, room) == {"read_seq": seq, "unread": 0}
    async with connect(world.elsewhere(bob)) as again:
        assert again.hello["channels"][0]["read_seq"] == seq


async def test_a_read_position_never_moves_back_and_never_beyond_the_head(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    seqs = [(await ann.post(room, f"message {number}"))["seq"] for number in range(3)]
    async with live(bob) as reader, live(ann) as member:
        await read(reader, member, room, seqs[1])
        await reader.send("read", channel=room, seq=seqs[0])
        await reader.send("read", channel=room, seq=10_000)
        await member.expect("receipt", read_seq=seqs[2])
        assert [receipt["read_seq"] for receipt in member.received("receipt")] == [seqs[1], seqs[2]]
    assert await summary(bob, room) == {"read_seq": seqs[2], "unread": 0}


async def test_unread_counts_messages_of_others_after_the_read_position(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    seqs = [(await ann.post(room, f"message {number}"))["seq"] for number in range(3)]
    async with live(bob) as reader, live(ann) as member:
        await read(reader, member, room, seqs[0])
        assert await summary(bob, room) == {"read_seq": seqs[0], "unread": 2}
        message = (await ann.messages(room))[0]["id"]
        await reader.request("react", channel=room, message=message, emoji="👍")
        assert (await summary(bob, room))["unread"] == 2


async def test_sending_moves_the_senders_read_position_without_a_receipt(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    await ann.post(room, "a question")
    async with live(bob) as writer, live(ann) as member:
        ack = await writer.post(room, "k", "an answer")
        await member.expect("event", seq=ack["seq"])
        assert await summary(bob, room) == {"read_seq": ack["seq"], "unread": 0}
        await member.round_trip()
        assert member.received("receipt") == []


async def test_typing_is_sent_to_the_other_members_only(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    room = await world.room(ann, bob)
    async with live(ann) as typist, live(bob) as member, live(cat) as outsider:
        await typist.send("typing", channel=room)
        assert await member.expect("typing") == {"type": "typing", "channel": room, "user": "ann"}
        for socket in (typist, outsider):
            await socket.round_trip()
            assert socket.received("typing") == []


async def test_typing_in_an_invisible_channel_is_not_found(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann)
    async with live(ann) as member, live(bob) as outsider:
        await outsider.send("typing", channel=room)
        assert (await outsider.expect("error"))["reason"] == "NOT_FOUND"
        await member.round_trip()
        assert member.received("typing") == []


async def test_a_ping_is_answered_with_its_ref(world: World) -> None:
    async with connect(await world.person("ann")) as socket:
        await socket.send("ping", ref="r-9")
        assert await socket.expect("pong") == {"type": "pong", "ref": "r-9"}


async def test_watching_answers_at_once_for_each_user(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    async with live(ann) as watcher, live(bob):
        await eventually_status(watcher, "bob", "online")
        await watcher.send("watch", users=["bob", "unknown"])
        assert (await watcher.expect("presence", user="bob"))["status"] == "online"
        assert (await watcher.expect("presence", user="unknown"))["status"] == "offline"


async def eventually_status(watcher: Socket, user: str, status: str, within: float = 12.0) -> None:
    """Wait until a watched user has this status."""
    await watcher.send("watch", users=[user])
    await watcher.expect("presence", within, user=user, status=status)


async def test_a_watched_user_is_seen_online_and_offline_within_10_seconds(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    async with live(ann) as watcher:
        await eventually_status(watcher, "bob", "offline")
        async with live(bob):
            await watcher.expect("presence", user="bob", status="online")
        gone = await watcher.expect("presence", within=12, user="bob", status="offline")
        assert gone["last_seen"] is not None


async def test_a_reconnect_causes_no_presence_frame(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    async with live(ann) as watcher:
        async with live(bob):
            await eventually_status(watcher, "bob", "online")
        async with live(world.elsewhere(bob)) as again:
            await again.send("status", status="dnd")
            await watcher.expect("presence", user="bob", status="dnd")
            shown = [frame["status"] for frame in watcher.received("presence", user="bob")]
            assert "offline" not in shown[shown.index("online") :]


async def test_of_several_devices_dnd_beats_online_beats_away(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    async with live(ann) as watcher, live(bob) as phone, live(world.elsewhere(bob)) as desk:
        await phone.send("status", status="away")
        await desk.send("status", status="away")
        await eventually_status(watcher, "bob", "away")
        await desk.send("status", status="online")
        await watcher.expect("presence", user="bob", status="online")
        await phone.send("status", status="dnd")
        await watcher.expect("presence", user="bob", status="dnd")


async def test_watch_replaces_the_set(world: World) -> None:
    ann, bob, cat = await world.people("ann", "bob", "cat")
    async with live(ann) as watcher:
        await watcher.send("watch", users=["bob"])
        await watcher.expect("presence", user="bob")
        await watcher.send("watch", users=["cat"])
        await watcher.expect("presence", user="cat")
        async with live(bob), live(cat):
            await watcher.expect("presence", user="cat", status="online")
            await watcher.round_trip()
            assert watcher.received("presence", user="bob", status="online") == []


async def test_users_of_another_tenant_are_never_visible(world: World) -> None:
    ann = await world.person("ann")
    namesake = await world.person("bob", tenant=f"{world.tenant}-x")
    async with live(namesake), live(ann) as watcher:
        await watcher.send("watch", users=["bob"])
        assert (await watcher.expect("presence", user="bob"))["status"] == "offline"


@pytest.mark.parametrize("frame", ["read", "typing"])
async def test_state_of_an_unknown_channel_is_not_found(world: World, frame: str) -> None:
    async with live(await world.person("ann")) as socket:
        fields = {"seq": 1} if frame == "read" else {}
        await socket.send(frame, channel=str(uuid.uuid4()), **fields)
        assert (await socket.expect("error"))["reason"] == "NOT_FOUND"
