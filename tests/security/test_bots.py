"""Attacks on bots' tokens and on incoming webhooks, at every door: the socket, HTTP, Socket.IO, tickets and addresses."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import socketio

from chassis.bots import BotScope
from gateway.http.operation import Operation
from gateway.http.routes import DEVELOPMENT, TABLE
from gateway.protocol import incoming
from gateway.protocol.scopes import SOCKET, Beyond, Scope
from stack import ports
from tests.client import Answer, Api, connect, shapes
from tests.flow.world import World, eventually, live, refusal
from tests.security.neighbours import second
from tests.security.robots import Robot, another_token, robot
from tests.security.signing import gateway, settings

REVOKED, TOKEN_EXPIRED = 4501, 4001
OPERATIONS: Mapping[str, Operation] = {
    f"{method} {path}": operation
    for path, handlers in (*TABLE, *DEVELOPMENT)
    for method, operation in handlers.items()
    if operation.scope not in (None, Beyond.HOOK)
}
FRAMES: Mapping[str, Scope] = {each.__struct_config__.tag: each.scope for each in get_args(incoming.Frame)}
FIELDS: Mapping[str, Mapping[str, object]] = {
    "send": {"key": "k", "text": "x"},
    "edit": {"text": "x"},
    "delete": {},
    "react": {"emoji": "+1"},
    "pin": {},
    "sync": {"positions": {}},
    "read": {"seq": 1},
    "typing": {},
    "watch": {"users": []},
    "status": {"status": "away"},
    "token": {"token": "hubbot_x"},
    "ping": {},
}
"""What a frame of each type needs besides the channel and the message."""


async def hooked(owner: Api, room: str, name: str = "Builds") -> dict[str, Any]:
    """A new incoming webhook."""
    made: dict[str, Any] = await owner.ok("POST", f"/v1/channels/{room}/hooks", {"name": name}, 201, shapes.new_hook)
    return made


def lacks_a_scope(answer: Answer) -> bool:
    """Whether an operation was refused for the token's scopes, and for nothing else."""
    detail = str(answer.body.get("detail", "")) if isinstance(answer.body, dict) else ""
    return answer.status == 403 and ("scope" in detail or detail == "Bots may not do this")


# Scopes.


@pytest.mark.parametrize("granted", list(BotScope))
async def test_a_token_reaches_exactly_the_operations_of_its_scopes(world: World, granted: BotScope) -> None:
    bot = await robot(world, granted)
    unknown = str(uuid.uuid4())
    for name, operation in OPERATIONS.items():
        method, path = name.split()
        for parameter in ("channel", "message", "user:path", "upload", "report", "session", "bot", "token", "hook"):
            path = path.replace(f"{{{parameter}}}", unknown)
        answer = await bot.api.call(method, path, {} if "body" in operation.takes else None)
        if path.startswith("/v1/admin/"):
            assert answer.reason == "NOT_ALLOWED", name
        else:
            permitted = operation.scope in (granted, Beyond.ANY)
            assert lacks_a_scope(answer) is not permitted, (name, answer.status, answer.body)


def test_every_frame_has_fields_here() -> None:
    assert FIELDS.keys() == FRAMES.keys()


@pytest.mark.parametrize("granted", [*BotScope])
async def test_a_token_sends_exactly_the_frames_of_its_scopes(world: World, granted: BotScope) -> None:
    bot = await robot(world, *{SOCKET, granted})
    ann = await world.person("ann")
    room = await ann.create("public", name="a room")
    message = (await ann.post(room, "x"))["message"]
    async with live(bot.api) as socket:
        for type_, scope in FRAMES.items():
            known = {"channel": room, "message": message}
            declared = next(each for each in get_args(incoming.Frame) if each.__struct_config__.tag == type_)
            fields = {**FIELDS[type_], **{name: known[name] for name in known if name in declared.__struct_fields__}}
            await socket.send(type_, ref=type_, **fields)
            await socket.round_trip()
            refusals = [frame for frame in socket.received("error") if frame["ref"] == type_ and "scope" in frame["detail"]]
            assert bool(refusals) is (scope not in (SOCKET, granted, Beyond.ANY)), type_


