"""Two tenants with the same user ids, on every path and with every frame: neither can see or change the other's data.

A new path or frame is tested as well, or fails the test until it has a case. RPCs are in `test_two_tenants_rpcs`.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, get_args

import pytest

from gateway.http.routes import DEVELOPMENT, TABLE
from gateway.protocol import incoming
from tests.client import Api, Socket
from tests.flow.world import World, live
from tests.security.neighbours import UNKNOWN, Neighbours, neighbours

Route = tuple[str, str]
ROUTES = {(method, path) for path, handlers in TABLE + DEVELOPMENT for method in handlers}
DOORS = {(method, path) for method, path in ROUTES if any(f"{{{name}}}" in path for name in UNKNOWN)}
"""Routes with an id in their path."""
BODIES: Mapping[Route, object] = {
    ("PATCH", "/v1/channels/{channel}"): {"name": "mine now"},
    ("POST", "/v1/channels/{channel}/members"): {"users": ["bob"]},
    ("PATCH", "/v1/channels/{channel}/members/{user:path}"): {"role": "owner"},
    ("PUT", "/v1/channels/{channel}/mute"): {"muted": True},
    ("PUT", "/v1/channels/{channel}/bans/{user:path}"): {"reason": "x"},
    ("PUT", "/v1/channels/{channel}/silences/{user:path}"): {"reason": "x", "seconds": 9},
    ("POST", "/v1/channels/{channel}/messages"): {"text": "hello, neighbours"},
    ("POST", "/v1/channels/{channel}/messages/{message}/reports"): {"reason": "x"},
    ("POST", "/v1/channels/{channel}/reports/{report}/resolve"): {"resolution": "acted"},
    ("POST", "/v1/admin/reports/{report}/resolve"): {"resolution": "acted"},
    ("PATCH", "/v1/admin/webhooks/{webhook}"): {"enabled": False},
    ("POST", "/v1/admin/webhooks/{webhook}/secret"): {},
    ("POST", "/v1/admin/webhooks/{webhook}/resend"): {},
    ("POST", "/v1/commands/answers/{answer}"): {"text": "x"},
    ("POST", "/v1/channels/{channel}/commands"): {"command": "secret", "key": "k"},
    ("POST", "/v1/channels/{channel}/messages/{message}/actions"): {"block": "b", "value": "v", "key": "k"},
    ("PATCH", "/v1/admin/bots/{bot}"): {"name": "mine now", "disabled": True},
    ("POST", "/v1/admin/bots/{bot}/tokens"): {"name": "x", "scopes": ["read"]},
    ("POST", "/v1/channels/{channel}/hooks"): {"name": "x"},
    ("POST", "/v1/hooks/{hook}/{secret}"): {"text": "hello, neighbours"},
}


def at(path: str, ids: Mapping[str, str], user: str = "bob") -> str:
    return path.replace(":path", "").format(user=user, **ids)


async def test_every_path_gives_the_same_answer_for_foreign_and_unknown_ids(world: World) -> None:
    pair = await neighbours(world)
    before = await pair.ann.log(pair.ids["channel"])
    for method, path in sorted(DOORS):
        body = BODIES.get((method, path))
        answers = [await pair.eve.call(method, at(path, known), body) for known in (pair.ids, UNKNOWN)]
        assert [answer.status for answer in answers] == [404, 404], (method, path)
        assert answers[0].body == answers[1].body, (method, path)
    assert await pair.ann.log(pair.ids["channel"]) == before


def elsewhere(pair: Neighbours) -> dict[Route, tuple[int, object]]:
    """The other routes, where at most a user is named whom the second tenant does not have: expected status, and body."""
    room = pair.ids["channel"]
    return {
        ("GET", "/v1/me"): (200, None),
        ("GET", "/v1/me/sessions"): (200, None),
        ("DELETE", "/v1/me/sessions"): (204, None),
        ("GET", "/v1/me/blocks"): (200, None),
        ("GET", "/v1/me/invitations"): (200, None),
        ("GET", "/v1/me/mentions"): (200, None),
        ("GET", "/v1/admin/reports"): (200, None),
        ("PUT", "/v1/me/blocks/{user:path}"): (404, None),
        ("DELETE", "/v1/me/blocks/{user:path}"): (404, None),
        ("GET", "/v1/users"): (200, None),
        ("GET", "/v1/channels"): (200, None),
        ("POST", "/v1/channels"): (404, {"kind": "group", "name": "x", "members": ["carol"]}),
        ("GET", "/v1/search"): (200, None),
        ("POST", "/v1/tickets"): (201, None),
        ("GET", "/v1/signin"): (404, None),  # no provider here
        ("GET", "/v1/signin/options"): (200, None),
        ("GET", "/v1/signin/callback"): (404, None),
        ("POST", "/v1/signout"): (404, None),
        ("POST", "/v1/uploads"): (404, {"name": "a.txt", "size": 3, "type": "text/plain", "channel": room}),
        ("GET", "/v1/admin/bots"): (200, None),
        ("POST", "/v1/admin/bots"): (201, {"name": "x"}),
        ("GET", "/v1/admin/audit"): (200, None),
        ("GET", "/v1/commands"): (200, None),
        ("GET", "/v1/admin/commands"): (200, None),
        ("POST", "/v1/admin/commands"): (201, {"name": "mine", "url": "https://hooks.example.com/", "bot": "bot:x"}),
        ("GET", "/v1/admin/actions"): (200, None),
        ("POST", "/v1/admin/actions"): (201, {"url": "https://hooks.example.com/", "bot": "bot:x"}),
        ("GET", "/v1/admin/webhooks"): (200, None),
        ("GET", "/v1/admin/integrations/audit"): (200, None),
        ("POST", "/v1/admin/webhooks"): (201, {"url": "https://hooks.example.com/"}),
        ("GET", "/v1/admin/audit/export"): (200, None),
        ("POST", "/v1/admin/users/{user:path}/revoke"): (404, None),
        ("PUT", "/v1/admin/users/{user:path}/block"): (404, None),
        ("DELETE", "/v1/admin/users/{user:path}/block"): (404, None),
        ("POST", "/v1/dev/login"): (200, {"user": "ann", "tenant": pair.tenant, "roles": ["admin"]}),
        ("GET", "/v1/connect"): (400, None),
        ("GET", "/healthz"): (200, None),
        ("GET", "/readyz"): (200, None),
        ("GET", "/metrics"): (200, None),
    }


async def test_every_other_path_returns_no_data_of_the_other_tenant(world: World) -> None:
    pair = await neighbours(world)
    cases = elsewhere(pair)
    assert cases.keys() == ROUTES - DOORS  # a new path needs a case
    head = {"Authorization": f"Bearer {pair.eve.token}"}
    queries = {"/v1/search": "?q=secret", "/v1/signin/callback": "?code=x&state=x", "/v1/users": "?limit=200"}
    for (method, path), (status, body) in cases.items():
        url = f"{pair.eve.url}{at(path, pair.ids, 'carol')}{queries.get(path, '')}"
        answer = await world.http.request(method, url, json=body, headers=head)
        assert answer.status_code == status, (method, path, answer.text)
        assert pair.none_of_theirs((answer.text, answer.headers)), (method, path)
    assert (await pair.eve.ok("GET", "/v1/channels?joinable=1"))["items"] == []
    await pair.eve.refused("GET", f"/v1/search?q=secret&channel={pair.ids['channel']}", reason="NOT_FOUND")
    direct = await pair.eve.call("POST", "/v1/channels", {"kind": "direct", "members": ["bob"]})
    assert direct.status == HTTPStatus.CREATED  # a new channel in the second tenant
    assert pair.none_of_theirs(direct.body)


REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("send", {"key": "the-key", "text": "our secret"}),
    ("edit", {"text": "changed"}),
    ("delete", {}),
    ("react", {"emoji": "+1"}),
    ("pin", {}),
    ("read", {"seq": 1}),
)
"""Frames about a channel or its messages, and their other fields."""


async def refused_frames(pair: Neighbours, socket: Socket, own: str) -> None:
    for type_, fields in REFUSED:
        message = {} if type_ in {"send", "read"} else {"message": pair.ids["message"]}
        answer = await socket.request(type_, channel=pair.ids["channel"], **message, **fields)
        assert (answer["type"], answer.get("reason")) == ("error", "NOT_FOUND"), type_
        if message:  # the foreign message in one's own channel
            answer = await socket.request(type_, channel=own, **message, **fields)
            assert (answer["type"], answer.get("reason")) == ("error", "NOT_FOUND"), type_
    for carried in ({"thread": pair.ids["message"]}, {"attachments": [pair.ids["upload"]]}):
        answer = await socket.post(own, "k", "x", **carried)
        assert (answer["type"], answer.get("reason")) == ("error", "NOT_FOUND"), carried


async def sync_frames(pair: Neighbours, socket: Socket, _own: str) -> None:
    synced = await socket.open(**{pair.ids["channel"]: 0})
    assert synced["channels"] == {pair.ids["channel"]: {"status": "gone"}}


async def typing_frames(pair: Neighbours, socket: Socket, _own: str) -> None:
    async with live(pair.ann) as theirs:
        await socket.send("typing", channel=pair.ids["channel"])
        await socket.round_trip()
        posted = await pair.bob.post(pair.ids["channel"], "among us")
        await theirs.expect("event", seq=posted["seq"])
        await theirs.round_trip()
        assert theirs.received("typing") == theirs.received("receipt") == []
    assert socket.received("event", channel=pair.ids["channel"]) == socket.received("joined") == []


async def presence_frames(pair: Neighbours, socket: Socket, _own: str) -> None:
    async with live(pair.ann) as ann, live(pair.bob) as bob:
        await bob.send("watch", users=["ann"])
        await bob.expect("presence", user="ann", status="online")
        await socket.send("status", status="dnd")
        await socket.send("watch", users=["ann", "bob", "carol"])
        await socket.expect("presence", user="ann", status="dnd")
        await socket.expect("presence", user="bob", status="offline")  # the second tenant's bob is offline
        await socket.expect("presence", user="carol", status="offline")
        await ann.send("status", status="away")
        await bob.expect("presence", user="ann", status="away")
        assert [frame["status"] for frame in bob.received("presence")] == ["online", "away"]
        assert all(frame["user"] != "ann" or frame["status"] == "dnd" for frame in socket.received("presence"))


async def token_frames(pair: Neighbours, socket: Socket, _own: str) -> None:
    answer = await socket.request("token", token=pair.ann.token)
    assert (answer["type"], answer.get("reason")) == ("error", "NOT_AUTHENTICATED")


async def ping_frames(_pair: Neighbours, socket: Socket, _own: str) -> None:
    await socket.round_trip()


FRAMES = {
    **dict.fromkeys((type_ for type_, _ in REFUSED), refused_frames),
    "sync": sync_frames,
    "typing": typing_frames,
    "watch": presence_frames,
    "status": presence_frames,
    "token": token_frames,
    "ping": ping_frames,
}


def test_every_frame_has_a_case() -> None:
    assert FRAMES.keys() == {each.__struct_config__.tag for each in get_args(incoming.Frame)}


@pytest.mark.usefixtures("door")
@pytest.mark.parametrize("case", dict.fromkeys(FRAMES.values()), ids=lambda case: case.__name__)
async def test_no_frame_reaches_data_of_the_other_tenant(world: World, case: Any) -> None:
    pair = await neighbours(world)
    own = await pair.eve.create("group", name="eve's")
    before = await pair.ann.log(pair.ids["channel"])
    async with live(pair.eve) as socket:
        await case(pair, socket, own)
        await socket.round_trip()
        told = [frame for frame in socket.frames if frame["type"] != "synced"]  # it names the channels of the request
        assert pair.none_of_theirs(told)
    after = await pair.ann.log(pair.ids["channel"])
    assert [entry for entry in after if entry["actor"] != "bob"] == [entry for entry in before if entry["actor"] != "bob"]


@pytest.mark.usefixtures("door")
async def test_an_administrators_actions_affect_their_own_tenant_only(world: World) -> None:
    pair = await neighbours(world)
    async with live(pair.bob) as socket, live(pair.other_bob) as theirs:
        await pair.eve.ok("PUT", "/v1/me/blocks/bob", status=204)
        await pair.eve.ok("PUT", "/v1/admin/users/bob/block", status=204)
        assert await theirs.closed() == 4501
        await pair.eve.ok("POST", "/v1/admin/users/bob/revoke", status=204)
        await socket.round_trip()
    await pair.bob.ok("GET", "/v1/me")
    await pair.other_bob.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
    assert {each["subject"] for each in (await pair.eve.ok("GET", "/v1/admin/audit"))["items"]} == {"bob"}
    assert {each["subject"] for each in await audit_of(world)} == {"carol", pair.ids["bot"], pair.ids["hook"]}


async def audit_of(world: World) -> list[dict[str, Any]]:
    """The first tenant's audit log."""
    admin: Api = await world.person("root", roles=["admin"])
    items: list[dict[str, Any]] = (await admin.ok("GET", "/v1/admin/audit"))["items"]
    return items
