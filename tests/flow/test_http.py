"""The HTTP API: shapes, pages, and the problem for each misuse. `Api` checks the rules for every answer."""

import uuid
from typing import Any

import psycopg
import pytest

from tests.client import connect, shapes
from tests.flow.world import World, eventually, live, texts


async def test_the_channel_list_has_unread_counts_and_the_last_message(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    posted = [await ann.post(room, f"message {number}") for number in range(3)][-1]
    (channel,) = await bob.channels()
    assert channel.keys() == {"id", "kind", "name", "topic", "role", "seq", "read_seq", "unread", "muted", "last_message"}
    assert (channel["seq"], channel["unread"], channel["muted"]) == (posted["seq"], 3, False)
    assert channel["last_message"]["text"] == "message 2"
    (own,) = await ann.channels()
    assert (own["unread"], own["read_seq"]) == (0, posted["seq"])


async def test_creating_a_channel_returns_the_whole_channel(world: World) -> None:
    ann = await world.person("ann")
    body = {"kind": "public", "name": "Town hall"}
    channel = await ann.ok("POST", "/v1/channels", body, 201, shapes.channel_details)
    assert (channel["kind"], channel["name"], channel["role"], channel["last_message"]) == ("public", "Town hall", "owner", None)
    assert await ann.ok("GET", f"/v1/channels/{channel['id']}", shape=shapes.channel_details) == channel


async def test_a_change_of_a_channel_is_returned_stored_and_delivered(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    async with live(bob) as socket:
        body = {"name": "renamed", "topic": "new topic", "slow_mode_seconds": 10}
        changed = await ann.ok("PATCH", f"/v1/channels/{room}", body, shape=shapes.channel_details)
        assert (changed["name"], changed["topic"]) == ("renamed", "new topic")
        assert (await socket.expect("event", kind="channel.updated"))["data"] == body
        await ann.ok("PATCH", f"/v1/channels/{room}", {"topic": "only this"})
        data = (await socket.expect("event", kind="channel.updated"))["data"]
        assert data == {**body, "topic": "only this"}


async def test_muting_affects_the_caller_only(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    answer = await bob.call("PUT", f"/v1/channels/{room}/mute", {"muted": True})
    assert answer.status in (200, 204)
    assert ((await bob.channels())[0]["muted"], (await ann.channels())[0]["muted"]) == (True, False)


async def test_history_is_newest_first_with_exclusive_bounds(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    seqs = [(await ann.post(room, f"message {number}"))["seq"] for number in range(6)]
    assert [each["seq"] for each in await ann.messages(room)] == seqs[::-1]
    assert [each["seq"] for each in await ann.messages(room, f"?before={seqs[4]}&limit=2")] == [seqs[3], seqs[2]]
    assert [each["seq"] for each in await ann.messages(room, f"?after={seqs[3]}")] == [seqs[5], seqs[4]]
    assert [each["seq"] for each in await ann.messages(room, f"?after={seqs[0]}&before={seqs[3]}")] == [seqs[2], seqs[1]]


async def test_history_has_50_messages_by_default_and_200_at_most(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    async with live(ann) as socket:
        for number in range(55):
            await socket.send("send", channel=room, key=str(number), text="x")
        for _ in range(55):
            await socket.expect("ack")
    assert len(await ann.messages(room)) == 50
    assert len(await ann.messages(room, "?limit=100000")) == 55


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "after=-1", "after=x", "after=1.5", "after=" + "9" * 30])
@pytest.mark.parametrize("path", ["messages", "events"])
async def test_a_query_that_is_no_number_is_an_invalid_argument(world: World, path: str, query: str) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    await ann.refused("GET", f"/v1/channels/{room}/{path}?{query}", reason="INVALID_ARGUMENT")


async def test_people_of_the_tenant_are_found_by_the_beginning_of_their_name(world: World) -> None:
    ann = await world.person("ann", name="Ann Example")
    await world.person("bob", name="Bob Sample")
    await world.person("stranger", tenant=f"{world.tenant}-x")
    everybody = await ann.ok("GET", "/v1/users", shape=shapes.items(shapes.user))
    assert sorted(each["user"] for each in everybody["items"]) == ["ann", "bob"]
    found = await ann.ok("GET", "/v1/users?q=bob", shape=shapes.items(shapes.user))
    assert found["items"] == [{"user": "bob", "name": "Bob Sample"}]
    assert len((await ann.ok("GET", "/v1/users?limit=1"))["items"]) == 1


async def test_lists_have_a_next_if_there_is_more(world: World) -> None:
    ann = await world.person("ann")
    for number in range(3):
        await world.person(f"guest-{number}")
    found: list[str] = []
    path = "/v1/users?limit=2"
    while True:
        page = await ann.ok("GET", path, shape=shapes.items(shapes.user))
        found += [each["user"] for each in page["items"]]
        if "next" not in page:
            break
        path = f"/v1/users?limit=2&cursor={page['next']}"
    assert sorted(found) == ["ann", "guest-0", "guest-1", "guest-2"]


async def test_members_are_listed_with_name_and_role(world: World) -> None:
    ann, bob = await world.person("ann", name="Ann Example"), await world.person("bob")
    room = await world.room(ann, bob)
    page = await bob.ok("GET", f"/v1/channels/{room}/members", shape=shapes.members)
    assert {"user": "ann", "name": "Ann Example", "role": "owner"} in page["items"]
    assert len(page["items"]) == 2


async def test_search_finds_only_what_the_caller_may_read(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    shared, private = await world.room(ann, bob), await world.room(ann)
    for room in (shared, private):
        await ann.post(room, "the quick brown fox")
    await bob.post(shared, "a fox too")

    async def found(query: str) -> list[dict[str, Any]]:
        page = await bob.ok("GET", f"/v1/search?{query}", shape=shapes.items(shapes.message))
        return page["items"]  # type: ignore[no-any-return]

    await eventually(lambda: found("q=fox"))
    assert {each["channel"] for each in await found("q=fox")} == {shared}
    assert texts(await found("q=fox&from=ann")) == ["the quick brown fox"]
    await bob.refused("GET", f"/v1/search?q=fox&channel={private}", reason="NOT_FOUND")
    assert len(await found("q=fox&limit=1")) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/channels", {}),
        ("POST", "/v1/channels", {"kind": "castle", "name": "x"}),
        ("POST", "/v1/channels", {"kind": "group", "name": "x", "history": "some"}),
        ("POST", "/v1/channels", {"kind": "group", "name": "x" * 1_000}),
        ("POST", "/v1/channels", {"kind": "direct", "members": []}),
        ("POST", "/v1/channels", {"kind": "direct", "members": ["ann"]}),
        ("POST", "/v1/channels", []),
        ("PATCH", "/v1/channels/{room}", {"slow_mode_seconds": -1}),
        ("PATCH", "/v1/channels/{room}", {"kind": "public"}),
        ("POST", "/v1/channels/{room}/members", {}),
        ("POST", "/v1/channels/{room}/messages", {}),
        ("POST", "/v1/channels/{room}/messages", {"text": ""}),
        ("PUT", "/v1/channels/{room}/bans/bob", {"seconds": -1, "reason": "x"}),
    ],
)
async def test_an_invalid_body_is_an_invalid_argument(world: World, method: str, path: str, body: object) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    await ann.refused(method, path.format(room=room), body, reason="INVALID_ARGUMENT")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b'{"kind":NaN}', b"[" * 10_000])
async def test_a_body_that_is_no_json_is_an_invalid_argument(world: World, content: bytes) -> None:
    ann = await world.person("ann")
    answer = await ann.call("POST", "/v1/channels", content=content, headers={"Content-Type": "application/json"})
    assert answer.reason == "INVALID_ARGUMENT"