async def test_a_token_without_the_scope_to_read_opens_no_socket(world: World) -> None:
    bot = await robot(world, *(set(BotScope) - {SOCKET}))
    assert (await refusal(bot.api)).status == 403
    assert (await refusal(bot.api, "protocol")).status == 403
    await bot.api.refused("POST", "/v1/tickets", reason="NOT_ALLOWED")
    reading = await another_token(world, bot.admin, bot.api.user, "read")
    async with live(reading.api) as socket:
        answer = await socket.request("token", token=bot.api.token)
        assert (answer["type"], answer["reason"]) == ("error", "NOT_ALLOWED")
        answer = await socket.request("send", channel=str(uuid.uuid4()), key="k", text="x")
        assert (answer["type"], answer["reason"]) == ("error", "NOT_ALLOWED")


# Every door, and the end of a token.


async def test_a_bot_takes_part_like_a_member_and_is_seen_as_a_bot(world: World) -> None:
    bot = await robot(world, "read", "write", "react")
    ann = await world.person("ann")
    room = await ann.create("group", name="a room")
    added = await ann.ok("POST", f"/v1/channels/{room}/members", {"users": [bot.api.user]})
    assert added["items"] == [{"user": bot.api.user, "name": "Robot", "role": "member", "bot": True}]
    listed = await ann.ok("GET", "/v1/users?q=robot", shape=shapes.items(shapes.user))
    assert listed["items"] == [{"user": bot.api.user, "name": "Robot", "bot": True}]
    assert (await bot.api.ok("GET", "/v1/me", shape=shapes.me))["roles"] == []
    async with live(ann) as people:
        await people.send("watch", users=[bot.api.user])
        await people.expect("presence", user=bot.api.user, status="offline")
        for way in ("header", "ticket", "protocol"):
            async with connect(world.elsewhere(bot.api), way) as socket:
                await socket.open()
                ack = await socket.post(room, f"by {way}", f"by {way}")
                assert ack["type"] == "ack"
            event = await people.expect("event", seq=ack["seq"])
            assert (event["actor"], event["data"]["text"]) == (bot.api.user, f"by {way}")
        posted = await bot.api.post(room, "by HTTP")
        await people.expect("event", seq=posted["seq"], actor=bot.api.user)
    assert {each["sender"] for each in await ann.messages(room)} == {bot.api.user}


async def test_a_revoked_token_is_void_at_every_gateway_when_the_call_returns(world: World) -> None:
    bot = await robot(world, "read", "write")
    other = await another_token(world, bot.admin, bot.api.user, "read")
    elsewhere = world.elsewhere(bot.api)
    await elsewhere.ok("GET", "/v1/me")  # remembered there from here on
    unused, renewing = await bot.api.ticket(), await bot.api.ticket()
    async with live(bot.api) as here, live(elsewhere) as there, live(other.api) as kept:
        await bot.revoke()
        assert [await here.closed(), await there.closed()] == [REVOKED, REVOKED]
        answer = await kept.request("token", ticket=renewing)
        assert (answer["type"], answer["reason"]) == ("error", "NOT_AUTHENTICATED")
        await kept.round_trip()
    for api in (bot.api, elsewhere):
        await api.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
        assert (await refusal(api)).status == 401
    anonymous = Api(world.urls[0], None, world.http)
    assert (await refusal(anonymous, query=f"?ticket={unused}")).status == 401
    await other.api.ok("GET", "/v1/me")


async def test_a_disabled_bot_is_out_at_once_and_its_tokens_count_again_when_it_is_enabled(world: World) -> None:
    bot = await robot(world, "read")
    async with live(bot.api) as socket:
        await bot.admin.ok("PATCH", bot.path, {"disabled": True}, shape=shapes.bot)
        assert await socket.closed() == REVOKED
    await bot.api.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    await bot.admin.ok("PATCH", bot.path, {"disabled": False, "name": "Renamed"}, shape=shapes.bot)
    await bot.revoke()
    fresh = await another_token(world, bot.admin, bot.api.user, "read")
    assert (await fresh.api.ok("GET", "/v1/me"))["name"] == "Renamed"


async def test_the_socket_of_a_token_that_expires_is_closed(world: World) -> None:
    bot = await robot(world, "read", seconds=2)
    async with live(bot.api) as socket:
        assert await socket.closed(within=10) == TOKEN_EXPIRED
    await bot.api.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")


