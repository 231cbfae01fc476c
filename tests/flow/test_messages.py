"""The life of a message: sent, acknowledged, delivered, repeated, edited, deleted."""

import uuid

import pytest

from tests.client import shapes
from tests.flow.world import World, live, texts


def key() -> str:
    return str(uuid.uuid4())


async def test_a_message_reaches_members_at_another_gateway(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        await here.send("send", ref="r-1", channel=room, key="k-1", text="Grüße 👋")
        ack = await here.expect("ack", ref="r-1")
        event = await there.expect("event", channel=room, kind="message.posted")
    assert "duplicate" not in ack
    assert (event["seq"], event["actor"], event["at"]) == (ack["seq"], "ann", ack["at"])
    expected = {"message": ack["message"], "key": "k-1", "text": "Grüße 👋", "thread": None, "attachments": [], "mentions": []}
    assert event["data"] == expected


async def test_the_sender_receives_the_event_too_on_every_connection(world: World) -> None:
    (ann,) = await world.people("ann")
    room = await world.room(ann)
    async with live(ann) as here, live(world.elsewhere(ann)) as there:
        ack = await here.post(room, key(), "to myself")
        for socket in (here, there):
            assert (await socket.expect("event", kind="message.posted"))["seq"] == ack["seq"]


async def test_numbers_start_at_1_and_have_no_gap(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        for socket in (here, there) * 5:
            await socket.post(room, key(), "one of ten")
    log = await ann.log(room)
    assert [entry["seq"] for entry in log] == list(range(1, len(log) + 1))
    assert [entry["kind"] for entry in log[:3]] == ["channel.created", "member.joined", "member.joined"]
    assert [entry["data"]["user"] for entry in log[1:3]] == ["ann", "bob"]


async def test_a_repeated_key_returns_the_first_number_and_stores_nothing(world: World) -> None:
    (ann,) = await world.people("ann")
    room = await world.room(ann)
    async with live(ann) as here, live(world.elsewhere(ann)) as there:
        first = await here.post(room, "once", "hello")
        for socket in (here, there):
            again = await socket.post(room, "once", "hello")
            assert again["duplicate"] is True
            assert (again["seq"], again["message"], again["at"]) == (first["seq"], first["message"], first["at"])
    assert (await ann.log(room))[-1]["seq"] == first["seq"]


@pytest.mark.parametrize("change", [{"text": "other"}, {"mentions": ["bob"]}, {"thread": "itself"}], ids=str)
async def test_a_key_with_other_content_answers_key_reused(world: World, change: dict[str, object]) -> None:
    (ann,) = await world.people("ann")
    room = await world.room(ann)
    async with live(ann) as socket:
        first = await socket.post(room, "once", "hello")
        if "thread" in change:
            change = {"thread": first["message"]}
        error = await socket.request("send", **{"channel": room, "key": "once", "text": "hello", **change})
    assert (error["type"], error["reason"]) == ("error", "KEY_REUSED")


async def test_socket_and_http_share_one_key_space(world: World) -> None:
    (ann,) = await world.people("ann")
    room = await world.room(ann)
    path, head = f"/v1/channels/{room}/messages", {"Idempotency-Key": "shared"}
    async with live(ann) as socket:
        first = await socket.post(room, "shared", "hello")
        again = await world.elsewhere(ann).call("POST", path, {"text": "hello"}, headers=head)
        other = await ann.call("POST", path, {"text": "other"}, headers=head)
        posted = await ann.post(room, "over http", key="http-1")
        duplicate = await socket.post(room, "http-1", "over http")
    shapes.posted(again.body, "again")
    assert (again.status, again.body["seq"], again.body["duplicate"]) == (200, first["seq"], True)
    assert (other.status, other.reason) == (409, "KEY_REUSED")
    assert (duplicate["seq"], duplicate["duplicate"]) == (posted["seq"], True)


async def test_http_posts_without_a_key_are_separate_messages(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as socket:
        seqs = [(await ann.post(room, "same words"))["seq"] for _ in range(2)]
        assert seqs[1] == seqs[0] + 1
        for seq in seqs:
            assert (await socket.expect("event", kind="message.posted"))["seq"] == seq


async def test_a_key_belongs_to_one_sender_and_one_channel(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    one, two = await world.room(ann, bob), await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        acks = [await here.post(one, "k", "x"), await there.post(one, "k", "x"), await here.post(two, "k", "x")]
    assert len({(ack["channel"], ack["seq"]) for ack in acks}) == 3
    assert not any("duplicate" in ack for ack in acks)


async def test_a_message_keeps_its_thread_and_mentions(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        root = await here.post(room, key(), "a question")
        await here.post(room, key(), "an answer", thread=root["message"], mentions=["bob"])
        await there.expect("event", seq=root["seq"])
        event = await there.expect("event", kind="message.posted")
    assert (event["data"]["thread"], event["data"]["mentions"]) == (root["message"], ["bob"])
    newest = (await bob.messages(room))[0]
    assert (newest["thread"], newest["mentions"]) == (root["message"], ["bob"])


async def test_an_edit_is_acknowledged_delivered_and_seen_in_history(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        posted = await here.post(room, key(), "helo")
        ack = await here.request("edit", channel=room, message=posted["message"], text="hello")
        event = await there.expect("event", kind="message.edited")
    assert (ack["type"], ack["seq"], ack["message"]) == ("ack", posted["seq"] + 1, posted["message"])
    assert (event["seq"], event["data"]) == (ack["seq"], {"message": posted["message"], "text": "hello"})
    (message,) = await bob.messages(room)
    assert (message["text"], message["seq"], message["edited_at"]) == ("hello", posted["seq"], ack["at"])


async def test_a_deleted_message_keeps_its_place_and_loses_its_text_everywhere(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        posted = await here.post(room, key(), "a secret")
        edited = await here.request("edit", channel=room, message=posted["message"], text="still a secret")
        ack = await here.request("delete", channel=room, message=posted["message"])
        event = await there.expect("event", kind="message.deleted")
    assert (event["seq"], event["data"]) == (ack["seq"], {"message": posted["message"]})
    (message,) = await bob.messages(room)
    assert (message["deleted"], message["text"], message["seq"]) == (True, None, posted["seq"])
    log = {entry["seq"]: entry for entry in await bob.log(room)}
    assert [log[seq]["data"]["text"] for seq in (posted["seq"], edited["seq"])] == [None, None]
    async with live(bob, **{room: 0}) as again:
        resent = await again.expect("event", kind="message.posted")
        assert (resent["seq"], resent["data"]["text"]) == (posted["seq"], None)
    assert (await bob.ok("GET", "/v1/search?q=secret"))["items"] == []


async def test_sealed_content_passes_through_socket_and_http_unread(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        await here.send("send", ref=1, channel=room, key="k", sealed="AP9z")
        ack = await here.expect("ack", ref=1)
        event = await there.expect("event", channel=room, kind="message.posted")
        assert (event["data"]["text"], event["data"]["sealed"]) == (None, "AP9z")
        await here.send("edit", ref=2, channel=room, message=ack["message"], sealed="AP90")
        await here.expect("ack", ref=2)
        assert (await there.expect("event", kind="message.edited"))["data"]["sealed"] == "AP90"
        for wrong in ({"text": "x", "sealed": "AP9z"}, {}, {"sealed": "no base64"}, {"sealed": ""}):
            await here.send("send", ref=3, channel=room, key="k-2", **wrong)
            assert (await here.expect("error", ref=3))["reason"] == "INVALID_FRAME"
            assert (await ann.call("POST", f"/v1/channels/{room}/messages", wrong)).status == 400
    posted = await ann.call("POST", f"/v1/channels/{room}/messages", {"sealed": "AP9z"})
    assert posted.status == 201
    items = (await bob.call("GET", f"/v1/channels/{room}/messages")).body["items"]
    assert [(each["text"], each["sealed"]) for each in items] == [(None, "AP9z"), (None, "AP90")]


async def test_reactions_are_added_removed_and_counted(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        message = (await here.post(room, key(), "hello"))["message"]
        await here.request("react", channel=room, message=message, emoji="👍")
        ack = await there.request("react", channel=room, message=message, emoji="👍")
        event = await here.expect("event", kind="reaction.added", actor="bob")
        assert (event["seq"], event["data"]) == (ack["seq"], {"message": message, "emoji": "👍"})
        (seen,) = await ann.messages(room)
        assert seen["reactions"] == [{"emoji": "👍", "count": 2, "users": ["ann", "bob"]}]
        await here.request("react", channel=room, message=message, emoji="👍", remove=True)
        event = await there.expect("event", kind="reaction.removed")
        assert (event["actor"], event["data"]) == ("ann", {"message": message, "emoji": "👍"})
    (seen,) = await ann.messages(room)
    assert seen["reactions"] == [{"emoji": "👍", "count": 1, "users": ["bob"]}]


async def test_messages_are_pinned_and_unpinned(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(ann) as here, live(bob) as there:
        message = (await here.post(room, key(), "hello"))["message"]
        ack = await there.request("pin", channel=room, message=message)
        event = await here.expect("event", kind="message.pinned")
        assert (event["seq"], event["actor"], event["data"]) == (ack["seq"], "bob", {"message": message})
        assert (await ann.messages(room))[0]["pinned"] is True
        await here.request("pin", channel=room, message=message, remove=True)
        assert (await there.expect("event", kind="message.unpinned"))["data"] == {"message": message}
    assert (await ann.messages(room))[0]["pinned"] is False


async def test_text_of_16_kib_is_taken_and_one_byte_more_is_too_large(world: World) -> None:
    (ann,) = await world.people("ann")
    room = await world.room(ann)
    most = "é" * (8 * 1024)
    async with live(ann) as socket:
        assert (await socket.post(room, key(), most))["type"] == "ack"
        error = await socket.post(room, key(), most + "x")
        assert (error["type"], error["reason"]) == ("error", "TOO_LARGE")
        message = (await socket.post(room, key(), "short"))["message"]
        error = await socket.request("edit", channel=room, message=message, text=most + "x")
        assert (error["type"], error["reason"]) == ("error", "TOO_LARGE")
    answer = await ann.refused("POST", f"/v1/channels/{room}/messages", {"text": most + "x"}, reason="TOO_LARGE")
    assert answer.status == 413
    assert texts(await ann.messages(room))[-2:] == [most, "short"]