@pytest.mark.parametrize("header", ["k" * 129, "a\tb"], ids=["129 characters", "a control character"])
async def test_an_invalid_idempotency_key_is_an_invalid_argument(world: World, header: str) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    path, headers = f"/v1/channels/{room}/messages", {"Idempotency-Key": header}
    assert (await ann.call("POST", path, {"text": "x"}, headers=headers)).reason == "INVALID_ARGUMENT"


async def test_an_unknown_path_or_id_is_not_found(world: World) -> None:
    ann = await world.person("ann")
    for path in ("/v1/nothing", f"/v1/channels/{uuid.uuid4()}", "/v1/channels/x/y/z", f"/v1/uploads/{uuid.uuid4()}"):
        await ann.refused("GET", path, reason="NOT_FOUND")


async def test_an_unknown_method_is_answered_with_a_problem(world: World) -> None:
    ann = await world.person("ann")
    answer = await ann.call("DELETE", "/v1/me")
    assert answer.status in (404, 405)


async def test_problems_have_exactly_four_fields(world: World) -> None:
    ann = await world.person("ann")
    answer = await ann.refused("GET", f"/v1/channels/{uuid.uuid4()}", reason="NOT_FOUND")
    assert answer.body.keys() <= {"status", "title", "reason", "detail"}
    assert answer.headers["content-type"].split(";")[0] == "application/problem+json"