async def test_a_token_counts_for_its_tenant_only_and_has_no_place_in_an_address(world: World) -> None:
    bot = await robot(world, "read")
    token = str(bot.api.token)
    forged = token.replace(world.tenant, second(world))
    assert forged != token
    for shown in (forged, token[:-1], token + "A", "hubbot_", f"hubbot_{world.tenant}."):
        await Api(bot.api.url, shown, world.http).refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    anonymous = Api(world.urls[0], None, world.http)
    for query in (f"?token={token}", f"?access_token={token}", f"?ticket={token}"):
        assert (await refusal(anonymous, query=query)).status == 401
        assert (await anonymous.call("GET", f"/v1/me{query}")).status == 401


async def test_only_bots_have_the_id_of_a_bot(world: World) -> None:
    anonymous = world.anonymous()
    bot = await robot(world, "read")
    for user in (bot.api.user, "bot:", "bot:anyone"):
        body = {"user": user, "tenant": world.tenant}
        answer = await anonymous.call("POST", "/v1/dev/login", body)
        assert (answer.status, answer.reason) == (400, "INVALID_ARGUMENT"), user


async def test_socketio_clients_are_bots_by_the_same_token(world: World) -> None:
    bot = await robot(world, "read")
    url, head = bot.api.url, {"Authorization": f"Bearer {bot.api.token}"}
    async with socketio.AsyncSimpleClient() as client:
        await client.connect(url, headers=head, auth={"token": bot.api.token}, transports=["websocket"])
        fields = {"channel": str(uuid.uuid4()), "key": "k", "text": "x"}
        assert (await client.call("send", fields, timeout=10))["reason"] == "NOT_ALLOWED"
        await bot.revoke()
        await eventually(lambda: _is_out(client))
    async with socketio.AsyncSimpleClient(reconnection=False) as client:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(url, headers=head, transports=["websocket"])


async def test_no_token_and_no_secret_is_logged(world: World, tmp_path: Path) -> None:
    bot, ann = await robot(world, "read"), await world.person("ann")
    hook = await hooked(ann, await ann.create("group", name="a room"))
    url = f"http://127.0.0.1:{ports.free()[0]}"
    env = {"HUBBUB_LISTEN": url.removeprefix("http://"), "HUBBUB_INSTANCE": "bots", "HUBBUB_DEV_LOGIN": "0"}
    async with gateway(settings(world.stack, tmp_path) | env, tmp_path):
        await bot.api.at(url).ok("GET", "/v1/me")
        await Api(url, None, world.http).ok("POST", hook["path"], {"text": "x"})
        await Api(url, None, world.http).refused("POST", hook["path"][:-1], {"text": "x"}, reason="NOT_FOUND")
    log = (tmp_path / "bots.log").read_text()
    assert log.count("/v1/hooks/{hook}/{secret}") == 2
    assert not any(text in log for text in (hook["path"].rpartition("/")[2][:-1], str(bot.api.token)))


async def _is_out(client: socketio.AsyncSimpleClient) -> bool:
    return not client.connected


async def test_a_bot_that_moderates_needs_the_role_and_the_scope(world: World) -> None:
    strong, weak = await robot(world, "moderate"), await robot(world, "read", "write")
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    body = {"users": [strong.api.user, weak.api.user], "role": "moderator"}
    await ann.ok("POST", f"/v1/channels/{room}/members", body)
    silence = f"/v1/channels/{room}/silences/bob"
    await weak.api.refused("PUT", silence, {"reason": "x", "seconds": 9}, reason="NOT_ALLOWED")
    await strong.api.ok("PUT", silence, {"reason": "x", "seconds": 9}, 204)
    await ann.ok("PATCH", f"/v1/channels/{room}/members/{strong.api.user}", {"role": "member"})
    await strong.api.refused("DELETE", silence, reason="NOT_ALLOWED")


# Webhooks.


