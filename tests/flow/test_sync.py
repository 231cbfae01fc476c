"""`hello`, positions and catching up: what a connection receives, from which position, in which order."""

import uuid
from typing import Any

import pytest

from tests.client import Api, connect, shapes
from tests.client.socket import Frame, Socket
from tests.flow.world import World, flood, live


def key() -> str:
    return str(uuid.uuid4())


def positions(socket: Socket) -> dict[str, int]:
    return {channel["id"]: channel["seq"] for channel in socket.hello["channels"]}


def seqs(frames: list[Frame]) -> list[int]:
    return [frame["seq"] for frame in frames]


async def three_said(world: World, *members: Api) -> tuple[str, int]:
    """A channel with three messages by its owner, and its head."""
    room = await world.room(*members)
    head = 0
    for number in range(3):
        head = (await members[0].post(room, f"message {number}"))["seq"]
    return room, head


async def test_hello_lists_the_callers_channels_with_head_role_and_read_position(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    async with connect(bob) as socket:
        (channel,) = socket.hello["channels"]
        assert channel == {
            "id": room,
            "kind": "group",
            "name": "a room",
            "role": "member",
            "seq": head,
            "read_seq": channel["read_seq"],
        }
        assert channel["read_seq"] <= head
        limits = socket.hello["limits"]
        assert (limits["frame_bytes"], limits["text_bytes"]) == (65_536, 16_384)
        assert socket.hello["heartbeat_seconds"] > 0


async def test_every_connection_has_an_id_of_its_own(world: World) -> None:
    ann = await world.person("ann")
    async with connect(ann) as one, connect(ann) as two:
        assert one.hello["connection"] != two.hello["connection"]


async def test_nothing_of_the_log_is_sent_before_the_first_sync(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with connect(bob) as quiet, live(world.elsewhere(ann)) as witness:
        posted = await ann.post(room, "too early")
        await witness.expect("event", seq=posted["seq"])
        async with live(bob) as neighbour:  # by now the same gateway has delivered it
            await neighbour.open(**{room: posted["seq"] - 1})
            await neighbour.expect("event", seq=posted["seq"])
        await quiet.round_trip()
        assert quiet.received("event") == []
        await quiet.open()
        assert (await quiet.expect("event", channel=room))["seq"] == posted["seq"]


async def test_a_channel_that_the_first_sync_does_not_name_starts_at_hellos_seq(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    async with connect(bob) as socket:
        between = await ann.post(room, "between hello and sync")
        synced = await socket.request("sync", positions={})
        assert synced["channels"] == {}
        after = await ann.post(room, "after sync")
        await socket.expect("event", seq=after["seq"])
        assert seqs(socket.received("event", channel=room)) == [head + 1, head + 2] == [between["seq"], after["seq"]]


async def test_synced_comes_before_the_events_that_it_announces_and_none_is_missing(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    async with connect(bob) as socket:
        synced = await socket.request("sync", positions={room: 2})
        assert synced["channels"] == {room: {"status": "complete", "seq": head}}
        await socket.expect("event", seq=head)
        live_one = await ann.post(room, "live")
        await socket.expect("event", seq=live_one["seq"])
        assert seqs(socket.received("event")) == list(range(3, head + 2))
        types = [frame["type"] for frame in socket.frames]
        assert types.index("synced") < types.index("event")


async def test_catching_up_brings_edits_deletes_and_reactions_on_any_gateway(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, _ = await three_said(world, ann, bob)
    async with connect(bob) as socket:
        position = positions(socket)[room]
    async with live(ann) as writer:
        message = (await writer.post(room, key(), "v1"))["message"]
        await writer.request("edit", channel=room, message=message, text="v2")
        await writer.request("react", channel=room, message=message, emoji="👍")
        head = (await writer.request("delete", channel=room, message=message))["seq"]
    async with live(world.elsewhere(bob), **{room: position}) as again:
        await again.expect("event", seq=head)
        kinds = [event["kind"] for event in again.received("event")]
        assert kinds == ["message.posted", "message.edited", "reaction.added", "message.deleted"]


async def test_position_0_brings_the_log_from_its_beginning_as_http_shows_it(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    async with live(bob, **{room: 0}) as socket:
        await socket.expect("event", seq=head)
        events = [{name: value for name, value in event.items() if name != "type"} for event in socket.received("event")]
    log = [{name: value for name, value in entry.items() if name != "type"} for entry in await ann.log(room)]
    assert events == log


async def test_a_position_at_the_head_is_complete_and_brings_nothing(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    async with connect(bob) as socket:
        synced = await socket.open(**{room: head})
        assert synced["channels"][room] == {"status": "complete", "seq": head}
        await socket.round_trip()
        assert socket.received("event") == []


async def test_a_position_beyond_the_head_is_reset(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    async with connect(bob) as socket:
        synced = await socket.open(**{room: head + 1})
        assert synced["channels"][room] == {"status": "reset", "seq": head}
        posted = await ann.post(room, "live after a reset")
        assert (await socket.expect("event"))["seq"] == posted["seq"] == head + 1


async def test_more_missing_events_than_the_limit_are_reset_and_exactly_the_limit_is_not(world: World) -> None:
    people = await world.people("ann", "bob", "cat", "dan", "eve", "flo")
    room = await world.room(*people)
    async with connect(people[0]) as socket:
        limit = socket.hello["limits"]["sync_events"]
    head = await flood(people, room, limit + 1)
    async with connect(people[1]) as socket:
        synced = await socket.request("sync", positions={room: head - limit - 1})
        assert synced["channels"][room] == {"status": "reset", "seq": head}
        await socket.round_trip()
        assert socket.received("event") == []
        synced = await socket.request("sync", positions={room: head - limit})
        assert synced["channels"][room] == {"status": "complete", "seq": head}
        await socket.expect("event", seq=head)
        assert seqs(socket.received("event")) == list(range(head - limit + 1, head + 1))


async def test_unknown_foreign_and_left_channels_are_gone_without_a_number(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    theirs = await world.room(ann)
    left = await world.room(ann, bob)
    await bob.ok("DELETE", f"/v1/channels/{left}/members/bob", status=204)
    asked = {theirs: 0, left: 1, str(uuid.uuid4()): 0, "no-uuid-at-all": 0}
    async with connect(bob) as socket:
        synced = await socket.request("sync", positions=asked)
        assert synced["channels"] == {channel: {"status": "gone"} for channel in asked}


async def test_synced_names_the_channels_asked_for_and_no_others(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    asked, head = await three_said(world, ann, bob)
    await three_said(world, ann, bob)
    async with connect(bob) as socket:
        synced = await socket.request("sync", positions={asked: 1})
        assert synced["channels"].keys() == {asked}
        await socket.expect("event", channel=asked, seq=head)
        await socket.round_trip()
        assert {event["channel"] for event in socket.received("event")} == {asked}


async def test_a_later_sync_restarts_the_channels_it_names_and_leaves_the_others_alone(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    again, head = await three_said(world, ann, bob)
    other, _ = await three_said(world, ann, bob)
    async with live(bob) as socket:
        synced = await socket.request("sync", positions={again: 2})
        assert synced["channels"] == {again: {"status": "complete", "seq": head}}
        await socket.expect("event", channel=again, seq=head)
        for room in (again, other):
            posted = await ann.post(room, "live")
            await socket.expect("event", channel=room, seq=posted["seq"])
        assert seqs(socket.received("event", channel=again)) == list(range(3, head + 2))
        assert len(socket.received("event", channel=other)) == 1


async def test_a_channel_gained_while_connected_starts_at_the_number_in_joined(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    async with live(bob) as socket:
        room, head = await three_said(world, ann, bob)
        joined = (await socket.expect("joined"))["channel"]
        assert (joined["id"], joined["kind"], joined["role"]) == (room, "group", "member")
        posted = await ann.post(room, "welcome")
        await socket.expect("event", channel=room, seq=posted["seq"])
        assert seqs(socket.received("event", channel=room)) == list(range(joined["seq"] + 1, head + 2))


@pytest.mark.parametrize(
    "frame", [{"positions": []}, {"positions": {"x": -1}}, {"positions": {"x": "1"}}, {"positions": None}, {}]
)
async def test_a_sync_without_valid_positions_is_an_invalid_frame(world: World, frame: dict[str, Any]) -> None:
    async with connect(await world.person("ann")) as socket:
        error = await socket.request("sync", **frame)
        assert (error["type"], error["reason"]) == ("error", "INVALID_FRAME")


async def test_the_log_over_http_pages_by_number_oldest_first(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room, head = await three_said(world, ann, bob)
    page = await bob.ok("GET", f"/v1/channels/{room}/events?after=1&limit=2", shape=shapes.items(shapes.entry))
    assert seqs(page["items"]) == [2, 3]
    assert seqs(await bob.log(room)) == list(range(1, head + 1))