async def test_health_readiness_and_metrics_need_no_token(world: World) -> None:
    for url in world.urls:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert (await world.http.get(url + path)).status_code == 200, path


async def test_a_request_id_is_returned(world: World) -> None:
    ann = await world.person("ann")
    request_id = "flow-test-4711"
    answer = await ann.call("GET", "/v1/me", headers={"X-Request-Id": request_id})
    assert answer.headers["x-request-id"] == request_id


async def test_a_request_id_is_found_in_the_log_of_every_service_it_touched(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    request_id = f"flow-{uuid.uuid4().hex}"
    headers = {"X-Request-Id": request_id}
    assert (await ann.call("POST", f"/v1/channels/{room}/messages", {"text": "x"}, headers=headers)).status == 201

    async def written() -> bool:
        lines = [line for line in world.stack.log.splitlines() if request_id in line]
        return all(any(line.startswith(name) for line in lines) for name in ("gateway-0", "messages-api"))

    await eventually(written)


async def test_the_request_id_is_stored_with_the_row(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    request_id = f"flow-{uuid.uuid4().hex}"
    headers = {"X-Request-Id": request_id}
    posted = await ann.call("POST", f"/v1/channels/{room}/messages", {"text": "x"}, headers=headers)
    changed = await ann.call("PATCH", f"/v1/channels/{room}", {"topic": "x"}, headers=headers)
    assert (posted.status, changed.status) == (201, 200)
    assert await written_by(world, room, f"{request_id}/%") == [3, 4]


async def test_the_row_of_a_frame_names_its_connection_and_the_connections_log_line_the_request(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann)
    request_id = f"flow-{uuid.uuid4().hex}"
    async with connect(ann, headers={"X-Request-Id": request_id}) as socket:
        ack = await socket.post(room, "k", "x")
        assert await written_by(world, room, f"{socket.hello['connection']}.%") == [ack["seq"]]

        async def written() -> bool:
            return any(socket.hello["connection"] in line and request_id in line for line in world.stack.log.splitlines())

        await eventually(written)


async def written_by(world: World, channel: str, command: str) -> list[int]:
    """The numbers of the channel's entries whose command matches `command`."""
    url = str(world.stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"])
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute("SELECT set_config('hubbub.tenants', %s, true)", [f"{{{world.tenant}}}"])
        query = "SELECT seq FROM entries WHERE channel = %s AND command LIKE %s ORDER BY seq"
        return [seq for (seq,) in await (await connection.execute(query, [channel, command])).fetchall()]


async def test_the_logs_contain_no_private_data(world: World) -> None:
    ann = await world.person("ann")
    room = await world.room(ann, name="a confidential name")
    async with live(ann) as socket:
        await socket.post(room, "k", "a confidential text")
    ticket = await ann.ticket()
    async with connect(world.anonymous(), query=f"?ticket={ticket}"):
        pass
    log = world.stack.log
    for secret in ("confidential", ticket, ann.token):
        assert str(secret) not in log


async def test_only_administrators_may_administer(world: World) -> None:
    ann = await world.person("ann")
    for method, path in (("POST", "/v1/admin/users/ann/revoke"), ("PUT", "/v1/admin/users/ann/block")):
        await ann.refused(method, path, reason="NOT_ALLOWED")