async def test_a_webhook_posts_once_per_key_to_its_channel(world: World) -> None:
    ann = await world.person("ann")
    room = await ann.create("group", name="a room")
    hook = await hooked(ann, room)
    caller = world.anonymous(1)
    slack = {"text": "green", "username": "ci", "icon_emoji": ":+1:", "channel": "#elsewhere", "key": "build 7"}
    async with live(ann) as socket:
        first = await caller.ok("POST", hook["path"], slack, shape=shapes.posted)
        event = await socket.expect("event", seq=first["seq"])
    assert (event["actor"], event["data"]["text"]) == (hook["id"], "green")
    again = await caller.call("POST", hook["path"], {"text": "green"}, headers={"Idempotency-Key": "build 7"})
    assert (again.body["seq"], again.body["duplicate"]) == (first["seq"], True)
    await caller.refused("POST", hook["path"], {"text": "red", "key": "build 7"}, reason="KEY_REUSED")
    for body, reason in (({"text": ""}, "INVALID_ARGUMENT"), ({}, "INVALID_ARGUMENT"), ({"text": "x" * 20_000}, "TOO_LARGE")):
        await caller.refused("POST", hook["path"], body, reason=reason)
    (listed,) = (await ann.ok("GET", f"/v1/channels/{room}/hooks", shape=shapes.items(shapes.hook)))["items"]
    assert (listed["id"], listed["used_on"] is None) == (hook["id"], False)


async def test_an_unknown_webhook_and_a_wrong_secret_look_alike(world: World) -> None:
    ann = await world.person("ann")
    room = await ann.create("group", name="a room")
    known = (await hooked(ann, room))["path"].split("/")
    rotated = await hooked(ann, room)
    caller = world.anonymous()
    await caller.ok("POST", rotated["path"], {"text": "x"})
    await ann.ok("POST", f"/v1/channels/{room}/hooks/{rotated['id']}/rotate", shape=shapes.new_hook)
    wrong = [
        f"/v1/hooks/{known[3]}/{'A' * 43}",
        f"/v1/hooks/{known[3]}/x",
        f"/v1/hooks/{world.tenant}.{'0' * 24}/{known[4]}",
        f"/v1/hooks/{known[3].replace(world.tenant, second(world))}/{known[4]}",
        f"/v1/hooks/nonsense/{known[4]}",
        rotated["path"],
    ]
    answers = [await caller.call("POST", path, {"text": "x"}) for path in wrong]
    assert {(each.status, str(each.body)) for each in answers} == {(404, str(answers[0].body))}
    assert (await caller.call("POST", wrong[0], {"nonsense": 1})).status == 404  # the body says nothing either


async def test_the_address_of_a_webhook_permits_nothing_else(world: World) -> None:
    ann = await world.person("ann")
    room = await ann.create("group", name="a room")
    hook = await hooked(ann, room)
    secret = hook["path"].rpartition("/")[2]
    for shown in (secret, hook["path"], f"hubbot_{world.tenant}.{secret}"):
        await Api(ann.url, shown, world.http).refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    bot = await robot(world, *BotScope)
    await bot.api.refused("POST", f"/v1/hooks/{world.tenant}.{hook['id'][4:]}/{'A' * 43}", {"text": "x"}, reason="NOT_FOUND")


async def test_a_webhook_that_can_no_longer_post_says_why(world: World) -> None:
    ann = await world.person("ann")
    root = await world.person("root", roles=["admin"])
    room = await ann.create("group", name="a room")
    hook, other = await hooked(ann, room), await hooked(ann, room)
    caller = world.anonymous()
    for each in (hook, other):
        await caller.ok("POST", each["path"], {"text": "x"})
    await root.ok("PATCH", f"/v1/admin/bots/{hook['id']}", {"disabled": True})
    answer = await caller.refused("POST", hook["path"], {"text": "x"}, reason="NOT_ALLOWED")
    assert answer.body["detail"] == "The webhook is disabled"
    await ann.ok("DELETE", f"/v1/channels/{room}/members/{other['id']}", status=204)
    answer = await caller.refused("POST", other["path"], {"text": "x"}, reason="NOT_ALLOWED")
    assert answer.body["detail"] == "The webhook's bot is no member of the channel any more"
    await ann.ok("DELETE", f"/v1/channels/{room}/hooks/{other['id']}", status=204)
    await caller.refused("POST", other["path"], {"text": "x"}, reason="NOT_FOUND")


async def test_bots_make_no_credentials(world: World) -> None:
    bot: Robot = await robot(world, *BotScope)
    room = await bot.api.create("group", name="its own")
    await bot.api.refused("POST", f"/v1/channels/{room}/hooks", {"name": "x"}, reason="NOT_ALLOWED")
    await bot.api.refused("POST", f"{bot.path}/tokens", {"name": "x", "scopes": ["read"]}, reason="NOT_ALLOWED")
